/** A box drawn on a picture, in shares of its sides, and the pixels that it means. */

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export interface Pixels {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Pixels on either side of a part below which there is nothing to judge. */
export const LEAST = 32;

const within = (x: number): number => Math.min(1, Math.max(0, x));

/** The box between two corners, wherever they lie, cut off at the picture's edge. */
export function boxOf([x0, y0]: readonly [number, number], [x1, y1]: readonly [number, number]): Box {
  return {
    left: within(Math.min(x0, x1)),
    top: within(Math.min(y0, y1)),
    right: within(Math.max(x0, x1)),
    bottom: within(Math.max(y0, y1)),
  };
}

/** Whole pixels of a box in a picture; null where it is too small to judge. */
export function pixelsOf({ left, top, right, bottom }: Box, width: number, height: number): Pixels | null {
  const x = Math.round(left * width);
  const y = Math.round(top * height);
  const part = { x, y, width: Math.round(right * width) - x, height: Math.round(bottom * height) - y };
  return part.width < LEAST || part.height < LEAST ? null : part;
}
