/**
 * The whole state of the app is its address: `#/place/subject?key=value&…`.
 *
 * Undo and redo are the browser's Back and Forward, so that there is one history and not two that disagree. Each
 * step that a person would call a step is pushed; what changes continuously (a drag, a slider) replaces.
 *
 * Inside a notebook the page's address and history are not the app's: there the steps are kept here.
 */

import { type Address, formatAddress, parseAddress, type Place } from "./address";

export type { Place } from "./address";

interface Step {
  readonly step: number;
}

const LAST = "morelli.last-step";

class Route {
  #address = $state.raw<Address>({ place: "check", subject: "", params: {} });
  #step = $state(0);
  #last = $state(0);
  /** The addresses of all steps, where the browser's history is not to be used. */
  #kept: Address[] | null = null;

  readonly canUndo = $derived(this.#step > 0);
  readonly canRedo = $derived(this.#step < this.#last);

  get place(): Place {
    return this.#address.place;
  }

  get subject(): string {
    return this.#address.subject;
  }

  get params(): Readonly<Record<string, string>> {
    return this.#address.params;
  }

  start(): void {
    this.#read(0);
    addEventListener("popstate", () => this.#read(this.#step + 1));
  }

  /** Start at an address, and leave the browser's history alone. */
  startAt(address: Address): void {
    this.#kept = [address];
    this.#address = address;
  }

  /** Go to another place or subject: always a step. */
  go(place: Place, subject = "", params: Record<string, string> = {}): void {
    this.#write({ place, subject, params }, false);
  }

  /**
   * Change some parameters; `null` or an empty string removes one.
   *
   * `replace` keeps the change out of the history, for what changes while a pointer moves.
   */
  set(patch: Record<string, string | null>, { replace = false } = {}): void {
    const merged = Object.entries({ ...this.#address.params, ...patch });
    const params = Object.fromEntries(
      merged.filter((entry): entry is [string, string] => entry[1] !== null && entry[1] !== ""),
    );
    this.#write({ ...this.#address, params }, replace);
  }

  href(place: Place, subject = "", params: Record<string, string> = {}): string {
    return formatAddress({ place, subject, params });
  }

  undo(): void {
    if (this.canUndo) this.#move(-1);
  }

  redo(): void {
    if (this.canRedo) this.#move(1);
  }

  #move(by: -1 | 1): void {
    if (!this.#kept) history.go(by);
    else {
      this.#step += by;
      this.#address = this.#kept[this.#step] ?? this.#address;
    }
  }

  /** `unmarked`: the number of a step that does not carry one, since the browser made it from a link. */
  #read(unmarked: number): void {
    this.#address = parseAddress(location.hash);
    const state = history.state as Step | null;
    if (typeof state?.step === "number") {
      this.#step = state.step;
      this.#last = Math.max(this.#step, Number(sessionStorage.getItem(LAST) ?? 0));
    } else {
      this.#remember(unmarked);
      history.replaceState({ step: unmarked } satisfies Step, "");
    }
  }

  #write(address: Address, replace: boolean): void {
    const hash = formatAddress(address);
    if (hash === formatAddress(this.#address)) return;
    this.#address = address;
    if (this.#kept) {
      if (replace) this.#kept[this.#step] = address;
      else {
        this.#last = ++this.#step; // a new step ends what could be redone
        this.#kept = [...this.#kept.slice(0, this.#step), address];
      }
      return;
    }
    if (!replace) this.#remember(this.#step + 1);
    const state: Step = { step: this.#step };
    if (replace) history.replaceState(state, "", hash);
    else history.pushState(state, "", hash);
  }

  #remember(step: number): void {
    this.#step = step;
    this.#last = step; // a new step ends what could be redone
    sessionStorage.setItem(LAST, String(step));
  }
}

export const route = new Route();
