/**
 * The overview's camera: which part of the unit square is on the screen, and at which level of the pyramid.
 *
 * Cells grow while one zooms in, but slower than the map: two doublings of the map are about one of the cells and
 * one more level. So a reader meets all forms of the glyph on the way down, and a single image is never
 * further than a few turns of the wheel.
 */

export interface Viewport {
  /** Layout coordinates of the middle of the screen. */
  readonly x: number;
  readonly y: number;
  /** Side of the unit square in CSS pixels. */
  readonly scale: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Levels {
  readonly min: number;
  readonly max: number;
}

/** Side that a cell should have when the whole map fits the screen; a reader can ask for finer or coarser. */
export const CELL = 26;
export const LARGEST_CELL = 420;
const GROWTH = 0.45;
const MARGIN = 0.95;
/** What the tools and the legend take at the left, where a window is wide enough to leave it to them. */
const ASIDE = 288;
const RIGHT = 8;

/** The whole map, beside the tools and the legend as far as the window allows. */
export function fit(size: Size): Viewport {
  const scale = Math.max(64, Math.min(size.width, size.height) * MARGIN);
  const middle = (size.width - scale) / 2;
  const left = Math.max(middle, Math.min(ASIDE, size.width - scale - RIGHT));
  return { x: 0.5 - (left - middle) / scale, y: 0.5, scale };
}

/** Whether a viewport is the whole map, or so near to it that nobody can tell them apart. */
export function isWhole(view: Viewport, size: Size): boolean {
  const whole = fit(size);
  return Math.hypot(view.x - whole.x, view.y - whole.y) < 5e-3 && Math.abs(view.scale / whole.scale - 1) < 0.03;
}

export function toScreen(view: Viewport, size: Size, x: number, y: number): [number, number] {
  return [(x - view.x) * view.scale + size.width / 2, (y - view.y) * view.scale + size.height / 2];
}

export function toLayout(view: Viewport, size: Size, px: number, py: number): [number, number] {
  return [(px - size.width / 2) / view.scale + view.x, (py - size.height / 2) / view.scale + view.y];
}

export function panned(view: Viewport, dx: number, dy: number): Viewport {
  return { ...view, x: view.x - dx / view.scale, y: view.y - dy / view.scale };
}

/** Zoom by `factor` with the point under the pointer staying where it is. */
export function zoomed(view: Viewport, size: Size, px: number, py: number, factor: number, limits: Limits): Viewport {
  const [x, y] = toLayout(view, size, px, py);
  const scale = Math.min(limits.max, Math.max(limits.min, view.scale * factor));
  return { x: x - (px - size.width / 2) / scale, y: y - (py - size.height / 2) / scale, scale };
}

export interface Limits {
  readonly min: number;
  readonly max: number;
}

export function limits(size: Size, levels: Levels): Limits {
  const whole = fit(size).scale;
  return { min: whole * 0.5, max: Math.max(whole * 2, LARGEST_CELL * 2 ** levels.max) };
}

/** Keep some of the map on the screen, wherever one drags it. */
export function clamped(view: Viewport, size: Size): Viewport {
  const slackX = Math.max(0.5 - fit(size).x, 0.5 - size.width / view.scale / 4);
  const slackY = Math.max(0, 0.5 - size.height / view.scale / 4);
  return {
    ...view,
    x: Math.min(0.5 + slackX, Math.max(0.5 - slackX, view.x)),
    y: Math.min(0.5 + slackY, Math.max(0.5 - slackY, view.y)),
  };
}

/** The pyramid level whose cells come nearest to the wanted side; `detail` in doublings, positive is coarser. */
export function levelFor(view: Viewport, size: Size, levels: Levels, detail = 0): number {
  const zoom = Math.max(0, Math.log2(view.scale / fit(size).scale));
  const wanted = CELL * 2 ** (GROWTH * zoom + detail);
  return Math.min(levels.max, Math.max(levels.min, Math.round(Math.log2(view.scale / wanted))));
}

/** The viewport moved by less than a hundredth so that cells are whole device pixels: sprites then need no scaling. */
export function snapped(view: Viewport, size: Size, level: number, ratio: number): Viewport {
  const cells = 2 ** level;
  const cell = Math.max(2, Math.round((view.scale / cells) * ratio)) / ratio;
  const scale = cell * cells;
  const left = Math.round(((0 - view.x) * scale + size.width / 2) * ratio) / ratio;
  const top = Math.round(((0 - view.y) * scale + size.height / 2) * ratio) / ratio;
  return { x: (size.width / 2 - left) / scale, y: (size.height / 2 - top) / scale, scale };
}

/** Range of cells on the screen, clipped to the map: [x0, y0, x1, y1), in cells of `level`. */
export function visibleCells(view: Viewport, size: Size, level: number): [number, number, number, number] {
  const cells = 2 ** level;
  const [x0, y0] = toLayout(view, size, 0, 0);
  const [x1, y1] = toLayout(view, size, size.width, size.height);
  const clip = (v: number): number => Math.min(cells, Math.max(0, v));
  return [clip(Math.floor(x0 * cells)), clip(Math.floor(y0 * cells)), clip(Math.ceil(x1 * cells)), clip(Math.ceil(y1 * cells))];
}

/** The viewport that shows a box of layout coordinates with a margin. */
export function around(box: readonly [number, number, number, number], size: Size, limit: Limits): Viewport {
  const [x0, y0, x1, y1] = box;
  const wide = Math.max(1e-6, x1 - x0);
  const high = Math.max(1e-6, y1 - y0);
  const scale = Math.min(size.width / wide, size.height / high) * 0.82;
  return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, scale: Math.min(limit.max, Math.max(limit.min, scale)) };
}

export function encodeViewport(view: Viewport, size: Size): string {
  const zoom = view.scale / fit(size).scale;
  return [view.x.toFixed(5), view.y.toFixed(5), zoom.toFixed(3)].join(",");
}

/** The viewport of an address. Zoom is relative to the window, so that another screen shows the same region. */
export function decodeViewport(text: string | undefined, size: Size): Viewport {
  const whole = fit(size);
  const [x, y, zoom] = (text ?? "").split(",").map(Number);
  if (x === undefined || y === undefined || zoom === undefined) return whole;
  if (![x, y, zoom].every(Number.isFinite) || zoom <= 0) return whole;
  return { x, y, scale: whole.scale * zoom };
}
