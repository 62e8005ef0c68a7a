/**
 * Draws the map. Cells are painted once into sprites (square blocks of cells, in device pixels) and a frame only
 * copies a dozen of them; while the map moves, sprites of another scale are stretched and new ones painted in what
 * is left of the frame. Nothing here needs a GPU.
 */
import { formOf, signature } from "../glyph/form";
import { type Known, type Pictures, paintLarge, pictureBoxes } from "../glyph/picture";
import { paintSmall, toneColour } from "../glyph/pixels";
import type { Style } from "../glyph/style";
import type { Cells } from "../model/cells";
import { cellX, cellY } from "../model/geometry";
import { Lru } from "../model/lru";
import type { Thumbs } from "../model/thumbs";
import { type Cloud, DENSITY_BIN, type Drawn, densityOf, paintPoints } from "./cloud";
import { TILE, type Tiles, covering } from "../model/tiles";
import { type Levels, type Size, type Viewport, levelFor, toScreen, visibleCells } from "../model/viewport";

/** Side of a sprite at most, unless one cell is larger: painting one may overrun a budget by what it takes. */
const SPRITE_PIXELS = 256;
/**
 * Milliseconds of a frame that painting may take: little while the map moves. When it stands, a frame more or less is
 * not seen, and each costs the browser a pass over the whole map.
 */
const BUDGET = { moving: 4, standing: 24 };
/** At least this many sprites are painted per frame, however long one takes. */
const LEAST = 1;

interface Sprite {
  /** Empty where the block has no cells. */
  readonly canvas: OffscreenCanvas | null;
}

/** One way of cutting the map into sprites. */
interface Generation {
  readonly source: string;
  readonly style: Style;
  readonly level: number;
  /** Device pixels per cell in the sprites. */
  readonly side: number;
  /** Cells per side of a sprite. */
  readonly block: number;
  readonly key: string;
}

export interface Scene {
  readonly view: Viewport;
  readonly size: Size;
  readonly ratio: number;
  readonly levels: Levels;
  readonly detail: number;
  readonly style: Style;
  readonly moving: boolean;
  readonly drawn: Drawn;
  /** Where points or density are drawn; null until they are there. */
  readonly cloud: Cloud | null;
}

export class Renderer implements Pictures {
  readonly #context: CanvasRenderingContext2D;
  readonly #sprites = new Lru<Sprite>(48_000_000);
  readonly #waiting = new Map<number, Map<string, [Generation, number, number]>>();
  #generation: Generation | null = null;
  #previous: Generation | null = null;
  #scratch = new Uint32Array(0);
  #board: ImageData | null = null;
  #heat = new OffscreenCanvas(1, 1);
  /** What is known of pictures in mosaics; the owner fills it. */
  readonly facts = new Map<number, Known>();

  constructor(
    readonly canvas: HTMLCanvasElement,
    readonly tiles: Tiles,
    readonly thumbs: Thumbs,
  ) {
    const context = canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("this browser has no 2D canvas");
    this.#context = context;
  }

  get level(): number {
    return this.#generation?.level ?? 0;
  }

  get(row: number): ImageBitmap | undefined {
    return this.thumbs.get(row);
  }

  known(row: number): Known | undefined {
    return this.facts.get(row);
  }

  /** Draw one frame. True when nothing is left to paint or to wait for. */
  frame(scene: Scene): boolean {
    const started = performance.now();
    const budget = scene.moving ? BUDGET.moving : BUDGET.standing;
    const generation = this.#turn(scene);
    const { view, size, ratio } = scene;
    const range = visibleCells(view, size, generation.level);
    this.tiles.want(covering(range, generation.level));

    const context = this.#context;
    const width = Math.round(size.width * ratio);
    const height = Math.round(size.height * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    context.fillStyle = scene.style.dark ? "#121416" : "#fafaf7";
    context.fillRect(0, 0, width, height);
    if (scene.drawn !== "glyphs") return this.#cloud(scene, width, height);

    const blocks = blocksOf(generation, range);
    const missing: [number, number][] = [];
    let ready = true;
    let painted = 0;
    for (const [bx, by] of blocks) {
      const key = `${generation.key}/${bx}/${by}`;
      if (this.#sprites.peek(key)) continue;
      const cells = this.#cells(generation, bx, by);
      if (!cells) {
        missing.push([bx, by]);
        ready = false;
      } else if (painted < LEAST || performance.now() - started < budget) {
        this.#sprites.set(key, this.#paint(generation, cells, bx, by, ratio), (generation.block * generation.side) ** 2);
        painted++;
      } else {
        missing.push([bx, by]);
        ready = false;
      }
    }
    if (missing.length) {
      this.#placeholder(scene);
      if (this.#previous) this.#copy(this.#previous, blocksOf(this.#previous, visibleCells(view, size, this.#previous.level)), scene, false);
    }
    this.#copy(generation, blocks, scene, missing.length > 0);
    if (ready) this.#previous = generation;
    return ready && !scene.moving;
  }

  /** Points or their density. Cells are fetched as well: names, sentences and the keyboard are about them. */
  #cloud({ drawn, cloud, style, view, size, ratio, moving }: Scene, width: number, height: number): boolean {
    if (!cloud) return false;
    if (drawn === "points") {
      if (this.#board?.width !== width || this.#board.height !== height) this.#board = new ImageData(width, height);
      const pixels = new Uint32Array(this.#board.data.buffer);
      pixels.fill(style.paper);
      paintPoints({ pixels, width, height }, cloud, style, view, size, ratio, moving);
      this.#context.putImageData(this.#board, 0, 0);
    } else {
      const found = densityOf(cloud, style, view, size, ratio);
      if (this.#heat.width !== found.width || this.#heat.height !== found.height) this.#heat = new OffscreenCanvas(found.width, found.height);
      this.#heat.getContext("2d")?.putImageData(new ImageData(new Uint8ClampedArray(found.pixels.buffer as ArrayBuffer), found.width, found.height), 0, 0);
      this.#context.imageSmoothingEnabled = true;
      this.#context.imageSmoothingQuality = "low";
      const step = DENSITY_BIN * ratio;
      this.#context.drawImage(this.#heat, 0, 0, found.width * step, found.height * step);
    }
    return this.tiles.idle && !moving;
  }

  /** Sprites of the current cut, or a new cut when level, scale, style or data changed. */
  #turn({ view, size, ratio, levels, detail, style, moving }: Scene): Generation {
    const old = this.#generation;
    const level = levelFor(view, size, levels, detail);
    const exact = Math.max(2, Math.round((view.scale / 2 ** level) * ratio));
    const source = this.tiles.source.key;
    const same = old?.level === level && old.style.key === style.key && old.source === source;
    // While moving, sprites are stretched; only a settled map is worth painting at its exact scale.
    if (old && same && (old.side === exact || (moving && stretch(old.side, exact) < 1.6))) return old;
    const block = Math.max(1, Math.min(TILE, 2 ** Math.floor(Math.log2(SPRITE_PIXELS / exact))));
    const key = `${source}|${style.key}|${level}|${exact}`;
    if (old && this.#complete(old)) this.#previous = old;
    this.#generation = { source, style, level, side: exact, block, key };
    this.#waiting.clear();
    return this.#generation;
  }

  #complete(generation: Generation): boolean {
    return this.#previous?.key !== generation.key;
  }

  #cells({ level, block }: Generation, bx: number, by: number): Cells | undefined {
    return this.tiles.get(level, Math.floor((bx * block) / TILE), Math.floor((by * block) / TILE));
  }

  #copy(generation: Generation, blocks: Iterable<[number, number]>, { view, size, ratio }: Scene, clear: boolean): void {
    const context = this.#context;
    const cell = (view.scale / 2 ** generation.level) * ratio;
    const [left, top] = toScreen(view, size, 0, 0);
    const whole = Math.abs(cell - generation.side) < 1e-6;
    context.imageSmoothingEnabled = !whole;
    context.imageSmoothingQuality = "low";
    const edge = (at: number, origin: number): number => Math.round(origin * ratio + at * generation.block * cell);
    for (const [bx, by] of blocks) {
      const sprite = this.#sprites.get(`${generation.key}/${bx}/${by}`);
      if (!sprite) continue;
      const x = edge(bx, left);
      const y = edge(by, top);
      const w = edge(bx + 1, left) - x;
      const h = edge(by + 1, top) - y;
      if (clear) context.fillRect(x, y, w, h);
      if (!sprite.canvas) continue;
      if (whole) context.drawImage(sprite.canvas, x, y);
      else context.drawImage(sprite.canvas, x, y, w, h);
    }
  }

  #paint(generation: Generation, cells: Cells, bx: number, by: number, ratio: number): Sprite {
    const { side, block, level, style } = generation;
    const x0 = bx * block;
    const y0 = by * block;
    const inside: number[] = [];
    for (let i = 0; i < cells.length; i++) {
      const cell = cells.cell[i] as number;
      const ix = cellX(cell, level) - x0;
      const iy = cellY(cell, level) - y0;
      if (ix >= 0 && iy >= 0 && ix < block && iy < block) inside.push(i);
    }
    if (!inside.length) return { canvas: null };
    const length = block * side;
    const canvas = new OffscreenCanvas(length, length);
    const context = canvas.getContext("2d");
    if (!context) return { canvas: null };
    const form = formOf(side / ratio);
    const corner = (i: number): [number, number] => {
      const cell = cells.cell[i] as number;
      return [(cellX(cell, level) - x0) * side, (cellY(cell, level) - y0) * side];
    };
    if (form === "square" || form === "signature") {
      if (this.#scratch.length < length * length) this.#scratch = new Uint32Array(length * length);
      const pixels = this.#scratch.subarray(0, length * length).fill(0);
      const target = { pixels, width: length, height: length };
      const geometry = signature(side, Math.max(1, style.line.length), ratio);
      for (const i of inside) {
        const [x, y] = corner(i);
        paintSmall(target, x, y, side, cells, i, style, ratio, geometry);
      }
      const bytes = new Uint8ClampedArray(length * length * 4);
      new Uint32Array(bytes.buffer).set(pixels);
      context.putImageData(new ImageData(bytes, length, length), 0, 0);
    } else {
      const key = `${generation.key}/${bx}/${by}`;
      for (const i of inside) {
        const [x, y] = corner(i);
        paintLarge(context, x, y, side, cells, i, style, this, ratio);
        for (const { row } of pictureBoxes(cells, i, side, ratio)) {
          if (!this.thumbs.get(row)) this.#await(row, generation, i, bx, by, key);
        }
      }
    }
    return { canvas };
  }

  #await(row: number, generation: Generation, i: number, bx: number, by: number, key: string): void {
    const places = this.#waiting.get(row) ?? new Map<string, [Generation, number, number]>();
    places.set(`${key}#${i}`, [generation, bx, by]);
    this.#waiting.set(row, places);
  }

  /** Rows whose pictures are on the screen and not here yet. */
  wanted(): number[] {
    return [...this.#waiting.keys()];
  }

  /** Pictures of the large glyphs on the screen: for their frames. */
  shown(scene: Scene): number[] {
    const generation = this.#generation;
    if (!generation || formOf(generation.side / scene.ratio) !== "mosaic") return [];
    const found: number[] = [];
    const range = visibleCells(scene.view, scene.size, generation.level);
    for (const { level, tx, ty } of covering(range, generation.level)) {
      const cells = this.tiles.get(level, tx, ty);
      if (!cells) continue;
      for (let i = 0; i < cells.length; i++) {
        const cell = cells.cell[i] as number;
        const x = cellX(cell, level);
        const y = cellY(cell, level);
        if (x < range[0] || y < range[1] || x >= range[2] || y >= range[3]) continue;
        for (const { row } of pictureBoxes(cells, i, generation.side, scene.ratio)) found.push(row);
      }
    }
    return found;
  }

  /** Put pictures that arrived (or became known) into the sprites that wait for them. */
  refresh(rows: Iterable<number>, ratio: number): void {
    for (const row of rows) {
      const places = this.#waiting.get(row);
      this.#waiting.delete(row);
      places?.forEach(([generation, bx, by], place) => {
        const at = place.lastIndexOf("#");
        const sprite = this.#sprites.peek(place.slice(0, at));
        const context = sprite?.canvas?.getContext("2d");
        const cells = this.#cells(generation, bx, by);
        if (!context || !cells || generation.source !== this.tiles.source.key) return;
        const i = Number(place.slice(at + 1));
        const cell = cells.cell[i] as number;
        const x = (cellX(cell, generation.level) - bx * generation.block) * generation.side;
        const y = (cellY(cell, generation.level) - by * generation.block) * generation.side;
        paintLarge(context, x, y, generation.side, cells, i, generation.style, this, ratio);
      });
    }
  }

  /** Forget what is painted: its facts changed. */
  invalidate(): void {
    this.#sprites.clear();
    this.#waiting.clear();
  }

  /** A blurred stand-in from the coarsest level, for regions whose tiles are on their way. */
  #placeholder({ view, size, ratio, levels, style }: Scene): void {
    const coarse = Math.min(5, levels.max);
    const cells = this.tiles.get(coarse, 0, 0);
    if (!cells) return;
    const key = `placeholder|${this.tiles.source.key}|${style.key}`;
    let sprite = this.#sprites.get(key);
    const side = 2 ** coarse;
    if (!sprite) {
      const canvas = new OffscreenCanvas(side, side);
      const pixels = new Uint32Array(side * side);
      for (let i = 0; i < cells.length; i++) pixels[cells.cell[i] as number] = toneColour(style, cells, i, 0.35);
      canvas.getContext("2d")?.putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), side, side), 0, 0);
      sprite = { canvas };
      this.#sprites.set(key, sprite, side * side);
    }
    if (!sprite.canvas) return;
    const [left, top] = toScreen(view, size, 0, 0);
    const context = this.#context;
    context.imageSmoothingEnabled = true;
    context.globalAlpha = 0.3;
    context.drawImage(sprite.canvas, left * ratio, top * ratio, view.scale * ratio, view.scale * ratio);
    context.globalAlpha = 1;
  }
}

const stretch = (a: number, b: number): number => Math.max(a / b, b / a);

/** Blocks of a cut that a range of cells touches, the middle first. */
function blocksOf({ block }: Generation, [x0, y0, x1, y1]: readonly [number, number, number, number]): [number, number][] {
  const found: [number, number][] = [];
  if (x1 <= x0 || y1 <= y0) return found;
  for (let by = Math.floor(y0 / block); by <= Math.floor((y1 - 1) / block); by++) {
    for (let bx = Math.floor(x0 / block); bx <= Math.floor((x1 - 1) / block); bx++) found.push([bx, by]);
  }
  const cx = (x0 + x1) / 2 / block - 0.5;
  const cy = (y0 + y1) / 2 / block - 0.5;
  return found.sort((a, b) => Math.hypot(a[0] - cx, a[1] - cy) - Math.hypot(b[0] - cx, b[1] - cy));
}
