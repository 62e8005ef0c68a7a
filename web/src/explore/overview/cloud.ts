/**
 * Draws images as points, or how densely they lie, straight into pixels.
 *
 * A million points are a million stores into an array, some ten milliseconds, so that every frame is drawn from
 * scratch and nothing has to be kept in step with camera, colours and selection.
 */
import { type Style, dimensionOf, divergingIndex, impactTone, sequentialIndex } from "../glyph/style";
import { blend } from "../glyph/pixels";
import { ACROSS, type PointColours, type Points, UNKNOWN, touching } from "../model/points";
import type { Size, Viewport } from "../model/viewport";

export type Drawn = "glyphs" | "points" | "density";

/** Points with the place of each in a table of colours. */
export interface Cloud {
  readonly key: string;
  readonly points: Points;
  readonly colours: PointColours;
  readonly tones: Uint8Array;
}

export interface Board {
  readonly pixels: Uint32Array;
  readonly width: number;
  readonly height: number;
}

/** Places in the table of `colourTable`, of all points. */
export function tonesOf({ values, categories }: PointColours, style: Style, length: number): Uint8Array {
  if (categories) return categories;
  const tones = new Uint8Array(length).fill(UNKNOWN);
  if (!values) return tones;
  const dimension = dimensionOf(style.by) !== null;
  for (let i = 0; i < length; i++) {
    const value = values[i] as number;
    if (Number.isNaN(value)) continue;
    if (style.rising) tones[i] = sequentialIndex(value);
    else tones[i] = divergingIndex(dimension ? impactTone(value, style.impact * 2) : 2 * value - 1);
  }
  return tones;
}

/** Colours of all tones; what has none is grey. */
export function colourTable(style: Style): Uint32Array {
  const table = new Uint32Array(256).fill(style.unknown);
  const found = style.split ? style.categories : style.rising ? style.sequential : style.diverging;
  table.set(found.subarray(0, UNKNOWN));
  return table;
}

/** Side of a point in device pixels: half of the distance that evenly spread points would have. */
export function pointSide(points: Points, scale: number, ratio: number): number {
  const apart = (scale * ratio) / Math.sqrt(Math.max(1, points.length));
  return Math.max(1, Math.round(Math.min(9 * ratio, 0.5 * apart)));
}

interface Projection {
  /** Device pixels per unit, and of the map's corner. */
  readonly k: number;
  readonly left: number;
  readonly top: number;
}

function projection(view: Viewport, size: Size, ratio: number): Projection {
  return {
    k: (view.scale * ratio) / ACROSS,
    left: ((0 - view.x) * view.scale + size.width / 2) * ratio,
    top: ((0 - view.y) * view.scale + size.height / 2) * ratio,
  };
}

function inSight(points: Points, { k, left, top }: Projection, { width, height }: Board, margin: number): Iterable<readonly [number, number]> {
  return touching(points, (-margin - left) / k, (-margin - top) / k, (width + margin - left) / k, (height + margin - top) / k);
}

/** Of very many images some are enough: every `stride`-th in the order of the map is an even sample of all of it. */
function strideOf(ranges: readonly (readonly [number, number])[], enough: number): number {
  return Math.max(1, Math.floor(ranges.reduce((sum, [from, to]) => sum + to - from, 0) / enough));
}

/** First pixel and length of each row of a disc of `side` pixels, one after another. */
function disc(side: number): Int32Array {
  const rows = new Int32Array(2 * side);
  const r = side / 2;
  for (let row = 0; row < side; row++) {
    const half = side < 4 ? r : Math.sqrt(Math.max(0, r * r - (row + 0.5 - r) ** 2));
    const first = Math.round(r - half);
    rows.set([first, Math.max(1, side - 2 * first)], 2 * row);
  }
  return rows;
}

/** Paint the images in sight; of very many, a part of them while the map moves. */
export function paintPoints(board: Board, cloud: Cloud, style: Style, view: Viewport, size: Size, ratio: number, moving = false): void {
  const { points, colours } = cloud;
  const side = pointSide(points, view.scale, ratio);
  const at = projection(view, size, ratio);
  const table = colourTable(style);
  const { selected } = colours;
  const grey = new Uint32Array(256).fill(style.muted);
  const small = Math.max(1, Math.round(0.6 * side));
  // Those not selected lie below the others: grey and smaller, not gone.
  const ranges = [...inSight(points, at, board, side)];
  const stride = moving ? strideOf(ranges, MOVING) : 1;
  if (selected) for (const range of ranges) stamp(board, cloud, at, small, grey, 0, range, stride);
  for (const range of ranges) stamp(board, cloud, at, side, table, selected ? 1 : -1, range, stride);
}

/** Put a range of points on the board: those whose `selected` is `wanted`, or all for −1. No closure: a million of them are a frame. */
function stamp(
  { pixels, width, height }: Board,
  { points, tones, colours }: Cloud,
  { k, left, top }: Projection,
  side: number,
  table: Uint32Array,
  wanted: number,
  [from, to]: readonly [number, number],
  stride: number,
): void {
  const { x, y } = points;
  const selected = wanted < 0 ? null : colours.selected;
  const dx = left - side / 2 + 0.5;
  const dy = top - side / 2 + 0.5;
  const [right, bottom] = [width - side, height - side];
  const rows = disc(side);
  for (let i = from; i < to; i += stride) {
    if (selected !== null && selected[i] !== wanted) continue;
    // Truncation is rounding here, as nothing left of the board is drawn.
    const px = ((x[i] as number) * k + dx) | 0;
    const py = ((y[i] as number) * k + dy) | 0;
    if (px < 0 || py < 0 || px > right || py > bottom) continue;
    const value = table[tones[i] as number] as number;
    let start = py * width + px;
    if (side === 1) {
      pixels[start] = value;
      continue;
    }
    for (let row = 0; row < side; row++) {
      const first = rows[2 * row] as number;
      const end = start + first + (rows[2 * row + 1] as number);
      for (let p = start + first; p < end; p++) pixels[p] = value;
      start += width;
    }
  }
}

/** Side of a square in which images are counted, in CSS pixels, and how far a count spreads, in such squares. */
export const DENSITY_BIN = 4;
const SPREAD = 3;
/** Images on the screen from which on a part of them is counted. */
const ENOUGH = 100_000;
/** Images on the screen from which on a part of them is drawn while the map moves. */
const MOVING = 300_000;

/**
 * How densely images lie, as `board.width / (DENSITY_BIN · ratio)` squares: the deeper the denser, in the colour of their mean
 * (of categories, of the most frequent one); in grey where nothing there is selected.
 */
export function densityOf(cloud: Cloud, style: Style, view: Viewport, size: Size, ratio: number): Board {
  const step = DENSITY_BIN * ratio;
  const width = Math.max(1, Math.ceil((size.width * ratio) / step));
  const height = Math.max(1, Math.ceil((size.height * ratio) / step));
  const { points, tones, colours } = cloud;
  const at = projection(view, size, ratio);
  const { k, left, top } = { k: at.k / step, left: at.left / step, top: at.top / step };
  const bins = width * height;
  const all = new Float32Array(bins);
  const chosen = colours.selected ? new Float32Array(bins) : all;
  const planes = style.split ? style.categories.length : 1;
  const sums = new Float32Array(bins * planes);
  /** Images behind the sums of a scale: those that have a value. */
  const known = planes === 1 ? new Float32Array(bins) : chosen;
  const { x, y } = points;
  const { selected } = colours;
  const ranges = [...touching(points, -left / k, -top / k, (width - left) / k, (height - top) / k)];
  const stride = strideOf(ranges, ENOUGH);
  const count = (from: number, to: number): void => {
    for (let i = from; i < to; i += stride) {
      const px = ((x[i] as number) * k + left) | 0;
      const py = ((y[i] as number) * k + top) | 0;
      if (px < 0 || py < 0 || px >= width || py >= height) continue;
      const bin = py * width + px;
      (all[bin] as number)++;
      if (selected !== null) {
        if (selected[i] === 0) continue;
        (chosen[bin] as number)++;
      }
      const tone = tones[i] as number;
      if (planes === 1) {
        if (tone === UNKNOWN) continue;
        sums[bin] = (sums[bin] as number) + tone;
        (known[bin] as number)++;
      } else if (tone < planes) (sums[tone * bins + bin] as number)++;
    }
  };
  for (const [from, to] of ranges) count(from, to);
  for (const plane of new Set([all, chosen, known])) blurred(plane, width, height);
  for (let p = 0; p < planes; p++) blurred(sums.subarray(p * bins, (p + 1) * bins), width, height);
  const pixels = new Uint32Array(bins);
  const table = colourTable(style);
  const most = all.reduce((a, b) => Math.max(a, b), 1e-9);
  const deep = (n: number): number => Math.min(1, Math.sqrt(n / (0.7 * most)));
  for (let bin = 0; bin < bins; bin++) {
    const n = all[bin] as number;
    if (n < 0.004 * most) {
      pixels[bin] = style.paper;
      continue;
    }
    const own = chosen[bin] as number;
    let pixel = chosen === all ? style.paper : blend(style.paper, style.muted, 0.8 * deep(n));
    if (own > 0.002 * most) pixel = blend(pixel, table[toneAt(bin)] as number, 0.12 + 0.88 * deep(own));
    pixels[bin] = pixel;
  }
  return { pixels, width, height };

  function toneAt(bin: number): number {
    const n = known[bin] as number;
    if (planes === 1) return n > 1e-6 ? Math.max(0, Math.min(UNKNOWN - 1, Math.round((sums[bin] as number) / n))) : UNKNOWN;
    let best = 0;
    for (let p = 1; p < planes; p++) if ((sums[p * bins + bin] as number) > (sums[best * bins + bin] as number)) best = p;
    return best;
  }
}

/** Three running means each way are close to a Gaussian, and cost the same whatever their width. */
function blurred(plane: Float32Array, width: number, height: number): void {
  const line = new Float32Array(Math.max(width, height));
  const pass = (start: number, step: number, length: number): void => {
    let sum = 0;
    for (let i = -SPREAD; i < length; i++) {
      const ahead = i + SPREAD;
      if (ahead < length) sum += plane[start + ahead * step] as number;
      const behind = i - SPREAD - 1;
      if (behind >= 0) sum -= plane[start + behind * step] as number;
      if (i >= 0) line[i] = sum / (2 * SPREAD + 1);
    }
    for (let i = 0; i < length; i++) plane[start + i * step] = line[i] as number;
  };
  for (let times = 0; times < 2; times++) {
    for (let row = 0; row < height; row++) pass(row * width, 1, width);
    for (let column = 0; column < width; column++) pass(column, width, height);
  }
}

export interface Pointed {
  /** Place among the points. */
  readonly at: number;
  readonly row: number;
  /** Middle and side on the screen, in CSS pixels. */
  readonly x: number;
  readonly y: number;
  readonly side: number;
}

/** The point nearest to a place of the screen, if it is within reach; one that is selected before others. */
export function pointAt({ points, colours }: Cloud, view: Viewport, size: Size, ratio: number, px: number, py: number): Pointed | null {
  const side = pointSide(points, view.scale, ratio) / ratio;
  const reach = Math.max(5, side / 2 + 1);
  const { k, left, top } = projection(view, size, 1);
  let best = -1;
  let least = reach * reach;
  const unit = (place: number, corner: number): number => (place - corner) / k;
  for (const [from, to] of touching(points, unit(px - reach, left), unit(py - reach, top), unit(px + reach, left), unit(py + reach, top))) {
    for (let i = from; i < to; i++) {
      const dx = (points.x[i] as number) * k + left - px;
      const dy = (points.y[i] as number) * k + top - py;
      const far = dx * dx + dy * dy + (colours.selected && !colours.selected[i] ? 0.5 * reach * reach : 0);
      if (far < least) [best, least] = [i, far];
    }
  }
  if (best < 0) return null;
  return { at: best, row: points.rows[best] as number, x: (points.x[best] as number) * k + left, y: (points.y[best] as number) * k + top, side };
}
