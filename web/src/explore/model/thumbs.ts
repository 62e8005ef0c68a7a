/** Small pictures of images, decoded off the main thread and kept while there is room. */
import type { Jpeg } from "./api";
import { Lru } from "./lru";

const AT_ONCE = 3;
/** Pictures of one request. */
const SHEET = 64;

export class Thumbs {
  readonly #cache = new Lru<ImageBitmap>(3000, (bitmap) => bitmap.close());
  readonly #running = new Map<number, AbortController>();
  readonly #broken = new Set<number>();
  #queue: number[] = [];

  constructor(
    readonly load: (rows: readonly number[], signal: AbortSignal) => Promise<(Jpeg | null)[]>,
    readonly arrived: (row: number) => void,
  ) {}

  get(row: number): ImageBitmap | undefined {
    return this.#cache.get(String(row));
  }

  /** Rows whose pictures the screen needs now, most urgent first; those that wait no longer are forgotten. */
  want(rows: Iterable<number>): void {
    this.#queue = [...new Set(rows)].filter(
      (row) => !this.#cache.peek(String(row)) && !this.#running.has(row) && !this.#broken.has(row),
    );
    this.#pump();
  }

  dispose(): void {
    this.#queue = [];
    for (const controller of this.#running.values()) controller.abort();
    this.#running.clear();
    this.#cache.clear();
  }

  #pump(): void {
    while (this.#queue.length && new Set(this.#running.values()).size < AT_ONCE) void this.#fetch(this.#queue.splice(0, SHEET));
  }

  async #fetch(rows: readonly number[]): Promise<void> {
    const controller = new AbortController();
    for (const row of rows) this.#running.set(row, controller);
    try {
      const found = await this.load(rows, controller.signal);
      await Promise.all(rows.map((row, i) => this.#decode(row, found[i] ?? null, controller.signal)));
    } catch {
      if (!controller.signal.aborted) for (const row of rows) this.#broken.add(row);
    } finally {
      for (const row of rows) this.#running.delete(row);
      if (!controller.signal.aborted) this.#pump();
    }
  }

  /** A missing thumbnail leaves its place empty; the gallery and the inspector say why. */
  async #decode(row: number, picture: Jpeg | null, signal: AbortSignal): Promise<void> {
    try {
      if (picture === null) throw new Error("no thumbnail");
      const bitmap = await createImageBitmap(new Blob([picture], { type: "image/jpeg" }));
      if (signal.aborted) {
        bitmap.close();
        return;
      }
      this.#cache.set(String(row), bitmap);
      this.arrived(row);
    } catch {
      if (!signal.aborted) this.#broken.add(row);
    }
  }
}
