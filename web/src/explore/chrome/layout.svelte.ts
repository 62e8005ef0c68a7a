/** Where the dividers are. A matter of this screen and not of what is looked at: kept in the browser, not in the address. */

interface Shares {
  /** Width of the overview. */
  readonly left: number;
  /** Height of the dimensions within the right column. */
  readonly upper: number;
  /** Height of the images. */
  readonly drawer: number;
}

const COLUMNS = "morelli.explore.columns";
/** From this width of the window on the columns are shown beside the views unless somebody closed them. */
const ROOMY = 1500;
const KEY = "morelli.explore.layout";
const USUAL: Shares = { left: 0.6, upper: 0.54, drawer: 0.27 };

class Layout {
  #shares = $state.raw<Shares>(stored());

  #columns = $state(columnsStored());

  /** Whether the side bar of all columns is open. */
  get columns(): boolean {
    return this.#columns;
  }

  set columns(open: boolean) {
    this.#columns = open;
    keep(COLUMNS, open);
  }

  get left(): number {
    return this.#shares.left;
  }

  get upper(): number {
    return this.#shares.upper;
  }

  get drawer(): number {
    return this.#shares.drawer;
  }

  set(patch: Partial<Shares>): void {
    this.#shares = { ...this.#shares, ...patch };
    keep(KEY, this.#shares);
  }
}

function keep(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // storage may be forbidden; the views then start the same way each time
  }
}

function columnsStored(): boolean {
  try {
    const found = localStorage.getItem(COLUMNS);
    if (found !== null) return found === "true";
  } catch {
    // fall through
  }
  return innerWidth >= ROOMY;
}

function stored(): Shares {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "null");
    if (typeof found === "object" && found !== null) {
      const share = (name: keyof Shares): number => {
        const value = (found as Record<string, unknown>)[name];
        return typeof value === "number" && value > 0.05 && value < 0.95 ? value : USUAL[name];
      };
      return { left: share("left"), upper: share("upper"), drawer: share("drawer") };
    }
  } catch {
    // fall through
  }
  return USUAL;
}

export const layout = new Layout();
