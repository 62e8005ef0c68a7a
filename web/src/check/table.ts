/** The pictures of a session as rows, and their order. */
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
