/**
 * Rates as numbers of pictures, which people judge better than percentages of percentages.
 *
 * After Gigerenzer and Hoffrage, "How to improve Bayesian reasoning without instruction", Psychological Review 1995.
 */

export interface Frequencies {
  /** How many pictures are imagined: a thousand, or as many as make both kinds visible. */
  readonly of: number;
  readonly found: number;
  readonly missed: number;
  readonly accused: number;
  readonly passed: number;
}

export function frequencies(tpr: number, fpr: number, baseRate: number): Frequencies {
  const of = Math.min(baseRate, 1 - baseRate) < 0.01 ? 10_000 : 1000;
  const generated = Math.round(of * baseRate);
  const found = Math.round(generated * tpr);
  const accused = Math.round((of - generated) * fpr);
  return { of, found, missed: generated - found, accused, passed: of - generated - accused };
}

/** What a flag is worth, in a sentence. */
export function worth({ of, found, accused }: Frequencies): string {
  const flagged = found + accused;
  if (flagged === 0) return `Of ${String(of)} pictures none would be flagged.`;
  return `Of ${String(flagged)} flagged pictures ${String(found)} are generated and ${String(accused)} are real.`;
}
