/** Mirrored histogram of one dimension: real above, generated below the line, the selection as an outline. */

export interface Shape {
  /** Closed areas, and the outline of the selection, as SVG paths in a box of `width` × `height`. */
  readonly real: string;
  readonly fake: string;
  readonly selected: string;
  /** Where impact 0 lies. */
  readonly zero: number;
}

/**
 * Each class is drawn as densities (shares of its own images), so that an atlas with ten times as many real
 * images can still be read; the square root lets the tails show.
 */
export function shape(
  real: readonly number[],
  fake: readonly number[],
  selected: readonly number[] | null,
  edges: readonly [number, number],
  width: number,
  height: number,
): Shape {
  const middle = height / 2;
  const shares = [density(real), density(fake), density(selected ?? [])] as const;
  // A rectified dimension is exactly 0 for most images; that one bin must not flatten all others.
  const tallest = [...shares[0], ...shares[1]].sort((a, b) => b - a);
  const most = Math.max(1e-9, Math.min(tallest[0] ?? 0, 3 * (tallest[4] ?? 0) || Infinity));
  const tall = (share: number): number => Math.min(1, Math.sqrt(share / most)) * (middle - 1);
  return {
    real: area(shares[0], width, middle, (share) => middle - tall(share)),
    fake: area(shares[1], width, middle, (share) => middle + tall(share)),
    selected: selected ? outline(shares[2], width, middle, tall) : "",
    zero: position(0, edges, width),
  };
}

export function density(counts: readonly number[]): number[] {
  const total = counts.reduce((a, b) => a + b, 0);
  return counts.map((n) => (total > 0 ? n / total : 0));
}

export function position(value: number, [low, high]: readonly [number, number], width: number): number {
  return Math.min(width, Math.max(0, ((value - low) / Math.max(1e-9, high - low)) * width));
}

export function valueAt(x: number, [low, high]: readonly [number, number], width: number): number {
  return low + (Math.min(width, Math.max(0, x)) / width) * (high - low);
}

function area(shares: readonly number[], width: number, base: number, y: (share: number) => number): string {
  const step = width / Math.max(1, shares.length);
  let path = `M0 ${f(base)}`;
  shares.forEach((share, i) => {
    path += `V${f(y(share))}H${f((i + 1) * step)}`;
  });
  return `${path}V${f(base)}Z`;
}

/** A band around the line, as wide on both sides: the selection has images of either class. */
function outline(shares: readonly number[], width: number, middle: number, tall: (share: number) => number): string {
  const step = width / Math.max(1, shares.length);
  let path = `M0 ${f(middle)}`;
  shares.forEach((share, i) => {
    path += `V${f(middle - tall(share))}H${f((i + 1) * step)}`;
  });
  path += `V${f(middle)}`;
  for (let i = shares.length - 1; i >= 0; i--) path += `H${f((i + 1) * step)}V${f(middle + tall(shares[i] as number))}`;
  return `${path}H0V${f(middle)}`;
}

const f = (v: number): string => v.toFixed(1);
