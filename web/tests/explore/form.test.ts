import { describe, expect, it } from "vitest";

import { formOf, fraction, mosaic, outcomeParts, portrait, signature, snake, squareSide, waffle } from "../../src/explore/glyph/form";

describe("the glyph", () => {
  it("takes its form from its size on the screen", () => {
    expect([8, 18, 43, 44, 129, 130].map(formOf)).toEqual(["square", "signature", "signature", "portrait", "portrait", "mosaic"]);
  });

  it("keeps its parts inside the cell and apart, at every size and pixel ratio", () => {
    for (const ratio of [1, 1.25, 2]) {
      for (let side = Math.ceil(18 * ratio); side < 44 * ratio; side++) {
        const { xs, ys, bar, grid } = signature(side, 16, ratio);
        expect(grid).toBe(4);
        expect(xs[0]).toBeGreaterThanOrEqual(1);
        expect(xs[4]).toBeLessThanOrEqual(side - 1);
        expect(bar.y).toBeGreaterThan(ys[4] as number);
        expect(bar.y + bar.h).toBeLessThanOrEqual(side);
        for (let i = 0; i < 4; i++) expect((ys[i + 1] as number) - (ys[i] as number)).toBeGreaterThanOrEqual(2);
      }
      for (let side = Math.ceil(44 * ratio); side < 400; side++) {
        const { picture, strip, bar } = portrait(side, ratio);
        expect(picture.x + picture.w).toBeLessThanOrEqual(strip.x);
        expect(strip.x + strip.w).toBeLessThanOrEqual(side);
        expect(picture.y + picture.h).toBeLessThan(bar.y);
        expect(bar.y + bar.h).toBeLessThanOrEqual(side);
      }
    }
  });

  it("orders the dimensions by weight along a snake", () => {
    const weights = [5, -8, 0, 7, 1, 2, 3, 4, -1, -2, -3, -4, -5, -6, -7, 6];
    const order = snake(weights);
    const along = [0, 1, 2, 3, 7, 6, 5, 4, 8, 9, 10, 11, 15, 14, 13, 12].map((place) => weights[order[place] as number] as number);
    expect(along).toEqual([...weights].sort((a, b) => a - b));
    expect(snake([3, 1, 2])).toEqual([1, 2, -1, 0]);
  });

  it("gives a waffle's squares by share, and one to whatever is there", () => {
    const times = (squares: Uint8Array, category: number): number => squares.filter((one) => one === category).length;
    const half = waffle([50, 50, 0], 16);
    expect([times(half, 0), times(half, 1), times(half, 2)]).toEqual([8, 8, 0]);
    const rare = waffle([999, 1], 16);
    expect([times(rare, 0), times(rare, 1)]).toEqual([15, 1]);
    for (const counts of [[3, 4, 5], [1, 0, 0], [7, 900, 13, 2], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]]) {
      const squares = waffle(counts, 16);
      expect(squares.filter((one) => one !== 255)).toHaveLength(16);
    }
    expect([...waffle([0, 0], 4)]).toEqual([255, 255, 255, 255]);
  });

  it("lets size and length grow with the count, and never vanish", () => {
    expect(fraction(0, 100)).toBe(0);
    expect(fraction(100, 100)).toBe(1);
    expect(fraction(5000, 100)).toBe(1);
    let last = 0;
    for (const count of [1, 3, 10, 50, 100]) {
      expect(fraction(count, 100)).toBeGreaterThan(last);
      last = fraction(count, 100);
      expect(squareSide(10, count, 100)).toBeGreaterThanOrEqual(1);
    }
  });

  it("marks outcomes by length, and any at all by a pixel", () => {
    expect(outcomeParts(0, 0, 50, 24)).toEqual([0, 0]);
    expect(outcomeParts(1, 1, 0, 24)).toEqual([0, 0]);
    expect(outcomeParts(1, 0, 1000, 24)).toEqual([1, 0]);
    expect(outcomeParts(25, 50, 100, 40)).toEqual([10, 20]);
    expect(outcomeParts(60, 60, 100, 10)).toEqual([6, 4]);
  });

  it("lays no part of a glyph on another", () => {
    for (let side = 18; side <= 200; side++) {
      for (const ratio of [1, 1.5, 2]) {
        const pixels = Math.round(side * ratio);
        const small = signature(pixels, 16, ratio);
        const large = portrait(pixels, ratio);
        const parts = [
          { top: small.ys.at(-1) as number, bar: small.bar, outcome: small.outcome },
          { top: large.picture.y + large.picture.h, bar: large.bar, outcome: large.outcome },
        ];
        for (const { top, bar, outcome } of parts) {
          expect(bar.y).toBeGreaterThanOrEqual(top);
          expect(outcome.y).toBeGreaterThanOrEqual(bar.y + bar.h);
          expect(outcome.h).toBeGreaterThanOrEqual(1);
          expect(outcome.y + outcome.h).toBeLessThanOrEqual(pixels);
        }
      }
    }
  });

  it("lays a mosaic out without overlap", () => {
    const box = { x: 5, y: 5, w: 150, h: 140 };
    for (let n = 1; n <= 9; n++) {
      const boxes = mosaic(box, n, 300);
      expect(boxes).toHaveLength(n);
      boxes.forEach((a, i) => {
        expect(a.x + a.w).toBeLessThanOrEqual(box.x + box.w + 1);
        boxes.slice(i + 1).forEach((b) => {
          const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
          expect(apart).toBe(true);
        });
      });
    }
  });
});
