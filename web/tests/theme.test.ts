import { lab } from "d3-color";
import { describe, expect, it } from "vitest";

import { contrast, inkOn, luminance } from "../src/theme/contrast";
import { diverging, divergingTable } from "../src/theme/diverging";

describe.each([false, true])("the diverging scale (dark: %s)", (dark) => {
  const lightness = (t: number): number => lab(diverging(t, dark)).l;

  it("carries magnitude by lightness, the same on both sides", () => {
    const steps = [0, 0.2, 0.4, 0.6, 0.8, 1];
    for (const side of [-1, 1]) {
      const away = steps.map((t) => Math.abs(lightness(side * t) - lightness(0)));
      expect(away).toEqual([...away].sort((a, b) => a - b));
    }
    for (const t of steps) expect(Math.abs(lightness(t) - lightness(-t))).toBeLessThan(12);
  });

  it("is grey in the middle, and clamps what lies beyond", () => {
    const { a, b } = lab(diverging(0, dark));
    expect(Math.hypot(a, b)).toBeLessThan(4);
    expect(diverging(7, dark)).toBe(diverging(1, dark));
    expect(diverging(Number.NaN, dark)).toBe(diverging(0, dark));
  });

  it("differs along the blue–yellow axis too, which red–green blind eyes see", () => {
    expect(lab(diverging(0.7, dark)).b - lab(diverging(-0.7, dark)).b).toBeGreaterThan(40);
  });

  it("fills a table from one end to the other", () => {
    const table = divergingTable(5, dark);
    expect(table).toHaveLength(20);
    expect(`rgb(${[...table.slice(0, 3)].join(", ")})`).toBe(diverging(-1, dark));
  });
});

describe("contrast", () => {
  it("runs from 1 to 21", () => {
    expect(contrast("#fff", "#000")).toBeCloseTo(21);
    expect(contrast("#777", "#777")).toBe(1);
    expect(luminance("#fff")).toBeCloseTo(1);
  });

  it("finds an ink that can be read on any step of the scale, at 4.5 to 1", () => {
    for (const dark of [false, true]) {
      for (let t = -1; t <= 1; t += 0.02) {
        const colour = diverging(t, dark);
        expect(contrast(inkOn(colour), colour)).toBeGreaterThanOrEqual(4.5);
      }
    }
  });
});
