/**
 * Selection specs: what is selected, as data that the server evaluates and the address bar carries.
 *
 * A spec is a conjunction of clauses. The client never holds the selected rows; it holds this and the server's
 * counts, so that a selection of 200 000 images costs as much as one of two.
 */

export type Point = readonly [number, number];

/** Both ends included; `null` is an open end. */
export type Range = readonly [number | null, number | null];

/** The same of dates: ISO dates, or times. */
export type DateRange = readonly [string | null, string | null];

export type Clause =
  | { readonly cells: { readonly level: number; readonly ids: readonly number[] } }
  | { readonly polygon: readonly Point[] }
  | { readonly rect: readonly [number, number, number, number] }
  | { readonly column: string; readonly in: readonly (string | null)[] }
  | { readonly column: string; readonly range: Range | DateRange }
  | { readonly dimension: number; readonly range: Range }
  | { readonly prototype: number }
  | { readonly rows: readonly number[] }
  /** Near-duplicates of an image, or all that are, or those that straddle classes or generators. */
  | { readonly copies: number | CopiesAcross }
  | { readonly text: string }
  | { readonly not: Clause }
  | { readonly or: readonly Clause[] }
  | { readonly and: readonly Clause[] };

export type CopiesAcross = "any" | "class" | "generator";

export interface Spec {
  readonly and: readonly Clause[];
}

export const ALL: Spec = { and: [] };

/** What a clause is about; a new clause of the same subject replaces the old one. */
export function subject(clause: Clause): string {
  if ("cells" in clause || "polygon" in clause || "rect" in clause) return "region";
  if ("column" in clause) return `column:${clause.column}`;
  if ("dimension" in clause) return `dimension:${clause.dimension}`;
  if ("prototype" in clause) return `prototype:${clause.prototype}`;
  if ("rows" in clause) return "rows";
  if ("copies" in clause) return "copies";
  if ("text" in clause) return "text";
  if ("not" in clause) return `not:${subject(clause.not)}`;
  if ("or" in clause) return clause.or.length ? subject(clause.or[0] as Clause) : "or";
  return "and";
}

/** The spec with `clause` in place of any other clause of its subject. */
export function withClause(spec: Spec, clause: Clause): Spec {
  const about = subject(clause);
  const at = spec.and.findIndex((other) => subject(other) === about);
  if (at < 0) return { and: [...spec.and, clause] };
  return { and: spec.and.map((other, i) => (i === at ? clause : other)) };
}

export function without(spec: Spec, about: string): Spec {
  return { and: spec.and.filter((clause) => subject(clause) !== about) };
}

/** The condition that a spec has on a column by itself, `not` included. */
export function ofColumn(spec: Spec, column: string): Clause | undefined {
  const about = new Set([`column:${column}`, `not:column:${column}`]);
  return spec.and.find((clause) => about.has(subject(clause)));
}

/** The spec with `clause` as its only condition on a column; null for none. */
export function withColumn(spec: Spec, column: string, clause: Clause | null): Spec {
  const old = ofColumn(spec, column);
  if (clause === null) return { and: spec.and.filter((other) => other !== old) };
  return old ? { and: spec.and.map((other) => (other === old ? clause : other)) } : { and: [...spec.and, clause] };
}

/** What it is not: `not` around a clause, or taken away from it. */
export function inverted(clause: Clause): Clause {
  return "not" in clause ? clause.not : { not: clause };
}

/** Widen the spec's region (or prototype, …) by another one: what Shift does. */
export function extended(spec: Spec, clause: Clause): Spec {
  const about = subject(clause);
  const old = spec.and.find((other) => subject(other) === about);
  if (!old) return withClause(spec, clause);
  if ("cells" in old && "cells" in clause && old.cells.level === clause.cells.level) {
    const ids = [...new Set([...old.cells.ids, ...clause.cells.ids])].sort((a, b) => a - b);
    return withClause(spec, { cells: { level: old.cells.level, ids } });
  }
  const parts = "or" in old ? old.or : [old];
  return withClause(spec, { or: [...parts, clause] });
}

/** Take a clause away again where it is already in the spec, else put it in. */
export function toggled(spec: Spec, clause: Clause): Spec {
  const text = canonical(clause);
  return spec.and.some((other) => canonical(other) === text)
    ? { and: spec.and.filter((other) => canonical(other) !== text) }
    : withClause(spec, clause);
}

export function has(spec: Spec, clause: Clause): boolean {
  const text = canonical(clause);
  return spec.and.some((other) => canonical(other) === text);
}

/** JSON with sorted keys: one spec, one text, one address. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

export function encodeSpec(spec: Spec): string {
  return spec.and.length ? canonical(spec) : "";
}

/** The spec of an address, or everything when the text is none. A damaged address must still open the atlas. */
export function decodeSpec(text: string | undefined): Spec {
  if (!text) return ALL;
  try {
    const value: unknown = JSON.parse(text);
    if (isSpec(value)) return value;
  } catch {
    // fall through
  }
  return ALL;
}

function isSpec(value: unknown): value is Spec {
  return isRecord(value) && Array.isArray(value["and"]) && value["and"].every(isClause);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const numbers = (value: unknown, length?: number): value is number[] =>
  Array.isArray(value) && (length === undefined || value.length === length) && value.every((x) => typeof x === "number");

const isRange = (value: unknown): value is Range =>
  Array.isArray(value) && value.length === 2 && value.every((x) => x === null || typeof x === "number");

const isDates = (value: unknown): value is DateRange =>
  Array.isArray(value) && value.length === 2 && value.every((x) => x === null || typeof x === "string");

function isClause(value: unknown): value is Clause {
  if (!isRecord(value)) return false;
  if ("cells" in value) {
    const cells = value["cells"];
    return isRecord(cells) && typeof cells["level"] === "number" && numbers(cells["ids"]);
  }
  if ("polygon" in value) return Array.isArray(value["polygon"]) && value["polygon"].every((p) => numbers(p, 2));
  if ("rect" in value) return numbers(value["rect"], 4);
  if ("column" in value) {
    const known = value["in"];
    const listed = Array.isArray(known) && known.every((x) => x === null || typeof x === "string");
    return typeof value["column"] === "string" && (listed || isRange(value["range"]) || isDates(value["range"]));
  }
  if ("dimension" in value) return typeof value["dimension"] === "number" && isRange(value["range"]);
  if ("prototype" in value) return typeof value["prototype"] === "number";
  if ("rows" in value) return numbers(value["rows"]);
  if ("copies" in value) return typeof value["copies"] === "number" || ["any", "class", "generator"].includes(String(value["copies"]));
  if ("text" in value) return typeof value["text"] === "string";
  if ("not" in value) return isClause(value["not"]);
  const parts = value["or"] ?? value["and"];
  return Array.isArray(parts) && parts.every(isClause);
}

/** Names that a clause's words need: of dimensions and prototypes. */
export interface Names {
  readonly dimension: (k: number) => string;
  readonly prototype: (id: number) => string;
}

const VALUES: Readonly<Record<string, string>> = {
  fake: "generated",
  real: "real",
  unknown: "unlabelled",
  ai: "AI-generated",
  inconclusive: "inconclusive",
  fp: "real, called generated",
  fn: "generated, called real",
  tp: "generated, found",
  tn: "real, found",
  unanswered: "no answer",
};

const COLUMNS: Readonly<Record<string, string>> = {
  tag: "Tag",
  label: "Label",
  verdict: "Verdict",
  error: "Outcome",
  generator: "Generator",
  source: "Source",
  probability: "Score",
  uncertainty: "Uncertainty",
  lineage: "Lineage",
  era: "Era",
  format: "Format",
  width: "Width",
  height: "Height",
  bytes: "File size",
  jpeg_quality: "JPEG quality",
  has_icc: "Colour profile",
  has_exif: "Exif data",
};

const COPIES: Readonly<Record<CopiesAcross, string>> = {
  any: "Near-duplicates",
  class: "Near-duplicates in both classes",
  generator: "Near-duplicates of several generators",
};

export function valueName(column: string, value: string | null): string {
  if (value === null || value === "") return "none";
  return column === "label" || column === "verdict" || column === "error" ? (VALUES[value] ?? value) : value;
}

export const columnName = (column: string): string => COLUMNS[column] ?? column;

/** A clause in a few words, for a chip. */
export function describe(clause: Clause, names: Names): string {
  if ("cells" in clause) return clause.cells.ids.length === 1 ? "1 cell" : `${clause.cells.ids.length} cells`;
  if ("polygon" in clause) return "Lasso";
  if ("rect" in clause) return "Rectangle";
  if ("column" in clause) {
    const name = columnName(clause.column);
    if ("range" in clause) return `${name} ${span(clause.range)}`;
    const values = clause.in.map((value) => valueName(clause.column, value));
    if (!values.length) return `${name}: nothing`;
    return values.length > 2 ? `${name}: ${values[0]} + ${values.length - 1}` : `${name}: ${values.join(" or ")}`;
  }
  if ("dimension" in clause) return `${names.dimension(clause.dimension)} ${span(clause.range)}`;
  if ("prototype" in clause) return `Pattern: ${names.prototype(clause.prototype)}`;
  if ("rows" in clause) return clause.rows.length === 1 ? "1 image" : `${clause.rows.length} images`;
  if ("copies" in clause) return typeof clause.copies === "number" ? `Near-duplicates of image ${clause.copies}` : COPIES[clause.copies];
  if ("text" in clause) return `“${clause.text}”`;
  if ("not" in clause) return `not ${describe(clause.not, names)}`;
  const parts = "or" in clause ? clause.or : clause.and;
  const word = "or" in clause ? "or" : "and";
  const regions = parts.every((part) => subject(part) === "region");
  return regions ? `${parts.length} regions` : parts.map((part) => describe(part, names)).join(` ${word} `);
}

function span([low, high]: Range | DateRange): string {
  if (low === null) return high === null ? "any" : `≤ ${bound(high)}`;
  return high === null ? `≥ ${bound(low)}` : `${bound(low)} to ${bound(high)}`;
}

const bound = (end: number | string): string => (typeof end === "string" ? end.slice(0, 10) : number(end));

function number(x: number): string {
  return (Math.round(x * 100) / 100).toString().replace("-", "−");
}
