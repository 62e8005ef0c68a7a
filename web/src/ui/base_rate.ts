/** Base rates that can be chosen: fine where they matter, from one in a thousand to nearly all. */
export const BASE_RATE_STEPS: readonly number[] = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99,
];

/** Number of the step that lies nearest to a rate. */
export function nearestStep(rate: number): number {
  let best = 0;
  BASE_RATE_STEPS.forEach((step, i) => {
    if (Math.abs(step - rate) < Math.abs((BASE_RATE_STEPS[best] ?? 0) - rate)) best = i;
  });
  return best;
}

/** A rate in words; unlike a probability it is an assumption, so 0.1 % is said as it is. */
export function rateWords(rate: number): string {
  return `${String(Number((100 * rate).toPrecision(3)))} %`;
}

/** What an address says, or null for the detector's own. */
export function parseBaseRate(text: string | undefined): number | null {
  const rate = Number(text);
  return text !== undefined && rate > 0 && rate < 1 ? rate : null;
}
