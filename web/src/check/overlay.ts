/** Relevance as a picture: one pixel a patch, the colour of a side, its opacity the relevance. */
import { rgb } from "d3-color";

/** Share of the patches that may be drawn as fully relevant: one outlier would hide everything else. */
const SATURATED = 0.02;

/**
 * RGBA bytes of a (rows × columns) map, relative to its 98th percentile.
 *
 * Relevance is not negative; a square root would make faint patches look important, so it stays linear.
 */
export function overlayPixels(values: Float32Array, colour: string): Uint8ClampedArray<ArrayBuffer> {
  const { r, g, b } = rgb(colour);
  const sorted = Float32Array.from(values).sort();
  const most = sorted[Math.floor((sorted.length - 1) * (1 - SATURATED))] ?? 0;
  const pixels = new Uint8ClampedArray(values.length * 4);
  values.forEach((value, i) => {
    pixels.set([r, g, b, most > 0 ? Math.round(255 * Math.min(1, Math.max(0, value) / most)) : 0], 4 * i);
  });
  return pixels;
}

/** RGBA bytes of a signed map: two colours by sign, opacity relative to the 98th percentile of the size. */
export function signedPixels(values: Float32Array, towards: { real: string; generated: string }): Uint8ClampedArray<ArrayBuffer> {
  const [down, up] = [rgb(towards.real), rgb(towards.generated)];
  const sorted = Float32Array.from(values, Math.abs).sort();
  const most = sorted[Math.floor((sorted.length - 1) * (1 - SATURATED))] ?? 0;
  const pixels = new Uint8ClampedArray(values.length * 4);
  values.forEach((value, i) => {
    const { r, g, b } = value < 0 ? down : up;
    pixels.set([r, g, b, most > 0 ? Math.round(255 * Math.min(1, Math.abs(value) / most)) : 0], 4 * i);
  });
  return pixels;
}

/** How many patches hold half of all relevance: small means that the map points, large that it does not. */
export function patchesForHalf(values: Float32Array): number {
  const sorted = Float32Array.from(values).sort().reverse();
  const half = sorted.reduce((sum, v) => sum + v, 0) / 2;
  let sum = 0;
  for (let i = 0; i < sorted.length; i++) {
    sum += sorted[i] ?? 0;
    if (sum >= half) return i + 1;
  }
  return sorted.length;
}
