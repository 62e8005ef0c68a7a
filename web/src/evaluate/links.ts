/** From a number to the images behind it: selections that Explore opens. */
import type { Clause } from "../explore/model/spec";
import type { Confusion } from "./api";

/**
 * The atlas stores probabilities at even odds; a threshold at another base rate is this one there.
 *
 * Bayes: the odds at base rate b are the even odds times b / (1 − b).
 */
export function atEvenOdds(threshold: number, baseRate: number): number {
  const odds = (threshold / (1 - threshold)) * ((1 - baseRate) / baseRate);
  return odds / (1 + odds);
}

/** The images in one cell of the confusion. */
export function confusionClauses(cell: keyof Confusion, threshold: number, baseRate: number): Clause[] {
  const at = atEvenOdds(threshold, baseRate);
  const flagged = cell === "tp" || cell === "fp";
  const label = cell === "tp" || cell === "fn" ? "fake" : "real";
  return [
    { column: "label", in: [label] },
    { column: "probability", range: flagged ? [at, 1] : [0, at] },
  ];
}

/** The images of an outcome at the atlas's own thresholds. */
export const outcomeClauses = (outcomes: readonly string[]): Clause[] => [{ column: "error", in: [...outcomes] }];

export function nameClauses(column: "generator" | "source", name: string): Clause[] {
  // Sources are of real images in the table; a generator's name may be missing, which is null to the server.
  const clause: Clause = { column, in: [name === "(unnamed)" ? null : name] };
  return [{ column: "label", in: [column === "generator" ? "fake" : "real"] }, clause];
}
