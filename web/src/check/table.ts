/** The pictures of a session as rows: their order, and the CSV file of all of them. */
import type { Agreement, Case } from "../api/types";

export interface Judged {
  readonly key: number;
  readonly name: string;
  readonly from: string;
  readonly state: "waiting" | "judging" | "done" | "failed";
  readonly case: Case | null;
  readonly error: unknown;
}

export type Column = "name" | "verdict" | "probability" | "second" | "size" | "format";

/** What the table may be narrowed to, where a second detector judges too. */
export const AGREEMENTS: readonly { only: string; agreement: Agreement; name: string }[] = [
  { only: "disagree", agreement: "disagree", name: "They disagree" },
  { only: "one", agreement: "one_answers", name: "Only one answers" },
];

const VERDICTS = ["ai", "inconclusive", "out_of_domain", "real"];

const keys: Record<Column, (entry: Judged) => string | number | null> = {
  name: ({ name }) => name.toLowerCase(),
  verdict: (entry) => (entry.case ? VERDICTS.indexOf(entry.case.verdict) : null),
  probability: (entry) => entry.case?.probability ?? null,
  second: (entry) => (entry.case?.second ? VERDICTS.indexOf(entry.case.second.verdict) : null),
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

/** The entries whose two verdicts stand to each other in this way; all of them for null. */
export function narrowed<T extends Judged>(entries: readonly T[], agreement: Agreement | null): readonly T[] {
  return agreement === null ? entries : entries.filter((one) => one.case?.second?.agreement === agreement);
}

const HEAD = [
  "name", "archive", "verdict", "probability", "low", "high", "logit", "real_up_to", "ai_from", "base_rate", "width", "height",
  "format", "bytes", "sha256", "file_says", "reasons", "failure",
]; // prettier-ignore

/** Columns of the second detector, where one judged. */
const SECOND_HEAD = ["second_detector", "second_verdict", "second_probability", "second_low", "second_high", "agreement"];

/** A field: text that a spreadsheet would run as a formula gets an apostrophe, quotes are doubled. */
export function field(value: string | number | null): string {
  if (typeof value === "number") return String(value);
  const text = value ?? "";
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** Every entry as a line, in the order given; the mark at the beginning tells spreadsheets that it is UTF-8. */
export function csvOf(entries: readonly Judged[]): string {
  const beside = entries.some((one) => one.case?.second);
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
      ...(beside ? secondOf(found) : []),
    ]; // prettier-ignore
  });
  return `\uFEFF${[beside ? [...HEAD, ...SECOND_HEAD] : HEAD, ...lines].map((line) => line.map(field).join(",")).join("\r\n")}\r\n`;
}

function secondOf(found: Case | null): (string | number | null)[] {
  const second = found?.second;
  if (!second) return SECOND_HEAD.map(() => null);
  return [second.name, second.verdict, second.probability, ...second.interval, second.agreement];
}
