import { describe, expect, it } from "vitest";

import { exemplarsOf, overlaid, versus } from "../../src/explore/model/cells";
import { generatedShare, sentence } from "../../src/explore/overview/sentence";
import { tile } from "./atlas";

const words = { dimension: (k: number) => `dimension ${k + 1}` };

describe("a tile", () => {
  it("is read from Arrow with its lists", () => {
    const cells = tile(5, [{ cell: 3, exemplars: [7, 9], impact: [1, -2], generators: [1, 2] }, { cell: 40, exemplars: [5] }], 2, ["a", "b"]);
    expect(cells.index.get(40)).toBe(1);
    expect([...cells.impact.subarray(0, 2)]).toEqual([1, -2]);
    expect(exemplarsOf(cells, 0)).toEqual([7, 9]);
    expect(exemplarsOf(cells, 1)).toEqual([5]);
    expect([...cells.generators]).toEqual([1, 2, 0, 0]);
  });

  it("speaks of the selected images where there are some, of all where there are none", () => {
    const base = tile(5, [{ cell: 1, count: 100, real: 50, fake: 50, probability: 0.5 }, { cell: 2, count: 8, real: 8, fake: 0, probability: 0.1 }]);
    const chosen = tile(5, [
      { cell: 1, count: 100, selected: 10, real: 0, fake: 10, probability: 0.9, exemplars: [77] },
      { cell: 2, count: 8, selected: 0, real: 0, fake: 0, probability: NaN, impact: Array<number>(16).fill(NaN) },
    ]);
    const both = overlaid(base, chosen);
    expect([...both.count]).toEqual([100, 8]);
    expect([...both.selected]).toEqual([10, 0]);
    expect([...both.shown]).toEqual([10, 8]);
    expect([...both.fake]).toEqual([10, 0]);
    expect(both.probability[1]).toBeCloseTo(0.1, 6);
    expect(both.impact.every(Number.isFinite)).toBe(true);
    expect(exemplarsOf(both, 0)).toEqual([77]);
    // The whole collection's tile is shared by all selections and must not change.
    expect([...base.fake]).toEqual([50, 0]);
  });

  it("balances two generators by their own totals", () => {
    const base = tile(5, [{ cell: 1, count: 30 }, { cell: 2, count: 20 }, { cell: 3, count: 5 }]);
    const a = tile(5, [{ cell: 1, selected: 10 }, { cell: 2, selected: 0 }, { cell: 3, selected: 0 }]);
    const b = tile(5, [{ cell: 1, selected: 1 }, { cell: 2, selected: 4 }, { cell: 3, selected: 0 }]);
    const between = versus(base, a, b, 1000, 100);
    expect(between.probability[0]).toBeCloseTo(0.5, 6);
    expect(between.probability[1]).toBe(1);
    expect([...between.selected]).toEqual([30, 20, 0]);
  });
});

describe("the sentence about a cell", () => {
  it("says how many, what share, whose, and what weighs most", () => {
    const impact = Array<number>(16).fill(0.1);
    impact[4] = 2;
    const cells = tile(5, [{ cell: 1, count: 212, real: 15, fake: 197, fp: 1, fn: 3, impact, generators: [150, 40, 0] }], 16, ["StyleGAN 2", "SD 1.5", "DALL-E"]);
    expect(sentence(cells, 0, words)).toBe(
      "212 images, 93 % generated, mostly StyleGAN 2; dimension 5 weighs most, for generated. 4 verdicts wrong.",
    );
  });

  it("says so when labels are unknown, and how many are selected", () => {
    const cells = tile(5, [{ cell: 1, count: 1, real: 0, fake: 0, selected: 0, impact: Array<number>(16).fill(-1) }]);
    expect(generatedShare(cells, 0)).toBeNull();
    expect(sentence(cells, 0, words)).toBe("1 image; dimension 1 weighs most, for real. None selected.");
  });
});
