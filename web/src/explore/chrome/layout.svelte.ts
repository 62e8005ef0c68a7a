/** Where the dividers are. A matter of this screen and not of what is looked at: kept in the browser, not in the address. */

interface Shares {
  /** Width of the overview. */
  readonly left: number;
  /** Height of the dimensions within the right column. */
  readonly upper: number;
  /** Height of the images. */
  readonly drawer: number;
}

const KEY = "morelli.explore.layout";
const USUAL: Shares = { left: 0.6, upper: 0.54, drawer: 0.27 };

class Layout {
  #shares = $state.raw<Shares>(stored());

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
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#shares));
    } catch {
      // storage may be forbidden; the dividers then start anew each time
    }
  }
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
