/** The rows of a long list, in pages, fetched when they come into sight. */
import { cancelled } from "../../api/client";
import type { ImageRow } from "../model/api";
import type { Explore } from "../model/explore.svelte";
import type { Sort } from "../model/params";

export const PAGE = 120;

export class Pages {
  /** Rises when a page came. */
  arrived = $state(0);
  #pages: Readonly<Record<number, readonly ImageRow[]>> = {};
  #running: Readonly<Record<number, AbortController>> = {};
  /** Items that are shown, from the first to before the last. */
  #insight: readonly [number, number] = [0, 0];

  constructor(
    readonly explore: Explore,
    readonly key: string | null,
    readonly sort: Sort,
    readonly off: readonly number[],
  ) {}

  at(index: number): ImageRow | undefined {
    void this.arrived;
    return this.#pages[Math.floor(index / PAGE)]?.[index % PAGE];
  }

  /** Place of an image in the list, where its page is there. */
  indexOf(row: number): number | null {
    void this.arrived;
    for (const [page, rows] of Object.entries(this.#pages)) {
      const at = rows.findIndex((one) => one.row === row);
      if (at >= 0) return Number(page) * PAGE + at;
    }
    return null;
  }

  /** The image at a place, fetched if need be; undefined beyond the end. */
  async fetch(index: number): Promise<ImageRow | undefined> {
    const page = Math.floor(index / PAGE);
    if (index >= 0 && !(page in this.#pages) && !(page in this.#running)) await this.#load(page);
    return index < 0 ? undefined : this.at(index);
  }

  /** Ask for the pages that hold the items from `first` to before `last`; others that are under way are dropped. */
  want(first: number, last: number): void {
    this.#insight = [first, last];
    const from = Math.floor(first / PAGE);
    const to = Math.floor(Math.max(first, last - 1) / PAGE);
    for (const [page, controller] of Object.entries(this.#running)) {
      if (Number(page) < from || Number(page) > to) this.#drop(Number(page), controller);
    }
    for (let page = from; page <= to; page++) if (!(page in this.#pages) && !(page in this.#running)) void this.#load(page);
  }

  async #load(page: number): Promise<void> {
    const controller = new AbortController();
    this.#running = { ...this.#running, [page]: controller };
    try {
      const { api } = this.explore;
      const asked = api.rows(this.key, this.sort, this.off, page * PAGE, PAGE, controller.signal);
      const found = await this.explore.during(asked);
      // The pictures are asked for before the page with their places is drawn.
      const [first, last] = this.#insight;
      for (const { row } of found.slice(Math.max(0, first - page * PAGE), Math.max(0, last - page * PAGE))) this.explore.pictures.want(row);
      this.#pages = { ...this.#pages, [page]: found };
      this.arrived++;
    } catch (error) {
      if (!cancelled(error)) this.explore.fail(error);
    } finally {
      this.#drop(page, controller);
    }
  }

  #drop(page: number, controller: AbortController): void {
    controller.abort();
    if (this.#running[page] !== controller) return;
    this.#running = Object.fromEntries(Object.entries(this.#running).filter(([other]) => Number(other) !== page));
  }

  dispose(): void {
    for (const controller of Object.values(this.#running)) controller.abort();
  }
}
