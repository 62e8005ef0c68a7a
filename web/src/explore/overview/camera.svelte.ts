/** The camera in the address: where the map stands is written when it rests, and Back and Forward move it. */
import { untrack } from "svelte";

import { route } from "../../state/route.svelte";
import { type Size, decodeViewport, encodeViewport, isWhole } from "../model/viewport";
import type { Stage } from "./stage.svelte";

export class Camera {
  /** What the camera itself wrote last: the address saying so again must not move it. */
  #written = "";
  #opened = false;

  constructor(readonly stage: Stage) {}

  /** The stage has another size; the first time, it stands where the address says. */
  resize(size: Size, ratio: number): void {
    this.stage.resize(size, ratio, this.#opened ? undefined : decodeViewport(route.params["at"], size));
    this.#opened = true;
  }

  /** Write where the camera stands; the whole map needs no words. */
  write(): void {
    const { view, size } = this.stage;
    this.#written = isWhole(view, size) ? "" : encodeViewport(view, size);
    route.set({ at: this.#written || null }, { replace: true });
  }

  /** Follow the address. Call while a component is being set up: the effect ends with it. */
  follow(): void {
    $effect(() => {
      const at = route.params["at"] ?? "";
      untrack(() => this.#go(at));
    });
  }

  #go(at: string): void {
    const { stage } = this;
    if (stage.size.width < 2 || at === this.#written) return;
    const view = decodeViewport(at || undefined, stage.size);
    if (encodeViewport(view, stage.size) !== encodeViewport(stage.view, stage.size)) stage.fly(view);
    this.#written = at;
  }
}
