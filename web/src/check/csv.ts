/** The pictures of a session as a CSV file with the columns of `morelli detect --csv`. */
import { ApiError } from "../api/client";
import { CLAIM_WORDS, COLUMNS, SECOND_COLUMNS } from "../api/generated";
import type { Case, NeighborAnswer, ProvenanceFinding } from "../api/types";
import type { Judged } from "./table";

type Column = (typeof COLUMNS)[number] | (typeof SECOND_COLUMNS)[number];
type Cell = string | number | boolean | null;
type OfEntry = "uri" | "error" | "error_message";

/** What a case holds for each column; nobody gives labels and generators here. */
const cells: Record<Exclude<Column, OfEntry>, (found: Case) => Cell> = {
  sha256: ({ facts }) => facts.sha256,
  label: () => null,
  generator: () => null,
  verdict: ({ verdict }) => verdict,
  probability: ({ probability }) => probability,
  probability_low: ({ interval }) => interval[0],
  probability_high: ({ interval }) => interval[1],
  logit: ({ logit }) => logit,
  domain_distance: ({ domain_distance: distance }) => distance,
  nearest_generated: ({ neighbors }) => called(neighbors.fake[0]),
  nearest_generated_similarity: ({ neighbors }) => similarity(neighbors.fake[0]),
  nearest_real: ({ neighbors }) => called(neighbors.real[0]),
  nearest_real_similarity: ({ neighbors }) => similarity(neighbors.real[0]),
  reasons: ({ reasons }) => reasons.join("; "),
  width: ({ facts }) => facts.width,
  height: ({ facts }) => facts.height,
  format: ({ facts }) => facts.format,
  bytes: ({ facts }) => facts.bytes,
  notes: ({ facts }) => facts.notes.join("; "),
  provenance: ({ provenance }) => provenance.map(claimed).join("; "),
  family: ({ family }) => family?.family ?? null,
  family_probability: ({ family }) => family?.probability ?? null,
  stability_low: ({ stability }) => stability?.low ?? null,
  stability_high: ({ stability }) => stability?.high ?? null,
  flips: ({ stability }) => stability?.flips ?? null,
  second_verdict: ({ second }) => second?.verdict ?? null,
  second_probability: ({ second }) => second?.probability ?? null,
  second_low: ({ second }) => second?.interval[0] ?? null,
  second_high: ({ second }) => second?.interval[1] ?? null,
  agreement: ({ second }) => second?.agreement ?? null,
};

/** A field: text that a spreadsheet would run as a formula gets an apostrophe, quotes are doubled. */
export function field(value: Cell): string {
  if (typeof value === "number") return String(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  const text = value ?? "";
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** Every entry as a line, in the order given; the mark at the beginning tells spreadsheets that it is UTF-8. */
export function csvOf(entries: readonly Judged[]): string {
  const beside = entries.some((one) => one.case?.second);
  const columns: readonly Column[] = beside ? [...COLUMNS, ...SECOND_COLUMNS] : COLUMNS;
  const lines = entries.map((entry) => columns.map((column) => cell(entry, column)));
  return `\uFEFF${[columns, ...lines].map((line) => line.map(field).join(",")).join("\r\n")}\r\n`;
}

function cell(entry: Judged, column: Column): Cell {
  // A member of an archive is named as the command line names it.
  if (column === "uri") return entry.from === "" ? entry.name : `${entry.from}::${entry.name}`;
  if (column === "error") return entry.case ? null : reason(entry);
  if (column === "error_message") return entry.case ? null : entry.error instanceof Error ? entry.error.message : "not judged yet";
  return entry.case ? cells[column](entry.case) : null;
}

function reason({ error }: Judged): string {
  if (error instanceof ApiError) return error.reason || "failed";
  return error instanceof Error ? "failed" : "not_judged";
}

/** How a neighbour is called in a table: its generator or source, else its name, else its id. */
function called(near: NeighborAnswer | undefined): string | null {
  if (!near) return null;
  const made = near.generator === "real" || near.generator === "fake" ? null : near.generator;
  return made || near.name || near.id.slice(0, 12);
}

const similarity = (near: NeighborAnswer | undefined): number | null => (near ? 1 - near.distance : null);

function claimed({ claims, tool, version }: ProvenanceFinding): string {
  const named = [tool, version].filter(Boolean).join(" ");
  return named === "" ? CLAIM_WORDS[claims] : `${CLAIM_WORDS[claims]}: ${named}`;
}
