/** Histograms of the side bar: from bins to bars, and from a brush to a condition. */
import type { ColumnView } from "../../api/generated";
import type { Clause, DateRange, Range } from "../model/spec";

/** A histogram drawn in a box of `width` × `height`: all images, and those of the selection. */
export interface Bars {
  readonly all: string;
  readonly selected: string;
}

/** Heights are square roots of counts, so that a bin of a few images can be seen beside one of thousands. */
export function bars(counts: readonly number[], selected: readonly number[], width: number, height: number): Bars {
  const most = Math.max(1, ...counts);
  const tall = (n: number): number => (n > 0 ? Math.max(1.5, Math.sqrt(n / most) * height) : 0);
  return { all: area(counts.map(tall), width, height), selected: area(selected.map(tall), width, height) };
}

function area(heights: readonly number[], width: number, height: number): string {
  const step = width / Math.max(1, heights.length);
  return heights.map((h, i) => (h > 0 ? `M${f(i * step)} ${f(height)}V${f(height - h)}H${f((i + 1) * step)}V${f(height)}Z` : "")).join("");
}

const f = (v: number): string => v.toFixed(1);

/** The bin at a share of the histogram's width. */
export function binAt(share: number, bins: number): number {
  return Math.max(0, Math.min(bins - 1, Math.floor(share * bins)));
}

/** What a brush from one bin to another selects; an end at the histogram's own end is open. Null for all of it. */
export function brushed(column: ColumnView, from: number, to: number): Clause | null {
  const edges = column.edges ?? [];
  const last = edges.length - 2;
  const [a, b] = from <= to ? [from, to] : [to, from];
  const low = a <= 0 ? null : (edges[a] ?? null);
  const high = b >= last ? null : (edges[b + 1] ?? null);
  if (low === null && high === null) return null;
  if (column.kind === "date") return { column: column.name, range: [iso(low), iso(high)] };
  return { column: column.name, range: [tidy(low, edges), tidy(high, edges)] };
}

export function rangeOf(clause: Clause | undefined): Range | DateRange {
  const inner = clause && "not" in clause ? clause.not : clause;
  return inner && "range" in inner ? inner.range : [null, null];
}

/** Shares of the histogram's width between which a range lies. */
export function extent(column: ColumnView, range: Range | DateRange): readonly [number, number] {
  const edges = column.edges ?? [];
  const place = (end: number | string | null, open: number): number => (end === null ? open : share(edges, typeof end === "string" ? Date.parse(zoned(end)) / 1000 : end));
  return [place(range[0], 0), place(range[1], 1)];
}

function share(edges: readonly number[], value: number): number {
  const bins = edges.length - 1;
  for (let i = 0; i < bins; i++) {
    const [low, high] = [edges[i] as number, edges[i + 1] as number];
    if (value < high) return Math.max(0, (i + (value - low) / (high - low)) / bins);
  }
  return 1;
}

/** A date or time as the server reads it: in UTC where it names no zone. */
const zoned = (text: string): string => (text.includes("T") && !/(Z|[+-]\d\d:?\d\d)$/.test(text) ? `${text}Z` : text);

function iso(seconds: number | null): string | null {
  return seconds === null ? null : new Date(seconds * 1000).toISOString().slice(0, 19);
}

/** An edge with as many digits as the bins need, so that chips and addresses stay readable. */
function tidy(value: number | null, edges: readonly number[]): number | null {
  if (value === null) return null;
  const finest = Math.min(...edges.slice(1).map((edge, i) => edge - (edges[i] as number)));
  const digits = Math.max(0, Math.ceil(-Math.log10(finest)) + 2);
  return Number(value.toFixed(Math.min(12, digits)));
}

/** An end of a column's axis in a few characters. */
export function endName(column: ColumnView, value: number): string {
  if (column.kind === "date") return new Date(value * 1000).toISOString().slice(0, 10);
  if (column.name === "bytes") return value < 1e6 ? `${Math.round(value / 1e3)} kB` : `${(value / 1e6).toFixed(1)} MB`;
  if (column.name === "probability" || column.name === "uncertainty") return value.toFixed(0);
  const size = Math.abs(value);
  return size >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toPrecision(3);
}
