/**
 * Thumbnails as addresses for pictures on the page: asked for a sheet at a time, and let go when there are many.
 *
 * An address holds the picture itself. Making an object URL for each asks the browser's main process, and takes
 * half a millisecond a picture during which nothing else is drawn.
 */
import { SvelteMap } from "svelte/reactivity";

import type { Jpeg } from "./api";

/** Pictures of one request. */
const SHEET = 120;
/** Addresses that are kept; each holds a few kilobytes. */
const KEPT = 4000;

export class Pictures {
  readonly #addresses = new SvelteMap<number, string | null>();
  #wanted: readonly number[] = [];
  #asked: readonly number[] = [];
  #waiting = false;

  constructor(readonly load: (rows: readonly number[]) => Promise<(Jpeg | null)[]>) {}

  /** Address of an image's thumbnail; undefined until it is there. */
  address(row: number): string | undefined {
    return this.#addresses.get(row) ?? undefined;
  }

  /** Whether the atlas has no picture of an image, as far as is known. */
  lacks(row: number): boolean {
    return this.#addresses.get(row) === null;
  }

  /** Ask for an image's thumbnail, together with all others that are asked for in the same moment. */
  want(row: number): void {
    if (this.#addresses.has(row) || this.#asked.includes(row)) return;
    this.#asked = [...this.#asked, row];
    this.#wanted = [...this.#wanted, row];
    if (this.#waiting) return;
    this.#waiting = true;
    queueMicrotask(() => {
      this.#waiting = false;
      const rows = this.#wanted;
      this.#wanted = [];
      for (let from = 0; from < rows.length; from += SHEET) void this.#fetch(rows.slice(from, from + SHEET));
    });
  }

  async #fetch(rows: readonly number[]): Promise<void> {
    try {
      const found = await this.load(rows);
      rows.forEach((row, i) => {
        const picture = found[i];
        this.#addresses.set(row, picture ? dataAddress(picture) : null);
      });
    } catch {
      for (const row of rows) this.#addresses.set(row, null);
    }
    this.#asked = this.#asked.filter((row) => !rows.includes(row));
    for (const [row] of [...this.#addresses].slice(0, Math.max(0, this.#addresses.size - KEPT))) this.#addresses.delete(row);
  }
}

/** Bytes at once that become arguments of a call. */
const CHUNK = 8192;

/** A JPEG file as an address. */
export function dataAddress(bytes: Jpeg): string {
  let text = "";
  for (let from = 0; from < bytes.length; from += CHUNK) text += String.fromCharCode(...bytes.subarray(from, from + CHUNK));
  return `data:image/jpeg;base64,${btoa(text)}`;
}
