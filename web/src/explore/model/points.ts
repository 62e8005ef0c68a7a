/**
 * The images of an atlas as points of its map: where each is, and what colours it.
 *
 * Places come once, in the order of the map, so that a block of neighbouring points lies in a small box and what
 * is off the screen is left out a thousand points at a time. Colours come again with every other selection.
 */
import type { Table } from "@uwdata/flechette";

/** Units of a place across the map. */
export const ACROSS = 65_536;
const BLOCK = 1024;
/** Tone of what has no value. */
export const UNKNOWN = 255;

export interface Points {
  readonly length: number;
  readonly rows: Int32Array;
  readonly x: Uint16Array;
  readonly y: Uint16Array;
  /** Left, top, right and bottom of every block of points, ends included. */
  readonly boxes: Uint16Array;
}

export interface PointColours {
  readonly names: readonly string[];
  /** Of a scale; NaN for none. */
  readonly values: Float32Array | null;
  /** Of categories; 255 for none. */
  readonly categories: Uint8Array | null;
  /** 1 for selected points; null where nothing narrows the selection. */
  readonly selected: Uint8Array | null;
}

export function decodePoints(table: Table): Points {
  const column = (name: string): ArrayLike<number> => table.getChild(name)?.toArray() as ArrayLike<number>;
  return pointsOf(Int32Array.from(column("row")), Uint16Array.from(column("x")), Uint16Array.from(column("y")));
}

export function pointsOf(rows: Int32Array, x: Uint16Array, y: Uint16Array): Points {
  const blocks = Math.ceil(rows.length / BLOCK);
  const boxes = new Uint16Array(4 * blocks);
  for (let b = 0; b < blocks; b++) {
    let [left, top, right, bottom] = [ACROSS, ACROSS, 0, 0];
    for (let i = b * BLOCK; i < Math.min(rows.length, (b + 1) * BLOCK); i++) {
      const [px, py] = [x[i] as number, y[i] as number];
      if (px < left) left = px;
      if (px > right) right = px;
      if (py < top) top = py;
      if (py > bottom) bottom = py;
    }
    boxes.set([left, top, right, bottom], 4 * b);
  }
  return { length: rows.length, rows, x, y, boxes };
}

export function decodeColours(table: Table): PointColours {
  const has = (name: string): boolean => table.names.includes(name);
  const column = (name: string): ArrayLike<number> => table.getChild(name)?.toArray() as ArrayLike<number>;
  const names: unknown = JSON.parse(table.schema.metadata?.get("names") ?? "[]");
  return {
    names: Array.isArray(names) ? names.map(String) : [],
    values: has("value") ? Float32Array.from(column("value")) : null,
    categories: has("category") ? Uint8Array.from(column("category")) : null,
    selected: has("selected") ? Uint8Array.from(column("selected")) : null,
  };
}

/** Ranges [from, to) of points whose blocks touch a box of the map, ends included, given in units. */
export function* touching(points: Points, left: number, top: number, right: number, bottom: number): Generator<readonly [number, number]> {
  const { boxes, length } = points;
  for (let b = 0, at = 0; at < boxes.length; b++, at += 4) {
    if ((boxes[at] as number) > right || (boxes[at + 1] as number) > bottom || (boxes[at + 2] as number) < left || (boxes[at + 3] as number) < top) continue;
    yield [b * BLOCK, Math.min(length, (b + 1) * BLOCK)];
  }
}
