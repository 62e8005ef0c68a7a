/** The keyboard's way over the map: it has a cell of its own, which keeps its place when the level changes. */
import { announcer } from "../../state/announce.svelte";
import type { Explore } from "../model/explore.svelte";
import { chooseCell } from "./choose";
import { typicalPicture } from "./pictures";
import type { Pointing } from "./pointing.svelte";
import type { Found, Place, Stage } from "./stage.svelte";

const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export class Walk {
  /** The map has the keyboard's focus, and the reader sees it. */
  listening = $state(false);

  constructor(
    readonly explore: Explore,
    readonly stage: Stage,
    readonly pointing: Pointing,
    readonly words: (found: Found) => string,
  ) {}

  get place(): Place | null {
    return this.pointing.chosen;
  }

  enter(): void {
    this.listening = true;
    if (!this.place) {
      const found = this.stage.middle();
      if (found) this.#stand(found);
    }
    const found = this.here();
    if (found) announcer.say(this.words(found));
  }

  leave(): void {
    this.listening = false;
  }

  /** The cell that the keyboard is on, as it is at the level on the screen. */
  here(): Found | undefined {
    if (!this.place) return undefined;
    const place = this.stage.translated(this.place);
    return this.stage.cell(place) ?? this.#nearest(place);
  }

  /** Do what a key says; false where it says nothing to the map. */
  press(event: KeyboardEvent): boolean {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const { key } = event;
    const step = STEPS[key];
    const here = this.here();
    if (step) this.#go(here, step[0], step[1]);
    else if (key === "Enter" && here) chooseCell(this.explore, here, event.shiftKey);
    else if (key === " " && here) this.explore.open(typicalPicture(here));
    else if (key === "+" || key === "=") this.#zoom(1.6);
    else if (key === "-" || key === "_") this.#zoom(1 / 1.6);
    else if (key === "0") this.stage.fit();
    else if (key === "Escape") {
      if (!this.pointing.giveUp()) this.explore.clear();
    } else if (key === "l") this.pointing.tool = "lasso";
    else if (key === "r") this.pointing.tool = "rectangle";
    else if (key === "m") this.pointing.tool = "move";
    else return false;
    return true;
  }

  #stand({ level, ix, iy }: Place): void {
    this.pointing.chosen = { level, ix, iy };
  }

  #go(from: Found | undefined, dx: number, dy: number): void {
    const to = from ? this.stage.next(from, dx, dy) : this.stage.middle();
    if (!to) return;
    this.#stand(to);
    this.stage.reveal(to);
    announcer.say(this.words(to));
  }

  #zoom(factor: number): void {
    if (!this.place) {
      this.stage.zoomStep(factor);
      return;
    }
    const { x, y, side } = this.stage.frameOf(this.place);
    this.stage.zoom(x + side / 2, y + side / 2, factor);
  }

  #nearest(place: Place): Found | undefined {
    let best: Found | undefined;
    let least = Infinity;
    for (const found of this.stage.near()) {
      const far = Math.hypot(found.ix - place.ix, found.iy - place.iy);
      if (far < least) [best, least] = [found, far];
    }
    return best;
  }
}
