/**
 * The one scale of the app: real (blue-teal) over grey to generated (orange).
 *
 * Magnitude is lightness, so that it survives a grey print and every kind of colour blindness; hue says only the
 * side. In the light theme the middle is pale and the ends are dark, in the dark theme the reverse.
 */
import { rgb } from "d3-color";
import { interpolateLab, piecewise } from "d3-interpolate";

const LIGHT = ["#0a5470", "#2f92b4", "#93c3d4", "#e4e4e0", "#eab98a", "#cf741d", "#8a3f04"];
const DARK = ["#a5e3f7", "#41a9cb", "#265e73", "#34383c", "#7c4a1d", "#dd8431", "#ffd3a3"];

const scales = {
  light: piecewise(interpolateLab, LIGHT),
  dark: piecewise(interpolateLab, DARK),
};

/** Colour of `t` in −1 (surely real) … 0 (grey) … +1 (surely generated), clamped; CSS `rgb(…)`. */
export function diverging(t: number, dark: boolean): string {
  const clamped = Math.min(1, Math.max(-1, Number.isFinite(t) ? t : 0));
  return (dark ? scales.dark : scales.light)((clamped + 1) / 2);
}

/** Colour of a probability of being generated, 0 … 1. */
export function divergingProbability(p: number, dark: boolean): string {
  return diverging(2 * p - 1, dark);
}

/** `steps` colours from −1 to +1 as RGBA bytes, for a canvas or a texture. */
export function divergingTable(steps: number, dark: boolean): Uint8Array {
  const table = new Uint8Array(steps * 4);
  for (let i = 0; i < steps; i++) {
    const { r, g, b } = rgb(diverging((2 * i) / (steps - 1) - 1, dark));
    table.set([r, g, b, 255], i * 4);
  }
  return table;
}
