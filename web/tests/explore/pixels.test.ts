import { describe, expect, it } from "vitest";

import { barParts, paintSmall, strength } from "../../src/explore/glyph/pixels";
import { type ColourBy, type Style, categoryCounts, css, impactTone, makeStyle, parseColourBy } from "../../src/explore/glyph/style";
import { overlaid } from "../../src/explore/model/cells";
import { type One, tile } from "./atlas";

const weights = Array.from({ length: 16 }, (_, k) => k - 7.5);

function style(by: ColourBy, dark = false, off: number[] = []): Style {
  return makeStyle({ dark, by, weights, off, impact: 1, full: () => 100, fullKey: "" });
}

function paint(one: One, by: ColourBy, side = 24, off: number[] = []): { pixels: Uint32Array; colours: Set<number> } {
  const pixels = new Uint32Array(side * side);
  paintSmall({ pixels, width: side, height: side }, 0, 0, side, tile(5, [one]), 0, style(by, false, off));
  return { pixels, colours: new Set(pixels) };
}

const lightness = (pixel: number): number => 0.3 * (pixel & 255) + 0.59 * ((pixel >>> 8) & 255) + 0.11 * ((pixel >>> 16) & 255);

describe("a small glyph", () => {
  it("shows each dimension in its own square: another impact, another picture", () => {
    const quiet = paint({ cell: 0 }, "signature").pixels;
    const seen = new Set<string>();
    for (let k = 0; k < 16; k++) {
      const impact = Array<number>(16).fill(0);
      impact[k] = 1;
      const loud = paint({ cell: 0, impact }, "signature").pixels;
      const changed = [...loud.keys()].filter((i) => loud[i] !== quiet[i]);
      expect(changed.length).toBeGreaterThanOrEqual(9);
      seen.add(changed.join());
    }
    expect(seen.size).toBe(16);
  });

  it("carries magnitude by lightness, so that it needs no colour", () => {
    const { diverging } = style("signature");
    const at = (i: number): number => lightness(diverging[i] as number);
    for (let i = 1; i <= 127; i++) expect(at(127 - i)).toBeLessThan(at(128 - i) + 0.6);
    for (let i = 128; i < 255; i++) expect(at(i)).toBeLessThan(at(i - 1) + 0.6);
    expect(at(127) - at(0)).toBeGreaterThan(100);
    expect(at(127) - at(254)).toBeGreaterThan(100);
  });

  it("leaves a hole where a dimension is switched off", () => {
    const impact = Array<number>(16).fill(1);
    const empty = (off: number[]): number => paint({ cell: 0, impact }, "signature", 24, off).pixels.filter((p) => p === 0).length;
    expect(empty([3]) - empty([])).toBeGreaterThanOrEqual(9);
  });

  it("splits its bar by class and lengthens it with the count", () => {
    const length = (count: number, real: number): number[] =>
      barParts(tile(5, [{ cell: 0, count, real, fake: count - real }]), 0, 20).map(([wide]) => wide);
    expect(length(10, 5)).toEqual([10, 10, 0, 0]);
    expect(length(10, 10)).toEqual([20, 0, 0, 0]);
  });

  it("greys what is not selected and keeps it", () => {
    const base = tile(5, [{ cell: 0, count: 10, impact: Array<number>(16).fill(1) }]);
    const none = overlaid(base, tile(5, [{ cell: 0, count: 10, selected: 0 }]));
    const some = overlaid(base, tile(5, [{ cell: 0, count: 10, selected: 4, impact: Array<number>(16).fill(1) }]));
    expect(strength(base, 0)).toBe(1);
    expect(strength(none, 0)).toBe(0);
    expect(strength(some, 0)).toBeGreaterThan(0.35);
    const pixels = new Uint32Array(24 * 24);
    paintSmall({ pixels, width: 24, height: 24 }, 0, 0, 24, none, 0, style("signature"));
    const painted = pixels.filter((p) => p !== 0);
    expect(painted.length).toBeGreaterThan(200);
    for (const p of painted) expect(Math.abs((p & 255) - ((p >>> 16) & 255))).toBeLessThan(8);
  });

  it("marks a wrong verdict with the ink of the text", () => {
    const ink = style("signature").ink;
    expect(paint({ cell: 0 }, "signature").colours.has(ink)).toBe(false);
    expect(paint({ cell: 0, fp: 3 }, "signature").colours.has(ink)).toBe(true);
    expect(paint({ cell: 0, fn: 3 }, "error").colours.has(ink)).toBe(true);
  });

  it.each<ColourBy>(["signature", "score", "label", "verdict", "error", "generator", "uncertainty", "dimension:3"])(
    "stays within its cell when it shows %s",
    (by) => {
      for (const side of [6, 17, 18, 24, 31, 43]) {
        const pixels = new Uint32Array(3 * side * 3 * side);
        const one: One = { cell: 0, count: 90, fp: 4, impact: weights, generators: [3, 1, 2] };
        paintSmall({ pixels, width: 3 * side, height: 3 * side }, side, side, side, tile(5, [one]), 0, style(by));
        pixels.forEach((p, i) => {
          const [x, y] = [i % (3 * side), Math.floor(i / (3 * side))];
          if (p !== 0) expect(x >= side && x < 2 * side && y >= side && y < 2 * side).toBe(true);
        });
        expect(pixels.some((p) => p !== 0)).toBe(true);
      }
    },
  );

  it("reads a mode from the address, and the signature from anything else", () => {
    expect(parseColourBy("dimension:3", 16)).toBe("dimension:3");
    expect(parseColourBy("dimension:16", 16)).toBe("signature");
    expect(parseColourBy("mood", 16)).toBe("signature");
    expect(css(0xff030201)).toBe("rgb(1 2 3)");
    expect(impactTone(-4, 1)).toBe(-1);
  });
});

describe("three outcomes", () => {
  it("counts an image without an answer as neither right nor wrong", () => {
    const one: One = { cell: 0, count: 10, real: 5, fake: 5, fp: 1, fn: 1, tp: 2, unanswered: 4, impact: weights };
    const cells = tile(2, [one]);
    expect([...categoryCounts("error", cells, 0)].slice(0, 5)).toEqual([2, 1, 1, 2, 4]);
  });
});
