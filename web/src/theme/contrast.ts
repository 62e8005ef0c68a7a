/** Contrast after WCAG 2.2: which ink can be read on a colour. */
import { rgb } from "d3-color";

/** Relative luminance, 0 black … 1 white. */
export function luminance(colour: string): number {
  const { r, g, b } = rgb(colour);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

function linear(channel: number): number {
  const s = channel / 255;
  return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
}

/** Contrast ratio of two colours, 1 … 21. */
export function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

/** Black or white, whichever stands out more; the better of the two is never below 4.5 : 1. */
export function inkOn(colour: string): "#000" | "#fff" {
  return contrast(colour, "#000") >= contrast(colour, "#fff") ? "#000" : "#fff";
}
