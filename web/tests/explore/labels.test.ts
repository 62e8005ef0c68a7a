import { describe, expect, it } from "vitest";

import { type Seen, labelsOf } from "../../src/explore/overview/labels";
import { tile } from "./atlas";

const size = { width: 900, height: 600 };

/** Cells in a grid of 30 px; those on the left are of generator a, on the right of b, those in the middle of nobody. */
function screen(): Seen[] {
  const found: Seen[] = [];
  for (let x = 15; x < size.width; x += 30) {
    const generators = x < 300 ? [9, 0, 0] : x > 600 ? [0, 9, 0] : [1, 1, 1]; // a tenth each
    const cells = tile(0, [{ cell: 0, count: 10, fake: 9, real: 1, generators, impact: [x < 450 ? 1 : 0.1, 0.5] }], 2);
    for (let y = 15; y < size.height; y += 30) found.push({ cells, row: 0, at: [x, y] });
  }
  return found;
}

describe("names on the map", () => {
  it("say whose a region is, and nothing where it is nobody's", () => {
    const labels = labelsOf(screen(), "generators", size, String);
    expect(new Set(labels.map((one) => one.text))).toEqual(new Set(["a", "b"]));
    for (const one of labels) expect(one.text === "a" ? one.x < 320 : one.x > 580).toBe(true);
  });

  it("lie on no other and inside the map", () => {
    const name = (k: number): string => (k === 0 ? "blurred background" : "film grain, towards generated, and a long rest");
    const labels = labelsOf(screen(), "dimensions", size, name);
    expect(labels.length).toBeGreaterThan(1);
    labels.forEach((a, i) => {
      const half = (text: string): number => (Math.min(28, text.length) * 6.6) / 2;
      expect(a.x - half(a.text)).toBeGreaterThanOrEqual(0);
      expect(a.x + half(a.text)).toBeLessThanOrEqual(size.width);
      labels.slice(i + 1).forEach((b) => {
        expect(Math.abs(a.x - b.x) >= half(a.text) + half(b.text) || Math.abs(a.y - b.y) >= 18).toBe(true);
      });
    });
  });

  it("are tags where people gave them, also to few images, and none elsewhere", () => {
    const tagged = screen().map((one) => {
      const here = one.at[0] < 200;
      const values = Float32Array.from([here ? 1 : 0, ...Array<number>(11).fill(0)]);
      return { ...one, cells: { ...one.cells, colours: [{ name: "tag", kind: "category" as const, names: ["to check"], width: 12, values }] } };
    });
    const labels = labelsOf(tagged, "tags", size, String);
    expect(labels.length).toBeGreaterThan(0);
    for (const one of labels) expect([one.text, one.x < 200]).toEqual(["to check", true]);
    expect(labelsOf(screen(), "tags", size, String)).toEqual([]);
  });

  it("are left out when nobody wants them", () => expect(labelsOf(screen(), "none", size, String)).toEqual([]));
});
