/**
 * Small glyphs, written straight into pixels.
 *
 * A screen of 24-px cells has some 30 000 little squares. As canvas calls they cost more than a frame in a browser
 * without a GPU; as stores into an array a millisecond or two.
 */
import type { Cells } from "../model/cells";
import { type Signature, fraction, outcomeParts, signature, squareSide, waffle } from "./form";
import {
  type Pixel,
  type Style,
  categoryCounts,
  columnOf,
  divergingIndex,
  impactTone,
  sequentialIndex,
  tone,
} from "./style";

export interface Target {
  readonly pixels: Uint32Array;
  readonly width: number;
  readonly height: number;
}

export function fill({ pixels, width, height }: Target, x: number, y: number, w: number, h: number, colour: Pixel): void {
  const x0 = Math.max(0, x);
  const x1 = Math.min(width, x + w);
  const y1 = Math.min(height, y + h);
  for (let row = Math.max(0, y); row < y1; row++) pixels.fill(colour, row * width + x0, row * width + x1);
}

/** Mean of two pixels, `share` of the second. */
export function blend(a: Pixel, b: Pixel, share: number): Pixel {
  const mix = (shift: number): number => {
    const from = (a >>> shift) & 255;
    return Math.round(from + (((b >>> shift) & 255) - from) * share) << shift;
  };
  return ((255 << 24) | mix(16) | mix(8) | mix(0)) >>> 0;
}

/** Share of a cell's images that are selected, and how strongly its colours show: never quite gone, never lost. */
export function strength(cells: Cells, i: number): number {
  const count = cells.count[i] as number;
  const selected = cells.selected[i] as number;
  if (count <= 0 || selected >= count) return 1;
  return selected <= 0 ? 0 : 0.35 + (0.65 * selected) / count;
}

/** Paint cell `i` of `side` pixels with its corner at (x, y). */
export function paintSmall(
  target: Target,
  x: number,
  y: number,
  side: number,
  cells: Cells,
  i: number,
  style: Style,
  ratio = 1,
  geometry: Signature = signature(side, Math.max(1, style.line.length), ratio),
): void {
  if (side / ratio < 18) paintSquare(target, x, y, side, cells, i, style);
  else paintSignature(target, x, y, cells, i, style, geometry);
}

function paintSquare(target: Target, x: number, y: number, side: number, cells: Cells, i: number, style: Style): void {
  const own = squareSide(side, cells.count[i] as number, style.full(cells.level));
  const at = Math.floor((side - own) / 2);
  fill(target, x + at, y + at, own, own, toneColour(style, cells, i, strength(cells, i)));
}

/** Colour of a cell that is drawn with one colour. */
export function toneColour(style: Style, cells: Cells, i: number, strong: number): Pixel {
  if (style.by === "generator" || (style.split && columnOf(style.by) !== null)) {
    const counts = categoryCounts(style.by, cells, i);
    let best = 0;
    counts.forEach((count, g) => {
      if (count > (counts[best] as number)) best = g;
    });
    const full = style.categories[best] as Pixel;
    return strong >= 1 ? full : blend(style.categoriesMuted[best] as Pixel, full, strong);
  }
  const sequential = style.rising;
  const t = tone(style, cells, i);
  if (Number.isNaN(t)) return strong > 0 ? style.unknown : style.muted;
  const index = sequential ? sequentialIndex(t) : divergingIndex(t);
  const full = (sequential ? style.sequential : style.diverging)[index] as Pixel;
  if (strong >= 1) return full;
  return blend((sequential ? style.sequentialMuted : style.divergingMuted)[index] as Pixel, full, strong);
}

function paintSignature(
  target: Target,
  x: number,
  y: number,
  cells: Cells,
  i: number,
  style: Style,
  { grid, xs, ys, gap, bar, outcome }: Signature,
): void {
  const strong = strength(cells, i);
  const place = (p: number, colour: Pixel): void => {
    const column = p % grid;
    const row = (p - column) / grid;
    const left = xs[column] as number;
    const top = ys[row] as number;
    const right = (xs[column + 1] as number) - (column < grid - 1 ? gap : 0);
    const bottom = (ys[row + 1] as number) - (row < grid - 1 ? gap : 0);
    fill(target, x + left, y + top, right - left, bottom - top, colour);
  };
  if (style.by === "signature") {
    const base = i * cells.dimensions;
    for (let p = 0; p < style.order.length; p++) {
      const k = style.order[p] as number;
      if (k < 0 || style.off.has(k)) continue;
      const index = divergingIndex(impactTone(cells.impact[base + k] ?? 0, style.impact));
      const full = style.diverging[index] as Pixel;
      place(p, strong >= 1 ? full : blend(style.divergingMuted[index] as Pixel, full, strong));
    }
  } else if (style.split) {
    const squares = waffle(categoryCounts(style.by, cells, i), grid * grid);
    squares.forEach((category, p) => {
      if (category === 255) return;
      const full = style.categories[category] as Pixel;
      place(p, strong >= 1 ? full : blend(style.categoriesMuted[category] as Pixel, full, strong));
      // Errors are marked and not told by hue alone: a wrong square has a smaller one in it.
      if (style.by === "error" && (category === 1 || category === 2)) markWrong(p);
    });
  } else {
    const first = xs[0] as number;
    const whole = Math.min((xs[grid] as number) - first, (ys[grid] as number) - (ys[0] as number));
    const own = squareSide(whole, cells.count[i] as number, style.full(cells.level));
    const atX = x + first + Math.floor(((xs[grid] as number) - first - own) / 2);
    const atY = y + (ys[0] as number) + Math.floor((whole - own) / 2);
    fill(target, atX, atY, own, own, toneColour(style, cells, i, strong));
  }
  paintBar(target, x + bar.x, y + bar.y, bar.w, bar.h, cells, i, style);
  paintOutcome(target, x + outcome.x, y + outcome.y, outcome.w, outcome.h, cells, i, style);

  function markWrong(p: number): void {
    const column = p % grid;
    const row = (p - column) / grid;
    const w = (xs[column + 1] as number) - (xs[column] as number) - gap;
    const h = (ys[row + 1] as number) - (ys[row] as number) - gap;
    const own = Math.max(1, Math.floor(Math.min(w, h) / 2.4));
    const left = x + (xs[column] as number) + Math.floor((w - own) / 2);
    fill(target, left, y + (ys[row] as number) + Math.floor((h - own) / 2), own, own, strong > 0 ? style.ink : style.unknown);
  }
}

/**
 * The bar: as long as there are images (logarithmically), divided into real, generated and unlabelled. Under a
 * selection only its share of the bar is coloured, the rest stays grey.
 */
function paintBar(target: Target, x: number, y: number, w: number, h: number, cells: Cells, i: number, style: Style): void {
  const parts = barParts(cells, i, Math.max(2, Math.round(w * fraction(cells.count[i] as number, style.full(cells.level)))));
  let left = x;
  for (const [wide, what] of parts) {
    fill(target, left, y, wide, h, style[what]);
    left += wide;
  }
}

/** Whole pixels of a bar of `length` for each class of the selected images, then for those not selected. */
export function barParts(cells: Cells, i: number, length: number): [number, "real" | "fake" | "unknown" | "muted"][] {
  const count = Math.max(1, cells.count[i] as number);
  const selected = cells.selected[i] as number;
  const coloured = selected <= 0 ? 0 : Math.max(1, Math.round((length * selected) / count));
  const shown = Math.max(1, cells.shown[i] as number);
  const real = Math.round((coloured * (cells.real[i] as number)) / shown);
  const fake = Math.min(coloured - real, Math.round((coloured * (cells.fake[i] as number)) / shown));
  return [
    [real, "real"],
    [fake, "fake"],
    [coloured - real - fake, "unknown"],
    [length - coloured, "muted"],
  ];
}

/** The line below the bar: the share of wrong verdicts in ink, then of those without an answer in grey. */
function paintOutcome(target: Target, x: number, y: number, w: number, h: number, cells: Cells, i: number, style: Style): void {
  const [wrong, open] = outcomesOf(cells, i, w);
  const strong = strength(cells, i);
  fill(target, x, y, wrong, h, strong > 0 ? style.ink : style.muted);
  fill(target, x + wrong, y, open, h, strong > 0 ? style.unknown : style.muted);
}

/** Pixels of a line of `length` for a cell's wrong verdicts, and for its labelled images without an answer. */
export function outcomesOf(cells: Cells, i: number, length: number): [number, number] {
  const wrong = (cells.fp[i] as number) + (cells.fn[i] as number);
  return outcomeParts(wrong, cells.unanswered[i] as number, (cells.real[i] as number) + (cells.fake[i] as number), length);
}
