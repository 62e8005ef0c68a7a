/** Names on the map: what a region of it holds, by level of zoom, none over another. */
import { type Cells, OTHER, coloursOf } from "../model/cells";
import type { Point } from "../model/spec";
import type { Size } from "../model/viewport";

export type LabelKind = "generators" | "dimensions" | "tags" | "none";

export interface Label {
  readonly text: string;
  /** Middle, in CSS pixels. */
  readonly x: number;
  readonly y: number;
}

export interface Seen {
  readonly cells: Cells;
  readonly row: number;
  /** Middle of the cell on the screen, in CSS pixels. */
  readonly at: Point;
}

/** Side of the part of the screen that has one label at most: the same at every zoom, so nearer means finer. */
const PART = 150;
/** Share of a part's images that a generator must have to name it. */
const SHARE = 0.2;
/** People tag few images, and mean those: a twentieth is enough. */
const TAGGED = 0.05;
const LETTER = 6.6;
const HIGH = 18;
const LONGEST = 28;

interface Sum {
  readonly count: number;
  readonly x: number;
  readonly y: number;
}

interface Part {
  count: number;
  readonly by: Map<string, Sum>;
}

/**
 * Labels for the cells on the screen. Cells are gathered into squares of the screen; a square is named after the
 * generator that has a fifth of its images, after the dimension that weighs most in it, or after its most frequent tag. Of labels that would
 * overlap, or say the same side by side, the one of more images stays.
 */
export function labelsOf(seen: Iterable<Seen>, kind: LabelKind, size: Size, dimension: (k: number) => string): Label[] {
  if (kind === "none") return [];
  const parts = new Map<string, Part>();
  for (const { cells, row, at } of seen) {
    if (at[0] < 0 || at[1] < 0 || at[0] > size.width || at[1] > size.height) continue;
    const key = `${Math.floor(at[0] / PART)}/${Math.floor(at[1] / PART)}`;
    const part = parts.get(key) ?? { count: 0, by: new Map<string, Sum>() };
    parts.set(key, part);
    part.count += cells.count[row] as number;
    for (const [name, amount] of kind === "generators" ? generators(cells, row) : kind === "tags" ? tags(cells, row) : strong(cells, row, dimension)) {
      const one = part.by.get(name) ?? { count: 0, x: 0, y: 0 };
      part.by.set(name, { count: one.count + amount, x: one.x + amount * at[0], y: one.y + amount * at[1] });
    }
  }
  const found: (Label & { readonly weight: number })[] = [];
  for (const { count, by } of parts.values()) {
    const [best] = [...by].sort((a, b) => b[1].count - a[1].count);
    if (!best) continue;
    const [text, sum] = best;
    if (kind !== "dimensions" && sum.count < (kind === "tags" ? TAGGED : SHARE) * count) continue;
    found.push({ text, x: sum.x / sum.count, y: sum.y / sum.count, weight: sum.count });
  }
  return placed(found.sort((a, b) => b.weight - a.weight), size);
}

function generators(cells: Cells, row: number): [string, number][] {
  const wide = cells.generatorWidth;
  return cells.generatorNames
    .slice(0, Math.min(wide, OTHER))
    .map((name, g): [string, number] => [name, cells.generators[row * wide + g] as number])
    .filter(([, count]) => count > 0);
}

function tags(cells: Cells, row: number): [string, number][] {
  const found = coloursOf(cells, "tag");
  if (!found) return [];
  return found.names.map((name, i): [string, number] => [name, found.values[row * found.width + i] as number]).filter(([, count]) => count > 0);
}

function strong(cells: Cells, row: number, dimension: (k: number) => string): [string, number][] {
  const n = cells.count[row] as number;
  return Array.from({ length: cells.dimensions }, (_, k): [string, number] => [
    dimension(k),
    n * Math.abs(cells.impact[row * cells.dimensions + k] as number),
  ]).filter(([, amount]) => amount > 0);
}

/** Those that fit: in the order given, none over another and none cut by the edge. */
function placed(labels: readonly Label[], size: Size): Label[] {
  const kept: (Label & { readonly half: number })[] = [];
  for (const label of labels) {
    const half = (Math.min(LONGEST, label.text.length) * LETTER) / 2 + 6;
    if (half * 2 > size.width) continue;
    const x = Math.min(size.width - half, Math.max(half, label.x));
    const y = Math.min(size.height - HIGH / 2, Math.max(HIGH / 2, label.y));
    const clear = kept.every((other) => {
      const apart = Math.abs(other.x - x) >= other.half + half || Math.abs(other.y - y) >= HIGH;
      return apart && (other.text !== label.text || Math.hypot(other.x - x, other.y - y) >= 1.6 * PART);
    });
    if (clear) kept.push({ text: label.text, x, y, half });
  }
  return kept.map(({ text, x, y }) => ({ text, x, y }));
}

export const shortened = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1).trimEnd()}…` : text);
