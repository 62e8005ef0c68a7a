/** Where the bars of a sum stand: each starts where the one before ended, the last one is the sum itself. */

export interface Part {
  /** −1: the bias; −2: smaller parts together; else the number of the dimension. */
  readonly index: number;
  readonly name: string;
  readonly value: number;
}

export const BIAS = -1;
export const REST = -2;

export interface Bar extends Part {
  readonly from: number;
  readonly to: number;
  /** Where it would end if it counted; other than `to` only for a dimension that is off. */
  readonly reach: number;
}

export interface Waterfall {
  readonly bars: readonly Bar[];
  readonly total: number;
  /** The range of everything drawn, zero included. */
  readonly domain: readonly [number, number];
}

/**
 * The bias first, then the `most` largest impacts, then all others as one.
 *
 * Nothing is left out, so the last bar ends at the logit whatever is folded. A dimension that is `off` keeps its row
 * and its value, but moves nothing.
 */
export function waterfall(
  names: readonly string[],
  impacts: readonly number[],
  bias: number,
  most: number,
  off: readonly number[] = [],
): Waterfall {
  const parts = impacts
    .map((value, index): Part => ({ index, value, name: names[index] ?? `dimension ${String(index + 1)}` }))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const shown = parts.slice(0, most);
  const folded = parts.slice(most);
  const rows: Part[] = [{ index: BIAS, name: "starting point", value: bias }, ...shown];
  if (folded.length > 0) {
    rows.push({
      index: REST,
      name: `${String(folded.length)} smaller ones`,
      value: folded.reduce((sum, part) => sum + (off.includes(part.index) ? 0 : part.value), 0),
    });
  }
  let at = 0;
  const bars = rows.map((part): Bar => {
    const from = at;
    if (!off.includes(part.index)) at += part.value;
    return { ...part, from, to: at, reach: from + part.value };
  });
  const ends = bars.map((bar) => bar.reach);
  return { bars, total: at, domain: [Math.min(0, ...ends), Math.max(0, ...ends)] };
}
