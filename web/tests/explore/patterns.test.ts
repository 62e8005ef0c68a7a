import { describe, expect, it } from "vitest";

import type { PrototypeView } from "../../src/api/generated";
import { type Prototype, prototype } from "../../src/explore/model/api";
import { crop, gathered, lift, ordered, titles } from "../../src/explore/patterns/order";
import { density, position, shape, valueAt } from "../../src/explore/dimensions/histogram";
import { parseAgainst, parseOff, parseOverlay, parseRows, parseSort } from "../../src/explore/model/params";

const PLAIN: PrototypeView = {
  id: 0, dimension: 0, sign: 1, name: "", suggested: "", description: "", note: "", hidden: false, merged_into: null,
  count: 10, images: 10, selected: null, coverage: 0.1, purity_fake: 0.5, purity_low: null, purity_high: null,
  share_fake: null, share_real: null, mean_impact: 0, impact_low: null, impact_high: null, interval_level: 0.9, excess: null, p_value: null,
  p_raw: null, stability: null, surprise: null, area: null, centre_x: null, centre_y: null, file_confound: null,
  generators: [], exemplars: [],
};

const make = (id: number, more: Partial<PrototypeView> = {}): Prototype =>
  prototype({ ...PLAIN, id, name: `p${id}`, images: 10 * (id + 1), mean_impact: id - 1, surprise: -id, ...more });

describe("patterns", () => {
  it("that were merged count with what they were merged into, through chains", () => {
    const all = [make(0), make(1, { merged_into: 0, selected: 3 }), make(2, { merged_into: 1 }), make(3, { hidden: true })];
    const shown = gathered(all, false);
    expect(shown.map((one) => one.id)).toEqual([0]);
    expect(shown[0]?.all).toBe(10 + 20 + 30);
    expect(shown[0]?.merged.map((one) => one.id)).toEqual([1, 2]);
    expect(gathered(all, true).map((one) => one.id)).toEqual([0, 3]);
  });

  it("of one name are told apart in lists by their numbers", () => {
    const found = titles([make(0, { name: "grid" }), make(1), make(2, { name: "grid" }), make(3, { name: "" })]);
    expect([...found]).toEqual([[0, "grid (0)"], [1, "p1"], [2, "grid (2)"], [3, "Pattern 3"]]);
  });

  it("survive a circle of merges", () => {
    expect(() => gathered([make(0, { merged_into: 1 }), make(1, { merged_into: 0 })], true)).not.toThrow();
  });

  it("come in the order that was asked for", () => {
    const shown = gathered([make(0), make(1), make(2), make(5)], false);
    expect(ordered(shown, "impact", 0, 100).map((one) => one.id)).toEqual([5, 0, 2, 1]);
    expect(ordered(shown, "coverage", 0, 100).map((one) => one.id)).toEqual([5, 2, 1, 0]);
    expect(ordered(shown, "surprise", 0, 100).map((one) => one.id)).toEqual([0, 1, 2, 5]);
  });

  it("are measured against the collection", () => {
    const [one] = gathered([make(1, { selected: 8 })], false);
    if (!one) throw new Error("none");
    expect(lift(one, 16, 100)).toBeCloseTo(0.5 / 0.2, 9);
    expect(lift(one, 0, 100)).toBe(1);
  });

  it("are read from the server's record", () => {
    const one = make(0, { impact_low: -1.5, impact_high: -0.5, exemplars: [{ row: 7, x0: 0.1, y0: 0.2, x1: 0.5, y1: 0.9, distance: 0 }], file_confound: null });
    expect(one.impactInterval).toEqual([-1.5, -0.5]);
    expect(one.exemplars).toEqual([{ row: 7, box: [0.1, 0.2, 0.5, 0.9] }]);
    expect(one.warning).toBe("");
  });

  it("are cropped square, with surroundings, inside the picture", () => {
    for (const box of [[0, 0, 0.1, 0.1], [0.6, 0.2, 1, 0.9], [0, 0, 1, 1], [0.45, 0.45, 0.5, 0.5]] as const) {
      const { x, y, side } = crop(box);
      expect(x).toBeGreaterThanOrEqual(0);
      expect(x + side).toBeLessThanOrEqual(1 + 1e-9);
      expect(y + side).toBeLessThanOrEqual(1 + 1e-9);
      expect(x).toBeLessThanOrEqual(box[0] + 1e-9);
      expect(x + side).toBeGreaterThanOrEqual(box[2] - 1e-9);
    }
  });
});

describe("a histogram", () => {
  it("measures each class by its own total", () => {
    expect(density([1, 3])).toEqual([0.25, 0.75]);
    expect(density([0, 0])).toEqual([0, 0]);
    const { real, fake, selected } = shape([1, 9], [100, 900], null, [-1, 1], 100, 40);
    // Mirror images: the same shares above and below the line.
    const heights = (path: string): number[] => [...path.matchAll(/V([\d.]+)/g)].map((m) => Math.abs(Number(m[1]) - 20));
    expect(heights(real)).toEqual(heights(fake));
    expect(selected).toBe("");
  });

  it("takes values to places and back", () => {
    const edges = [-2, 3] as const;
    for (const v of [-2, -0.5, 0, 3]) expect(valueAt(position(v, edges, 240), edges, 240)).toBeCloseTo(v, 9);
  });
});

describe("an address", () => {
  it("is read forgivingly", () => {
    expect(parseSort("-impact:3")).toEqual({ by: "impact:3", descending: true });
    expect(parseSort("-impact:x")).toEqual({ by: "row", descending: false });
    expect(parseOff("3,1,3,99,x", 16)).toEqual([1, 3]);
    expect(parseRows("5,9,9,-1,abc,100", 50)).toEqual([5, 9]);
    expect(parseOverlay("logit", 16)).toBe("logit");
    expect(parseOverlay("17", 16)).toBe("none");
    expect(parseAgainst('["a","b"]')).toEqual(["a", "b"]);
    expect(parseAgainst("[1]")).toBeNull();
  });
});
