/**
 * Tiles of the pyramid: fetched once, kept while there is room, never asked for twice at a time.
 *
 * A tile is `TILE` × `TILE` cells of one level; up to that level the whole level is one tile. Requests that went
 * off the screen before they started are dropped, so that a long flight over the map does not queue what nobody
 * looks at any more.
 */
import type { Cells } from "./cells";
import { Lru } from "./lru";

export const TILE = 32;
const AT_ONCE = 4;

/** What all tiles on the screen have in common; another one of it makes them stale. */
export interface Source {
  /** Differs when the tiles' content differs: atlas, selection, dimensions switched off. */
  readonly key: string;
  load(level: number, tx: number, ty: number, signal: AbortSignal): Promise<Cells>;
}

interface Wanted {
  readonly level: number;
  readonly tx: number;
  readonly ty: number;
}

export class Tiles {
  readonly #cache = new Lru<Cells>(1_500_000);
  readonly #running = new Map<string, AbortController>();
  readonly #failed = new Map<string, number>();
  #queue: Wanted[] = [];
  #source: Source;

  constructor(
    source: Source,
    readonly changed: (level: number, tx: number, ty: number) => void,
    readonly failed: (error: unknown) => void = () => undefined,
  ) {
    this.#source = source;
  }

  get source(): Source {
    return this.#source;
  }

  /** Change what tiles show. Old tiles stay in the cache: undo brings them back at once. */
  use(source: Source): void {
    if (source.key === this.#source.key) {
      this.#source = source;
      return;
    }
    this.#source = source;
    this.#queue = [];
    for (const controller of this.#running.values()) controller.abort();
    this.#running.clear();
    this.#failed.clear();
  }

  get(level: number, tx: number, ty: number): Cells | undefined {
    return this.#cache.get(this.#key({ level, tx, ty }));
  }

  /** The row of cells that holds a cell, if its tile is there. */
  find(level: number, ix: number, iy: number): { cells: Cells; row: number } | undefined {
    const cells = this.get(level, Math.floor(ix / TILE), Math.floor(iy / TILE));
    const row = cells?.index.get(iy * 2 ** level + ix);
    return cells && row !== undefined ? { cells, row } : undefined;
  }

  /** Say which tiles the screen needs now, most urgent first; others that wait are forgotten. */
  want(tiles: readonly Wanted[]): void {
    const wanted = new Set(tiles.map((tile) => this.#key(tile)));
    for (const [key, controller] of this.#running) {
      if (!wanted.has(key)) {
        controller.abort();
        this.#running.delete(key);
      }
    }
    this.#queue = tiles.filter((tile) => {
      const key = this.#key(tile);
      return !this.#cache.peek(key) && !this.#running.has(key) && (this.#failed.get(key) ?? 0) < 2;
    });
    this.#pump();
  }

  get idle(): boolean {
    return this.#queue.length === 0 && this.#running.size === 0;
  }

  dispose(): void {
    this.#queue = [];
    for (const controller of this.#running.values()) controller.abort();
    this.#running.clear();
    this.#cache.clear();
  }

  #key({ level, tx, ty }: Wanted): string {
    return `${this.#source.key}/${level}/${tx}/${ty}`;
  }

  #pump(): void {
    while (this.#running.size < AT_ONCE) {
      const next = this.#queue.shift();
      if (!next) return;
      void this.#load(next);
    }
  }

  async #load(tile: Wanted): Promise<void> {
    const key = this.#key(tile);
    const controller = new AbortController();
    this.#running.set(key, controller);
    try {
      const cells = await this.#source.load(tile.level, tile.tx, tile.ty, controller.signal);
      if (controller.signal.aborted) return;
      this.#cache.set(key, cells, 200 + cells.length * (20 + cells.dimensions));
      this.#done(key, controller);
      this.changed(tile.level, tile.tx, tile.ty);
    } catch (error) {
      if (controller.signal.aborted) return;
      this.#failed.set(key, (this.#failed.get(key) ?? 0) + 1);
      this.#done(key, controller);
      this.failed(error);
    }
  }

  #done(key: string, controller: AbortController): void {
    if (this.#running.get(key) === controller) this.#running.delete(key);
    this.#pump();
  }
}

/** Tiles that cover a range of cells [x0, y0, x1, y1), nearest to its middle first. */
export function covering([x0, y0, x1, y1]: readonly [number, number, number, number], level: number): Wanted[] {
  const found: Wanted[] = [];
  if (x1 <= x0 || y1 <= y0) return found;
  const from = (v: number): number => Math.floor(v / TILE);
  for (let ty = from(y0); ty <= from(y1 - 1); ty++) {
    for (let tx = from(x0); tx <= from(x1 - 1); tx++) found.push({ level, tx, ty });
  }
  const cx = (x0 + x1) / 2 / TILE - 0.5;
  const cy = (y0 + y1) / 2 / TILE - 0.5;
  const far = (tile: Wanted): number => Math.hypot(tile.tx - cx, tile.ty - cy);
  return found.sort((a, b) => far(a) - far(b));
}
