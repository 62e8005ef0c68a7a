/** Large glyphs: pictures of typical images, with the signature at their side. Drawn with canvas calls. */
import { type Cells, exemplarsOf } from "../model/cells";
import { type Box, formOf, fraction, mosaic, portrait } from "./form";
import { barParts, blend, outcomesOf, strength, toneColour } from "./pixels";
import { type Style, categoryCounts, css, divergingIndex, impactTone } from "./style";

export type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** What is known of a picture in a cell; its frame needs it. */
export interface Known {
  readonly probability: number;
  readonly verdict: string;
  readonly error: string | null;
}

export interface Pictures {
  get(row: number): ImageBitmap | undefined;
  known(row: number): Known | undefined;
}

/** Where the pictures of a cell are, relative to its corner, for a cell of `side` device pixels. */
export function pictureBoxes(cells: Cells, i: number, side: number, ratio: number): { row: number; box: Box }[] {
  const rows = exemplarsOf(cells, i);
  const { picture } = portrait(side, ratio);
  if (formOf(side / ratio) === "portrait") return rows.length ? [{ row: rows[0] as number, box: picture }] : [];
  const boxes = mosaic(picture, rows.length, side, ratio);
  return boxes.map((box, at) => ({ row: rows[at] as number, box }));
}

export function paintLarge(
  context: Context,
  x: number,
  y: number,
  side: number,
  cells: Cells,
  i: number,
  style: Style,
  pictures: Pictures,
  ratio: number,
): void {
  const { picture, strip, bar, outcome, label } = portrait(side, ratio);
  const strong = strength(cells, i);
  const form = formOf(side / ratio);
  context.clearRect(x, y, side, side);
  context.fillStyle = style.dark ? "#1d2023" : "#f0f0ec";
  context.fillRect(x + picture.x, y + picture.y, picture.w, picture.h);
  for (const { row, box } of pictureBoxes(cells, i, side, ratio)) {
    const at = { x: x + box.x, y: y + box.y, w: box.w, h: box.h };
    drawPicture(context, at, pictures.get(row), strong, style);
    if (form === "mosaic") frame(context, at, pictures.known(row), style, strong, ratio);
  }
  if (style.by === "signature" || style.split) {
    column(context, x + strip.x, y + strip.y, strip.w, strip.h, cells, i, style, strong, ratio);
  } else {
    context.fillStyle = css(toneColour(style, cells, i, strong));
    context.fillRect(x + strip.x, y + strip.y, strip.w, strip.h);
  }
  classes(context, { x: x + bar.x, y: y + bar.y, w: bar.w, h: bar.h }, cells, i, style);
  if (label && form === "portrait") count(context, x + picture.x, y + picture.y + picture.h, cells, i, style, strong, ratio);
  if (form === "mosaic") count(context, x + picture.x, y + picture.y + picture.h, cells, i, style, strong, ratio);
  outcomes(context, { x: x + outcome.x, y: y + outcome.y, w: outcome.w, h: outcome.h }, cells, i, style, strong);
}

function drawPicture(context: Context, box: Box, bitmap: ImageBitmap | undefined, strong: number, style: Style): void {
  if (!bitmap) return;
  const scale = Math.max(box.w / bitmap.width, box.h / bitmap.height);
  const w = box.w / scale;
  const h = box.h / scale;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "medium";
  context.drawImage(bitmap, (bitmap.width - w) / 2, (bitmap.height - h) / 2, w, h, box.x, box.y, box.w, box.h);
  if (strong < 1) {
    // Greyed, not gone: a veil in the colour of the ground, thinner the more of the cell is selected.
    context.globalAlpha = 0.78 * (1 - strong);
    context.fillStyle = css(style.paper);
    context.fillRect(box.x, box.y, box.w, box.h);
    context.globalAlpha = 1;
  }
}

function frame(context: Context, box: Box, known: Known | undefined, style: Style, strong: number, ratio: number): void {
  if (!known) return;
  const thick = Math.round(2 * ratio);
  const colour = known.verdict === "ai" ? style.fake : known.verdict === "real" ? style.real : style.unknown;
  context.strokeStyle = css(strong > 0 ? colour : style.muted);
  context.lineWidth = thick;
  // An undecided verdict is a broken line, so that it shows without its colour as well.
  context.setLineDash(known.verdict === "inconclusive" ? [4 * ratio, 3 * ratio] : []);
  context.strokeRect(box.x + thick / 2, box.y + thick / 2, box.w - thick, box.h - thick);
  context.setLineDash([]);
  if (known.error === "fp" || known.error === "fn") {
    // In the gap below the picture: the mark covers nothing of it.
    context.fillStyle = css(strong > 0 ? style.ink : style.muted);
    context.fillRect(box.x, box.y + box.h, box.w, thick);
  }
}

/** The signature as a column, real on top; wide enough, its marks are bars from a middle line. */
function column(
  context: Context,
  x: number,
  y: number,
  w: number,
  h: number,
  cells: Cells,
  i: number,
  style: Style,
  strong: number,
  ratio: number,
): void {
  if (style.by !== "signature") {
    const counts = categoryCounts(style.by, cells, i);
    const total = counts.reduce((a, b) => a + b, 0);
    let top = y;
    counts.forEach((found, c) => {
      const high = (h * found) / Math.max(1, total);
      if (high <= 0) return;
      context.fillStyle = css(shown(style.categories[c] as number, style.categoriesMuted[c] as number, strong));
      context.fillRect(x, top, w, high);
      top += high;
    });
    return;
  }
  const n = style.line.length;
  // Narrower bars could not be told from each other: there the marks fill the strip, as in the texture.
  const bars = w >= 18 * ratio;
  const gap = h / n >= 5 * ratio ? ratio : 0;
  style.line.forEach((k, at) => {
    const top = y + Math.round((at * h) / n);
    const high = y + Math.round(((at + 1) * h) / n) - top - gap;
    const t = style.off.has(k) ? 0 : impactTone(cells.impact[i * cells.dimensions + k] ?? 0, style.impact);
    const index = divergingIndex(bars && t !== 0 ? Math.sign(t) * Math.max(0.35, Math.abs(t)) : t);
    context.fillStyle = css(shown(style.diverging[index] as number, style.divergingMuted[index] as number, strong));
    if (!bars) context.fillRect(x, top, w, high);
    else {
      const long = Math.max(1, Math.abs(t) * (w / 2));
      context.fillRect(t < 0 ? x + w / 2 - long : x + w / 2, top, long, high);
    }
  });
  if (bars) {
    context.fillStyle = css(style.muted);
    context.fillRect(Math.round(x + w / 2) - Math.round(ratio / 2), y, Math.max(1, Math.round(ratio)), h);
  }
}

function classes(context: Context, bar: Box, cells: Cells, i: number, style: Style): void {
  const length = Math.max(3, Math.round(bar.w * fraction(cells.count[i] as number, style.full(cells.level))));
  let left = bar.x;
  for (const [wide, what] of barParts(cells, i, length)) {
    context.fillStyle = css(style[what]);
    context.fillRect(left, bar.y, wide, bar.h);
    left += wide;
  }
}

function count(context: Context, x: number, bottom: number, cells: Cells, i: number, style: Style, strong: number, ratio: number): void {
  const all = cells.count[i] as number;
  const selected = cells.selected[i] as number;
  const text = selected < all ? `${compact(selected)}/${compact(all)}` : compact(all);
  context.font = `600 ${10 * ratio}px system-ui, sans-serif`;
  const wide = context.measureText(text).width + 7 * ratio;
  const high = 14 * ratio;
  context.globalAlpha = 0.86;
  context.fillStyle = css(style.paper);
  context.fillRect(x, bottom - high, wide, high);
  context.globalAlpha = 1;
  context.fillStyle = css(strong > 0 ? style.ink : style.unknown);
  context.textBaseline = "middle";
  context.fillText(text, x + 3.5 * ratio, bottom - high / 2 + 0.5 * ratio);
}

function outcomes(context: Context, line: Box, cells: Cells, i: number, style: Style, strong: number): void {
  const [wrong, open] = outcomesOf(cells, i, line.w);
  context.fillStyle = css(strong > 0 ? style.ink : style.muted);
  context.fillRect(line.x, line.y, wrong, line.h);
  context.fillStyle = css(strong > 0 ? style.unknown : style.muted);
  context.fillRect(line.x + wrong, line.y, open, line.h);
}

const shown = (full: number, muted: number, strong: number): number => (strong >= 1 ? full : blend(muted, full, strong));

export function compact(n: number): string {
  if (n < 1000) return String(Math.round(n));
  if (n < 100_000) return `${(n / 1000).toFixed(n < 10_000 ? 1 : 0).replace(/\.0$/, "")}k`;
  return `${(n / 1e6).toFixed(1).replace(/\.0$/, "")}M`;
}
