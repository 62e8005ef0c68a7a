/** The pictures of a session as rows: their order, and the CSV file of all of them. */
import type { Case } from "../api/types";

export interface Judged {
  readonly key: number;
  readonly name: string;
  readonly from: string;
  readonly state: "waiting" | "judging" | "done" | "failed";
  readonly case: Case | null;
  readonly error: unknown;
}

export type Column = "name" | "verdict" | "probability" | "size" | "format";

const VERDICTS = ["ai", "inconclusive", "out_of_domain", "real"];

const keys: Record<Column, (entry: Judged) => string | number | null> = {
  name: ({ name }) => name.toLowerCase(),
  verdict: (entry) => (entry.case ? VERDICTS.indexOf(entry.case.verdict) : null),
  probability: (entry) => entry.case?.probability ?? null,
  size: (entry) => (entry.case ? entry.case.facts.width * entry.case.facts.height : null),
  format: (entry) => entry.case?.facts.format ?? null,
};

/** Entries in the order of a column; those without a value come last either way, equal ones as they came. */
export function sorted<T extends Judged>(entries: readonly T[], column: Column | null, falling: boolean): T[] {
  if (column === null) return [...entries];
  const key = keys[column];
  return [...entries].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return falling ? -order : order;
  });
}

const HEAD = [
  "name", "archive", "verdict", "probability", "low", "high", "logit", "real_up_to", "ai_from", "base_rate", "width", "height",
  "format", "bytes", "sha256", "file_says", "reasons", "failure",
]; // prettier-ignore

/** A field: text that a spreadsheet would run as a formula gets an apostrophe, quotes are doubled. */
export function field(value: string | number | null): string {
  if (typeof value === "number") return String(value);
  const text = value ?? "";
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** Every entry as a line, in the order given; the mark at the beginning tells spreadsheets that it is UTF-8. */
export function csvOf(entries: readonly Judged[]): string {
  const lines = entries.map((entry) => {
    const found = entry.case;
    const failure = entry.error instanceof Error ? entry.error.message : "";
    const missing = found ? "" : failure || "not judged yet";
    const [low, high] = found?.interval ?? [null, null];
    return [
      entry.name, entry.from, found?.verdict ?? "", found?.probability ?? null, low, high, found?.logit ?? null,
      found?.thresholds.real ?? null, found?.thresholds.ai ?? null, found?.base_rate ?? null,
      found?.facts.width ?? null, found?.facts.height ?? null, found?.facts.format ?? "", found?.facts.bytes ?? null,
      found?.facts.sha256 ?? "", found?.provenance?.map((one) => one.claims).join("; ") ?? "", found?.reasons.join("; ") ?? "",
      missing,
    ]; // prettier-ignore
  });
  return `\uFEFF${[HEAD, ...lines].map((line) => line.map(field).join(",")).join("\r\n")}\r\n`;
}
