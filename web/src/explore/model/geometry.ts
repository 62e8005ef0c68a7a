/** Plane geometry of the overview, in layout coordinates (0 … 1, y downwards) unless a name says screen. */
import type { Point } from "./spec";

export function inPolygon(polygon: readonly Point[], x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i] as Point;
    const [xj, yj] = polygon[j] as Point;
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/**
 * Douglas and Peucker's line with fewer points, none farther than `tolerance` from the drawn one.
 *
 * A lasso of a thousand pointer events has to fit into an address.
 */
export function simplified(points: readonly Point[], tolerance: number): Point[] {
  if (points.length < 4) return [...points];
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const open: [number, number][] = [[0, points.length - 1]];
  for (let span = open.pop(); span; span = open.pop()) {
    const [from, to] = span;
    let worst = 0;
    let at = -1;
    for (let i = from + 1; i < to; i++) {
      const off = distance(points[i] as Point, points[from] as Point, points[to] as Point);
      if (off > worst) [worst, at] = [off, i];
    }
    if (at >= 0 && worst > tolerance) {
      keep[at] = 1;
      open.push([from, at], [at, to]);
    }
  }
  return points.filter((_, i) => keep[i]);
}

function distance(p: Point, a: Point, b: Point): number {
  const dx = b[0] - a[0];
  const dy = b[1] - a[1];
  const length = dx * dx + dy * dy;
  const t = length ? Math.max(0, Math.min(1, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / length)) : 0;
  return Math.hypot(p[0] - a[0] - t * dx, p[1] - a[1] - t * dy);
}

export const rounded = (x: number, digits = 4): number => Number(x.toFixed(digits));

export const roundedPoint = ([x, y]: Point): Point => [rounded(x), rounded(y)];

/** Where a cell lies: its number is iy·2^level + ix. */
export const cellX = (cell: number, level: number): number => cell & ((1 << level) - 1);
export const cellY = (cell: number, level: number): number => cell >>> level;
export const cellNumber = (ix: number, iy: number, level: number): number => iy * 2 ** level + ix;
