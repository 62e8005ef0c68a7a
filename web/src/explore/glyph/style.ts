/** What a glyph's colours mean: the mode of the overview, and the tables that turn numbers into pixels. */
import { rgb } from "d3-color";
import { interpolateLab } from "d3-interpolate";

import { divergingTable } from "../../theme/diverging";
import { PALETTE } from "../../theme/palette";
import { CATEGORIES, type Cells, OTHER, REAL, coloursOf } from "../model/cells";
import { snake } from "./form";

export type ColourBy =
  | "signature"
  | "label"
  | "verdict"
  | "error"
  | "generator"
  | "score"
  | "uncertainty"
  | `dimension:${number}`
  | `column:${string}`;

export const STEPS = 255;

/** Pixels of a canvas as one number each, on a little-endian machine. */
export type Pixel = number;

export interface Style {
  /** Two styles with one key draw the same. */
  readonly key: string;
  readonly dark: boolean;
  readonly by: ColourBy;
  /** Cells are divided among categories, and have no one tone. */
  readonly split: boolean;
  /** The one tone of a cell goes from little to much, and not from real to generated. */
  readonly rising: boolean;
  /** Dimension in each square of the texture, −1 for an empty one. */
  readonly order: readonly number[];
  /** Dimensions along the snake, real to generated: the order of the strip. */
  readonly line: readonly number[];
  readonly off: ReadonlySet<number>;
  /** Impact whose tone is full. */
  readonly impact: number;
  /** Images that fill the bar, by level. */
  readonly full: (level: number) => number;
  readonly diverging: Uint32Array;
  readonly divergingMuted: Uint32Array;
  readonly sequential: Uint32Array;
  readonly sequentialMuted: Uint32Array;
  /** Colours of categories, then of the same ones unselected. */
  readonly categories: Uint32Array;
  readonly categoriesMuted: Uint32Array;
  readonly real: Pixel;
  readonly fake: Pixel;
  readonly unknown: Pixel;
  readonly muted: Pixel;
  readonly ink: Pixel;
  readonly paper: Pixel;
  readonly accent: Pixel;
}

export interface StyleInput {
  readonly dark: boolean;
  readonly by: ColourBy;
  readonly weights: readonly number[];
  readonly off: readonly number[];
  readonly impact: number;
  readonly full: (level: number) => number;
  readonly fullKey: string;
  /** What the column holds, where `by` is one. */
  readonly column?: "category" | "scale" | undefined;
}

/** Fills on the canvas; the text colours of tokens.css are made for thin marks and stay there. */
export const palette = (dark: boolean): Record<"real" | "fake" | "unknown" | "ink" | "paper" | "muted" | "accent", string> =>
  dark
    ? { ...classes(true), ink: "#f4f5f5", paper: "#121416", muted: "#3a3f44", accent: "#8ab4ff" }
    : { ...classes(false), ink: "#191b1d", paper: "#fafaf7", muted: "#c9cac6", accent: "#1f5fd0" };

function classes(dark: boolean): Record<"real" | "fake" | "unknown", string> {
  const { real, generated, unsure } = dark ? PALETTE.dark : PALETTE.light;
  return { real, fake: generated, unknown: unsure };
}

export function pixel(colour: string): Pixel {
  const { r, g, b } = rgb(colour);
  return ((255 << 24) | (Math.round(b) << 16) | (Math.round(g) << 8) | Math.round(r)) >>> 0;
}

export function css(value: Pixel): string {
  return `rgb(${value & 255} ${(value >>> 8) & 255} ${(value >>> 16) & 255})`;
}

function table(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** The grey that a colour fades to when it is not selected: its lightness stays as a trace, its hue goes. */
function faded(colours: Uint32Array, dark: boolean): Uint32Array {
  const ground = dark ? 0x2b : 0xec;
  return colours.map((value) => {
    const grey = 0.3 * (value & 255) + 0.59 * ((value >>> 8) & 255) + 0.11 * ((value >>> 16) & 255);
    const tone = Math.round(ground + (grey - ground) * 0.28);
    return ((255 << 24) | (tone << 16) | (tone << 8) | tone) >>> 0;
  });
}

function ramp(from: string, to: string): Uint32Array {
  const mix = interpolateLab(from, to);
  return Uint32Array.from({ length: STEPS }, (_, i) => pixel(mix(i / (STEPS - 1))));
}

/** Names of the categories of a mode, in the order of their colours. */
export const CATEGORY_NAMES: Readonly<Partial<Record<ColourBy, readonly string[]>>> = {
  label: ["real", "generated", "unlabelled"],
  verdict: ["real", "inconclusive", "AI-generated"],
  error: ["real, found", "real, called generated", "generated, called real", "generated, found", "no answer"],
};

function categoryColours(by: ColourBy, dark: boolean): string[] {
  const { real, fake, unknown } = palette(dark);
  const mix = (colour: string): string => interpolateLab(colour, dark ? "#24282b" : "#f1f1ed")(0.62);
  if (by === "label") return [real, fake, unknown];
  if (by === "verdict") return [real, unknown, fake];
  if (by === "error") return [mix(real), real, fake, mix(fake), dark ? "#5b6167" : "#b9bbba"];
  return [...(dark ? PALETTE.dark : PALETTE.light).categories, dark ? "#5b6167" : "#a3a6a8", dark ? "#2f3439" : "#dddcd7"];
}

const isCategorical = (by: ColourBy): boolean => by === "label" || by === "verdict" || by === "error" || by === "generator";

/** The column that glyphs are coloured by, where it is one. */
export const columnOf = (by: ColourBy): string | null => (by.startsWith("column:") ? by.slice(7) : null);

export function makeStyle({ dark, by, weights, off, impact, full, fullKey, column }: StyleInput): Style {
  const colours = palette(dark);
  const diverging = table(divergingTable(STEPS, dark));
  const sequential = ramp(dark ? "#4a4357" : "#d8d1e3", dark ? "#f6f0ff" : "#2b1b45");
  const categories = Uint32Array.from(categoryColours(by, dark).map(pixel));
  return {
    key: [dark ? "d" : "l", by, column ?? "", off.join("."), impact.toPrecision(3), weights.length, fullKey].join("|"),
    dark,
    by,
    split: isCategorical(by) || column === "category",
    rising: by === "error" || by === "uncertainty" || column === "scale",
    order: snake(weights),
    line: weights.map((_, k) => k).sort((a, b) => (weights[a] as number) - (weights[b] as number) || a - b),
    off: new Set(off),
    impact,
    full,
    diverging,
    divergingMuted: faded(diverging, dark),
    sequential,
    sequentialMuted: faded(sequential, dark),
    categories,
    categoriesMuted: faded(categories, dark),
    real: pixel(colours.real),
    fake: pixel(colours.fake),
    unknown: pixel(colours.unknown),
    muted: pixel(colours.muted),
    ink: pixel(colours.ink),
    paper: pixel(colours.paper),
    accent: pixel(colours.accent),
  };
}

/** Tone of a signed impact, −1 … 1: the square root lifts the quiet ones above the grey. */
export function impactTone(impact: number, full: number): number {
  const t = Math.max(-1, Math.min(1, impact / full));
  return Math.sign(t) * Math.sqrt(Math.abs(t));
}

export const divergingIndex = (t: number): number =>
  Math.round(((Math.max(-1, Math.min(1, t)) + 1) / 2) * (STEPS - 1));

export const sequentialIndex = (t: number): number => Math.round(Math.max(0, Math.min(1, t)) * (STEPS - 1));

/** Images of each category in a cell. The array is shared between calls: copy what must stay. */
const counts = new Float32Array(CATEGORIES);

export function categoryCounts(by: ColourBy, cells: Cells, i: number): Float32Array {
  const count = cells.shown[i] as number;
  const real = cells.real[i] as number;
  const fake = cells.fake[i] as number;
  counts.fill(0);
  if (by === "label") counts.set([real, fake, count - real - fake]);
  else if (by === "verdict") {
    const ai = cells.ai[i] as number;
    const unsure = cells.inconclusive[i] as number;
    counts.set([Math.max(0, count - ai - unsure), unsure, ai]);
  } else if (by === "error") {
    const fp = cells.fp[i] as number;
    const fn = cells.fn[i] as number;
    const unanswered = cells.unanswered[i] as number;
    const tp = cells.tp[i] as number;
    counts.set([Math.max(0, real + fake - unanswered - fp - fn - tp), fp, fn, tp, unanswered]);
  } else if (by === "generator" && cells.generatorWidth) {
    const width = cells.generatorWidth;
    let rest = fake;
    for (let g = 0; g < Math.min(width, OTHER); g++) {
      const found = cells.generators[i * width + g] as number;
      counts[g] = found;
      rest -= found;
    }
    counts[OTHER] = Math.max(0, rest);
    counts[REAL] = count - fake;
  } else {
    const found = coloursOf(cells, columnOf(by) ?? "");
    if (found) counts.set(found.values.subarray(i * found.width, (i + 1) * found.width));
  }
  return counts;
}

/** The one tone of a cell in modes that have one, −1 … 1 (or 0 … 1 for a sequential mode). */
export function tone(style: Style, cells: Cells, i: number): number {
  const { by } = style;
  const count = Math.max(1, cells.shown[i] as number);
  const labelled = Math.max(1, (cells.real[i] as number) + (cells.fake[i] as number));
  if (by === "label") return ((cells.fake[i] as number) - (cells.real[i] as number)) / count;
  if (by === "verdict") {
    const ai = cells.ai[i] as number;
    return (2 * ai + (cells.inconclusive[i] as number)) / count - 1;
  }
  if (by === "error") return Math.sqrt(((cells.fp[i] as number) + (cells.fn[i] as number)) / labelled);
  if (by === "uncertainty") return cells.uncertainty[i] as number;
  const column = columnOf(by);
  if (column !== null) {
    const found = coloursOf(cells, column);
    return found && (found.values[i * found.width + 1] as number) > 0 ? (found.values[i * found.width] as number) : NaN;
  }
  const k = dimensionOf(by);
  if (k !== null) return impactTone(cells.impact[i * cells.dimensions + k] ?? 0, style.impact * 2);
  return 2 * (cells.probability[i] as number) - 1;
}

export function dimensionOf(by: ColourBy): number | null {
  return by.startsWith("dimension:") ? Number(by.slice(10)) : null;
}

export function parseColourBy(text: string | undefined, dimensions: number): ColourBy {
  const known = ["signature", "label", "verdict", "error", "generator", "score", "uncertainty"];
  if (text && known.includes(text)) return text as ColourBy;
  if (text?.startsWith("column:") && text.length > 7) return text as ColourBy;
  const k = text?.startsWith("dimension:") ? Number(text.slice(10)) : NaN;
  return Number.isInteger(k) && k >= 0 && k < dimensions ? `dimension:${k}` : "signature";
}
