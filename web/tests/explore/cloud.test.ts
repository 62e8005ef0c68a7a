import { describe, expect, it } from "vitest";

import { makeStyle, type Style } from "../../src/explore/glyph/style";
import { type PointColours, type Points, pointsOf, touching } from "../../src/explore/model/points";
import { type Cloud, colourTable, densityOf, paintPoints, pointAt, pointSide, tonesOf } from "../../src/explore/overview/cloud";

const size = { width: 400, height: 300 };
const view = { x: 0.5, y: 0.5, scale: 280 };
const none: PointColours = { names: [], values: null, categories: null, selected: null };

function style(by: Style["by"] = "score"): Style {
  return makeStyle({ dark: false, by, weights: [1, -1], off: [], impact: 1, full: () => 100, fullKey: "" });
}

function cloud(points: Points, colours: Partial<PointColours>, look = style()): Cloud {
  const found = { ...none, ...colours };
  return { key: "", points, colours: found, tones: tonesOf(found, look, points.length) };
}

/** Points in rows over the whole map, near ones one after another. */
function even(side: number): Points {
  const at = (i: number): number => Math.round(((i + 0.5) / side) * 65_536);
  const all = Array.from({ length: side * side }, (_, i) => i);
  return pointsOf(Int32Array.from(all), Uint16Array.from(all, (i) => at(i % side)), Uint16Array.from(all, (i) => at(Math.floor(i / side))));
}

function paint(one: Cloud, look = style()): { count: (colour: number) => number; pixels: Uint32Array } {
  const pixels = new Uint32Array(size.width * size.height).fill(look.paper);
  paintPoints({ pixels, width: size.width, height: size.height }, one, look, view, size, 1);
  return { pixels, count: (colour) => pixels.filter((p) => p === colour).length };
}

describe("images as points", () => {
  it("each have the colour of their own value where they are", () => {
    const points = even(4);
    const values = Float32Array.from({ length: 16 }, (_, i) => i / 15);
    const look = style();
    const { pixels } = paint(cloud(points, { values }));
    for (let i = 0; i < 16; i++) {
      const x = Math.round((((points.x[i] as number) / 65_536 - 0.5) * 280 + 200));
      const y = Math.round((((points.y[i] as number) / 65_536 - 0.5) * 280 + 150));
      expect(pixels[y * size.width + x]).toBe(look.diverging[Math.round((i / 15) * 254)]);
    }
  });

  it("are grey where they are unknown or not selected, and none goes", () => {
    const points = even(3);
    const look = style();
    const values = new Float32Array(9).fill(1);
    values[4] = NaN;
    expect(paint(cloud(points, { values })).count(look.unknown)).toBeGreaterThan(20);
    const selected = Uint8Array.from({ length: 9 }, (_, i) => Number(i < 3));
    const { count } = paint(cloud(points, { values, selected }));
    expect(count(look.muted)).toBeGreaterThan(6 * 9);
    expect(count(colourTable(look)[254] as number)).toBeGreaterThan(3 * 20);
  });

  it("are of the side that their number leaves room for, and a pixel at least", () => {
    expect(pointSide(even(300), 280, 1)).toBe(1);
    expect(pointSide(even(10), 280, 1)).toBe(9);
    expect(pointSide(even(10), 280, 2)).toBe(18);
  });

  it("are found below the pointer, and none where there is none", () => {
    const points = even(20);
    const one = cloud(points, { values: new Float32Array(400) });
    for (const i of [0, 21, 399]) {
      const x = ((points.x[i] as number) / 65_536 - 0.5) * 280 + 200;
      const y = ((points.y[i] as number) / 65_536 - 0.5) * 280 + 150;
      expect(pointAt(one, view, size, 1, x + 2, y - 2)?.row).toBe(i);
    }
    expect(pointAt(one, view, size, 1, 5, 5)).toBeNull();
  });

  it("come a block at a time, and no block that a region touches is left out", () => {
    const points = even(100);
    const seen = new Set<number>();
    for (const [from, to] of touching(points, 20_000, 20_000, 30_000, 30_000)) for (let i = from; i < to; i++) seen.add(i);
    for (let i = 0; i < points.length; i++) {
      const inside = [points.x[i], points.y[i]].every((v) => (v as number) >= 20_000 && (v as number) <= 30_000);
      if (inside) expect(seen.has(i)).toBe(true);
    }
    expect(seen.size).toBeLessThan(0.4 * points.length);
  });
});

describe("density", () => {
  it("is deeper where more images are, and paper where there are none", () => {
    const x = Uint16Array.from({ length: 1000 }, (_, i) => (i < 900 ? 16_384 : 49_152) + 13 * (i % 30));
    const y = Uint16Array.from({ length: 1000 }, (_, i) => 32_768 + 17 * (i % 31));
    const look = style();
    const { pixels, width } = densityOf(cloud(pointsOf(new Int32Array(1000), x, y), { values: new Float32Array(1000).fill(1) }), look, view, size, 1);
    const light = (at: number): number => (pixels[at] as number) & 255;
    const at = (mapX: number, mapY: number): number => Math.floor(((mapY - 0.5) * 280 + 150) / 4) * width + Math.floor(((mapX - 0.5) * 280 + 200) / 4);
    expect(light(at(0.25, 0.5))).toBeLessThan(light(at(0.75, 0.5)) - 15);
    expect(light(at(0.75, 0.5))).toBeLessThan(light(at(0.5, 0.1)));
    expect(pixels[at(0.5, 0.1)]).toBe(look.paper);
  });

  it("has the colour of the most frequent category, of the selected images", () => {
    const points = even(60);
    const look = makeStyle({ dark: false, by: "column:x", column: "category", weights: [1], off: [], impact: 1, full: () => 1, fullKey: "" });
    const categories = Uint8Array.from({ length: 3600 }, (_, i) => (i % 3 ? 1 : 0));
    const middle = (selected: Uint8Array | null): number => {
      const { pixels, width, height } = densityOf(cloud(points, { categories, selected }, look), look, view, size, 1);
      return pixels[Math.floor(height / 2) * width + Math.floor(width / 2)] as number;
    };
    const near = (a: number, b: number): number => Math.max(...[0, 8, 16].map((s) => Math.abs(((a >>> s) & 255) - ((b >>> s) & 255))));
    expect(near(middle(null), look.categories[1] as number)).toBeLessThan(40);
    const selected = categories.map((one) => Number(one === 0));
    expect(near(middle(selected), look.categories[0] as number)).toBeLessThan(near(middle(selected), look.categories[1] as number));
  });
});
