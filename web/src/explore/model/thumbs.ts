/** Small pictures of images, decoded off the main thread and kept while there is room. */
import { Lru } from "./lru";

const AT_ONCE = 6;

export class Thumbs {
  readonly #cache = new Lru<ImageBitmap>(3000, (bitmap) => bitmap.close());
  readonly #running = new Map<number, AbortController>();
  readonly #broken = new Set<number>();
  #queue: number[] = [];

  constructor(
    readonly address: (row: number) => string,
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
    while (this.#running.size < AT_ONCE) {
      const row = this.#queue.shift();
      if (row === undefined) return;
      void this.#load(row);
    }
  }

  async #load(row: number): Promise<void> {
    const controller = new AbortController();
    this.#running.set(row, controller);
    try {
      const response = await fetch(this.address(row), { signal: controller.signal });
      if (!response.ok) throw new Error(response.statusText);
      const bitmap = await createImageBitmap(await response.blob());
      if (controller.signal.aborted) bitmap.close();
      else {
        this.#cache.set(String(row), bitmap);
        this.arrived(row);
      }
    } catch {
      // A missing thumbnail leaves its place empty; the gallery and the inspector say why.
      if (!controller.signal.aborted) this.#broken.add(row);
    } finally {
      this.#running.delete(row);
      this.#pump();
    }
  }
}
