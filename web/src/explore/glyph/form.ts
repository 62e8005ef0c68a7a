/**
 * How a cell is drawn at each size: the geometry of the glyph, in whole device pixels, without any drawing.
 *
 * The parts keep their places from form to form, so that zooming reveals and never rearranges: signature on top or
 * at the right, at the bottom the bar (its length the number of images, its division the classes) and below it the
 * line of outcomes (the shares of wrong verdicts and of those without an answer). Nothing lies on anything else.
 */

export type Form = "square" | "signature" | "portrait" | "mosaic";

export function formOf(side: number): Form {
  if (side < 18) return "square";
  if (side < 44) return "signature";
  return side < 130 ? "portrait" : "mosaic";
}

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** Empty pixels between neighbouring cells, on each side of one. */
export const inset = (side: number): number => Math.max(1, Math.round(side * 0.035));

/** Side of the square below 18 px: its area grows with the logarithm of the count. */
export function squareSide(side: number, count: number, full: number): number {
  const inner = side - 2 * (side > 6 ? 1 : 0);
  return Math.max(1, Math.round(inner * Math.sqrt(Math.max(0.12, fraction(count, full)))));
}

/** Share of the longest bar for `count` images, where `full` images fill it. */
export function fraction(count: number, full: number): number {
  if (count <= 0) return 0;
  return Math.min(1, Math.log2(1 + count) / Math.log2(1 + Math.max(full, 1)));
}

export interface Signature {
  /** Columns and rows of the texture. */
  readonly grid: number;
  /** Left edges (grid + 1) and top edges (grid + 1) of its squares, the last being the end. */
  readonly xs: readonly number[];
  readonly ys: readonly number[];
  /** Pixels left empty between two squares. */
  readonly gap: number;
  readonly bar: Box;
  /** Where wrong verdicts, and those without an answer, are marked. */
  readonly outcome: Box;
}

/**
 * Geometry of the signature form for a cell of `side` device pixels and K dimensions.
 *
 * Its squares touch unless they are large: the gap between two cells must be plainer than any within one, or the
 * map is one carpet.
 */
export function signature(side: number, dimensions: number, ratio = 1): Signature {
  const edge = Math.max(1, Math.round(side * 0.07));
  const inner = side - 2 * edge;
  const grid = Math.max(1, Math.ceil(Math.sqrt(dimensions)));
  const thick = Math.max(1, Math.round(2 * ratio * (side / ratio >= 24 ? 1 : 0.75)));
  const space = Math.max(1, Math.round(ratio));
  const line = outcomeLine(side, ratio);
  const high = inner - thick - space - line;
  const edges = (length: number): number[] =>
    Array.from({ length: grid + 1 }, (_, i) => edge + Math.round((i * length) / grid));
  return {
    grid,
    xs: edges(inner),
    ys: edges(high),
    gap: high / grid >= 7 * ratio ? Math.max(1, Math.floor(ratio)) : 0,
    bar: { x: edge, y: edge + high + space, w: inner, h: thick },
    outcome: { x: edge, y: edge + high + space + thick, w: inner, h: line },
  };
}

/** Height of the line of outcomes. */
const outcomeLine = (side: number, ratio: number): number => Math.max(1, Math.round((side / ratio < 44 ? 1.5 : 3) * ratio));

export interface Portrait {
  readonly picture: Box;
  /** The signature as a column of K marks. */
  readonly strip: Box;
  readonly bar: Box;
  readonly outcome: Box;
  /** Is there room for the number of images? */
  readonly label: boolean;
}

/** Geometry of the portrait and mosaic forms. */
export function portrait(side: number, ratio = 1): Portrait {
  const edge = inset(side);
  const inner = side - 2 * edge;
  const css = side / ratio;
  const thick = Math.round((css < 90 ? 3 : 4) * ratio);
  const space = Math.max(1, Math.round((css < 90 ? 1 : 2) * ratio));
  const strip = Math.round(Math.min(34, Math.max(5, css * 0.13)) * ratio);
  const line = outcomeLine(side, ratio);
  const high = inner - thick - space - line;
  return {
    picture: { x: edge, y: edge, w: inner - strip - space, h: high },
    strip: { x: edge + inner - strip, y: edge, w: strip, h: high },
    bar: { x: edge, y: edge + high + space, w: inner, h: thick },
    outcome: { x: edge, y: edge + high + space + thick, w: inner, h: line },
    label: css >= 60,
  };
}

/** Places of `count` pictures in a box: as few columns and rows as hold them, at most `most` per side. */
export function mosaic(box: Box, count: number, side: number, ratio = 1): Box[] {
  const most = side / ratio < 210 ? 2 : 3;
  const columns = Math.min(most, Math.ceil(Math.sqrt(Math.max(1, count))));
  const rows = Math.min(most, Math.ceil(Math.max(1, count) / columns));
  const shown = Math.min(count, columns * rows);
  const gap = Math.round(2 * ratio);
  return Array.from({ length: shown }, (_, i) => {
    const column = i % columns;
    const row = Math.floor(i / columns);
    const x = box.x + Math.round((column * (box.w + gap)) / columns);
    const y = box.y + Math.round((row * (box.h + gap)) / rows);
    const right = box.x + Math.round(((column + 1) * (box.w + gap)) / columns) - gap;
    const bottom = box.y + Math.round(((row + 1) * (box.h + gap)) / rows) - gap;
    return { x, y, w: right - x, h: bottom - y };
  });
}

/** Pixels of a line of `length` for wrong verdicts and for those without an answer: at least one for any at all. */
export function outcomeParts(wrong: number, unanswered: number, labelled: number, length: number): [number, number] {
  const part = (n: number, room: number): number => (n <= 0 || labelled <= 0 ? 0 : Math.min(room, Math.max(1, Math.round((length * n) / labelled))));
  const first = part(wrong, length);
  return [first, part(unanswered, length - first)];
}

/**
 * Order of the dimensions along the snake: from the one that speaks most for "real" to the one that speaks most for
 * "generated" by head weight, in raster order of the texture. Rows alternate in direction, so that neighbours
 * in the order are neighbours on the screen.
 */
export function snake(weights: readonly number[]): number[] {
  const grid = Math.max(1, Math.ceil(Math.sqrt(weights.length)));
  const byWeight = weights.map((_, k) => k).sort((a, b) => (weights[a] as number) - (weights[b] as number) || a - b);
  const places = new Array<number>(grid * grid).fill(-1);
  byWeight.forEach((k, i) => {
    const row = Math.floor(i / grid);
    const column = row % 2 === 0 ? i % grid : grid - 1 - (i % grid);
    places[row * grid + column] = k;
  });
  return places;
}

/** Split `places` squares among categories by largest remainder; a category that is there at all gets one if it can. */
export function waffle(counts: ArrayLike<number>, places: number): Uint8Array {
  const n = counts.length;
  let total = 0;
  for (let i = 0; i < n; i++) total += counts[i] as number;
  const squares = new Uint8Array(places).fill(255);
  if (total <= 0) return squares;
  const shares = Array.from({ length: n }, (_, i) => ((counts[i] as number) * places) / total);
  const given = shares.map(Math.floor);
  let left = places - given.reduce((a, b) => a + b, 0);
  const byRest = shares.map((_, i) => i).sort((a, b) => rest(b) - rest(a) || a - b);
  function rest(i: number): number {
    const share = shares[i] as number;
    return share - Math.floor(share) + (share > 0 && share < 1 ? 1 : 0);
  }
  for (const i of byRest) {
    if (left <= 0) break;
    given[i] = (given[i] as number) + 1;
    left--;
  }
  let at = 0;
  given.forEach((times, i) => {
    squares.fill(i, at, at + times);
    at += times;
  });
  return squares;
}
