/** The overview's stage: camera, renderer and frame loop, apart from the component that listens to the reader. */
import type { Info } from "../model/api";
import type { AtlasApi } from "../model/api";
import type { Cells } from "../model/cells";
import { cellNumber, cellX, cellY } from "../model/geometry";
import { Thumbs } from "../model/thumbs";
import { type Source, TILE, Tiles, covering } from "../model/tiles";
import {
  type Levels,
  type Limits,
  type Size,
  type Viewport,
  clamped,
  fit,
  isWhole,
  levelFor,
  limits,
  panned,
  snapped,
  toLayout,
  toScreen,
  visibleCells,
  zoomed,
} from "../model/viewport";
import type { Style } from "../glyph/style";
import { type Cloud, type Drawn, type Pointed, pointAt } from "./cloud";
import { Renderer, type Scene } from "./renderer";

const SETTLE = 140;
const FLIGHT = 260;

export interface Place {
  readonly level: number;
  readonly ix: number;
  readonly iy: number;
}

export interface Found extends Place {
  readonly cells: Cells;
  readonly row: number;
}

export class Stage {
  view = $state.raw<Viewport>({ x: 0.5, y: 0.5, scale: 512 });
  size = $state.raw<Size>({ width: 1, height: 1 });
  /** Level on the screen. */
  level = $state(0);
  /** Rises when tiles came: what is said of cells may have changed. */
  arrived = $state(0);
  /** Nothing is left to fetch or to paint. */
  settled = $state(false);

  readonly levels: Levels;
  readonly tiles: Tiles;
  readonly thumbs: Thumbs;
  #renderer: Renderer | null = null;
  #style: Style | null = null;
  #detail = 0;
  #drawn = $state<Drawn>("glyphs");
  #cloud: Cloud | null = null;
  #frame = 0;
  #moved = -Infinity;
  #flight: { from: Viewport; to: Viewport; start: number } | null = null;
  #pictures: number[] = [];
  #settle: ReturnType<typeof setTimeout> | undefined;
  #ratio = 1;
  /** Called when the camera has come to rest. */
  rested: (view: Viewport) => void = () => undefined;

  constructor(
    readonly api: AtlasApi,
    info: Info,
    source: Source,
    failed: (error: unknown) => void,
  ) {
    this.levels = { min: 0, max: info.levels };
    this.tiles = new Tiles(
      source,
      () => {
        this.arrived++;
        this.draw();
      },
      failed,
    );
    this.thumbs = new Thumbs(
      (rows, signal) => api.thumbnails(rows, signal),
      (row) => {
        this.#pictures.push(row);
        this.draw();
      },
    );
  }

  attach(canvas: HTMLCanvasElement): () => void {
    this.#renderer = new Renderer(canvas, this.tiles, this.thumbs);
    this.draw();
    return () => {
      cancelAnimationFrame(this.#frame);
      clearTimeout(this.#settle);
      this.tiles.dispose();
      this.thumbs.dispose();
      this.#renderer = null;
    };
  }

  resize(size: Size, ratio: number, view?: Viewport): void {
    const old = this.size;
    const from = this.#flight?.to ?? this.view;
    this.#flight = null;
    this.#ratio = ratio;
    this.size = size;
    if (view) this.view = view;
    // A map that is all in sight stays so, one of which a part is shown keeps its middle.
    else if (old.width > 1) this.view = isWhole(from, old) ? fit(size) : { ...from, scale: (from.scale * fit(size).scale) / fit(old).scale };
    this.#rest();
    this.draw();
  }

  /** Draw images as points, or how densely they lie, in place of glyphs; null while the cloud is on its way. */
  showCloud(drawn: Drawn, cloud: Cloud | null): void {
    this.#drawn = drawn;
    this.#cloud = cloud;
    if (drawn !== "glyphs" && !cloud) this.settled = false;
    this.draw();
  }

  /** The image whose point is at a place of the screen. */
  pointAt(px: number, py: number): Pointed | null {
    return this.#drawn === "points" && this.#cloud ? pointAt(this.#cloud, this.view, this.size, this.#ratio, px, py) : null;
  }

  get drawn(): Drawn {
    return this.#drawn;
  }

  show(style: Style, detail: number, source: Source | undefined): void {
    this.#style = style;
    this.#detail = detail;
    if (source) this.tiles.use(source);
    this.#rest();
    this.draw();
  }

  get limits(): Limits {
    return limits(this.size, this.levels);
  }

  /** Device pixels per CSS pixel. */
  get ratio(): number {
    return this.#ratio;
  }

  // Camera

  #move(view: Viewport): void {
    this.view = clamped(view, this.size);
    this.#moved = performance.now();
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => this.#stop(), SETTLE);
    this.draw();
  }

  pan(dx: number, dy: number): void {
    this.#flight = null;
    this.#move(panned(this.view, dx, dy));
  }

  zoom(px: number, py: number, factor: number): void {
    this.#flight = null;
    this.#move(zoomed(this.view, this.size, px, py, factor, this.limits));
  }

  /** Fly to a viewport; at once where the reader wants no motion. */
  fly(to: Viewport): void {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.#move(to);
      return;
    }
    this.#flight = { from: this.view, to, start: performance.now() };
    this.draw();
  }

  zoomStep(factor: number): void {
    const { width, height } = this.size;
    const from = this.#flight?.to ?? this.view;
    this.fly(clamped(zoomed(from, this.size, width / 2, height / 2, factor, this.limits), this.size));
  }

  fit(): void {
    this.fly(fit(this.size));
  }

  #stop(): void {
    this.#rest();
    this.draw();
    this.rested(this.view);
  }

  /** Move by less than a pixel so that cells are whole device pixels. */
  #rest(): void {
    const level = levelFor(this.view, this.size, this.levels, this.#detail);
    this.view = snapped(this.view, this.size, level, this.#ratio);
  }

  // Drawing

  draw(): void {
    if (!this.#frame) this.#frame = requestAnimationFrame((now) => this.#draw(now));
  }

  /** Facts of pictures changed: paint the glyphs that show them again. */
  repaint(): void {
    this.#renderer?.invalidate();
    this.draw();
  }

  #draw(now: number): void {
    this.#frame = 0;
    if (!this.#renderer || !this.#style || this.size.width < 2) return;
    this.#advance(now);
    const moving = this.#flight !== null || performance.now() - this.#moved < SETTLE - 10;
    if (!moving || this.#pictures.length > 24) {
      this.#renderer.refresh(this.#pictures, this.#ratio);
      this.#pictures = [];
    }
    const scene = this.#scene(this.#style, moving);
    const done = this.#renderer.frame(scene);
    if (!moving && this.#drawn === "glyphs") this.thumbs.want(this.#renderer.wanted());
    if (this.level !== this.#renderer.level) this.level = this.#renderer.level;
    if (this.settled !== done) this.settled = done;
    const waiting = this.#drawn !== "glyphs" && !this.#cloud;
    if (this.#flight || (!done && this.tiles.idle && !waiting)) this.draw();
  }

  #advance(now: number): void {
    if (!this.#flight) return;
    const { from, to, start } = this.#flight;
    const t = Math.min(1, Math.max(0, (now - start) / FLIGHT));
    const eased = 1 - (1 - t) ** 3;
    const scale = from.scale * (to.scale / from.scale) ** eased;
    // The point that both viewports agree on stays put, so that the flight is straight on the screen.
    const share = Math.abs(to.scale - from.scale) < 1e-9 ? eased : (1 / from.scale - 1 / scale) / (1 / from.scale - 1 / to.scale);
    const view = { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share, scale };
    if (t >= 1) this.#flight = null;
    this.#move(t >= 1 ? to : view);
  }

  // Cells

  facts(known: Iterable<readonly [number, { probability: number; verdict: string; error: string | null }]>): void {
    for (const [row, fact] of known) this.#renderer?.facts.set(row, fact);
    this.repaint();
  }

  /** Pictures in mosaics on the screen of which nothing is known yet. */
  unknownPictures(): number[] {
    if (!this.#renderer || !this.#style) return [];
    if (this.#drawn !== "glyphs") return [];
    return this.#renderer.shown(this.#scene(this.#style, false)).filter((row) => !this.#renderer?.facts.has(row));
  }

  #scene(style: Style, moving: boolean): Scene {
    return {
      view: this.view,
      size: this.size,
      ratio: this.#ratio,
      levels: this.levels,
      detail: this.#detail,
      style,
      moving,
      drawn: this.#drawn,
      cloud: this.#cloud,
    };
  }

  /** The cell at a place of the screen, if it holds images. */
  at(px: number, py: number): Found | undefined {
    const [x, y] = toLayout(this.view, this.size, px, py);
    const cells = 2 ** this.level;
    return this.cell({ level: this.level, ix: Math.floor(x * cells), iy: Math.floor(y * cells) });
  }

  cell(place: Place): Found | undefined {
    const found = this.tiles.find(place.level, place.ix, place.iy);
    return found && { ...place, ...found };
  }

  /** Left, top and side of a cell on the screen, in CSS pixels. */
  frameOf({ level, ix, iy }: Place): { x: number; y: number; side: number } {
    const cells = 2 ** level;
    const [x, y] = toScreen(this.view, this.size, ix / cells, iy / cells);
    return { x, y, side: this.view.scale / cells };
  }

  /** All cells that are loaded on or near the screen. */
  *near(): Generator<Found> {
    const { level } = this;
    const last = 2 ** level;
    const [x0, y0, x1, y1] = visibleCells(this.view, this.size, level);
    const wide = [Math.max(0, x0 - TILE), Math.max(0, y0 - TILE), Math.min(last, x1 + TILE), Math.min(last, y1 + TILE)] as const;
    for (const tile of covering(wide, level)) {
      const cells = this.tiles.get(level, tile.tx, tile.ty);
      if (!cells) continue;
      for (let row = 0; row < cells.length; row++) {
        const cell = cells.cell[row] as number;
        yield { level, ix: cellX(cell, level), iy: cellY(cell, level), cells, row };
      }
    }
  }

  /** The nearest cell with images in a direction, straight ahead before aside. */
  next(from: Place, dx: number, dy: number): Found | undefined {
    let best: Found | undefined;
    let least = Infinity;
    for (const found of this.near()) {
      const ahead = (found.ix - from.ix) * dx + (found.iy - from.iy) * dy;
      const aside = Math.abs((found.ix - from.ix) * dy) + Math.abs((found.iy - from.iy) * dx);
      if (ahead <= 0) continue;
      const cost = ahead + 2.5 * aside;
      if (cost < least) [best, least] = [found, cost];
    }
    return best;
  }

  /** The cell with images nearest to the middle of the screen: where the keyboard begins. */
  middle(): Found | undefined {
    const cells = 2 ** this.level;
    let best: Found | undefined;
    let least = Infinity;
    for (const found of this.near()) {
      const far = Math.hypot((found.ix + 0.5) / cells - this.view.x, (found.iy + 0.5) / cells - this.view.y);
      if (far < least) [best, least] = [found, far];
    }
    return best;
  }

  /** Bring a cell into sight. */
  reveal(place: Place): void {
    const { x, y, side } = this.frameOf(place);
    const margin = Math.min(60, side);
    const dx = x < margin ? margin - x : Math.min(0, this.size.width - margin - side - x);
    const dy = y < margin ? margin - y : Math.min(0, this.size.height - margin - side - y);
    if (dx || dy) this.fly(clamped(panned(this.view, dx, dy), this.size));
  }

  /** The same place at the level on the screen now. */
  translated(place: Place): Place {
    const shift = this.level - place.level;
    if (shift === 0) return place;
    const scaled = (v: number): number => (shift < 0 ? v >>> -shift : (v << shift) + (1 << (shift - 1)));
    return { level: this.level, ix: scaled(place.ix), iy: scaled(place.iy) };
  }
}

export const numberOf = ({ level, ix, iy }: Place): number => cellNumber(ix, iy, level);
