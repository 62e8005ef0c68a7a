/** Pointers on the map: moving and pinching it, drawing a region, and choosing cells and pictures. */
import type { Explore } from "../model/explore.svelte";
import type { Point } from "../model/spec";
import { chooseCell, chooseRegion } from "./choose";
import { formAt, pictureAt } from "./pictures";
import type { Pointed } from "./cloud";
import type { Found, Place, Stage } from "./stage.svelte";
import { type Tool, fingers, region, toolOf } from "./tools";

/** Farther than this, in CSS pixels, a press is a drag. */
const SLACK = 3;

export class Pointing {
  tool = $state<Tool>("move");
  /** Where a pointer that is not pressed stands on the map. */
  pointer = $state.raw<Point | null>(null);
  /** The cell under it, also after the map moved below a pointer that stands still. */
  readonly hovered = $derived.by<Found | null>(() => {
    void this.stage.arrived;
    void this.stage.level;
    return this.pointer && this.stage.drawn !== "points" ? (this.stage.at(...this.pointer) ?? null) : null;
  });
  /** The image whose point is under it. */
  readonly pointed = $derived.by<Pointed | null>(() => this.pointer && this.stage.pointAt(...this.pointer));
  /** The cell that was chosen last: the keyboard goes on from it. */
  chosen = $state.raw<Place | null>(null);
  /** The region being drawn, with what, and along which path on the screen. */
  drawing = $state<Tool | null>(null);
  path = $state.raw<Point[]>([]);
  dragged = $state(false);
  #started: { x: number; y: number; id: number } | null = null;
  readonly #pointers = fingers();

  constructor(
    readonly explore: Explore,
    readonly stage: Stage,
  ) {}

  down(event: PointerEvent, [x, y]: Point): void {
    this.#pointers.set(event.pointerId, [x, y]);
    this.#started = { x, y, id: event.pointerId };
    this.dragged = false;
    const wanted = toolOf(this.tool, event);
    if (wanted !== "move" && this.#pointers.size === 1) {
      this.drawing = wanted;
      this.path = [[x, y]];
    }
  }

  move(event: PointerEvent, [x, y]: Point): void {
    const last = this.#pointers.get(event.pointerId);
    if (!last) {
      this.pointer = event.pointerType === "touch" ? null : [x, y];
      return;
    }
    this.pointer = null;
    if (this.#started && Math.hypot(x - this.#started.x, y - this.#started.y) > SLACK) this.dragged = true;
    if (this.drawing) this.path = this.drawing === "rectangle" ? [this.path[0] as Point, [x, y]] : [...this.path, [x, y]];
    else if (this.#pointers.size === 2) this.#pinch(event.pointerId, last, [x, y]);
    else if (this.dragged) this.stage.pan(x - last[0], y - last[1]);
    this.#pointers.set(event.pointerId, [x, y]);
  }

  up(event: PointerEvent, at: Point): void {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (this.drawing) {
      const clause = region(this.drawing, this.path, this.stage.view, this.stage.size);
      this.giveUp();
      if (clause) chooseRegion(this.explore, clause, event.shiftKey && this.tool !== "move");
      else this.#click(event, at);
    } else if (!this.dragged && this.#started?.id === event.pointerId) this.#click(event, at);
    this.dragged = false;
  }

  /** The pointer is elsewhere, or what lies below it changed: nothing is said of a cell that nobody points at. */
  leave(): void {
    this.pointer = null;
  }

  /** Let go of the region being drawn; false where there is none. */
  giveUp(): boolean {
    if (!this.drawing) return false;
    this.drawing = null;
    this.path = [];
    return true;
  }

  #pinch(id: number, from: Point, to: Point): void {
    const other = [...this.#pointers].find(([key]) => key !== id)?.[1];
    if (!other) return;
    const before = Math.hypot(from[0] - other[0], from[1] - other[1]);
    const after = Math.hypot(to[0] - other[0], to[1] - other[1]);
    if (before > 8) this.stage.zoom((to[0] + other[0]) / 2, (to[1] + other[1]) / 2, after / before);
  }

  #click(event: MouseEvent, [x, y]: Point): void {
    const pointed = this.stage.pointAt(x, y);
    if (pointed) {
      this.explore.open(pointed.row);
      return;
    }
    const found = this.stage.drawn === "points" ? undefined : this.stage.at(x, y);
    this.chosen = found ?? this.chosen;
    if (!found) {
      if (this.explore.specText && !event.shiftKey) this.explore.clear();
      return;
    }
    const picture = pictureAt(this.stage, found, x, y);
    if (picture && this.stage.drawn === "glyphs" && formAt(this.stage, found) === "mosaic") this.explore.open(picture.row);
    else chooseCell(this.explore, found, event.shiftKey || event.ctrlKey || event.metaKey);
  }
}
