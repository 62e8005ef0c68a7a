import { describe, expect, it } from "vitest";

import { BIAS, REST, waterfall } from "../src/check/waterfall";

const names = ["a", "b", "c", "d"];
const impacts = [0.5, -2, 1.25, 0.1];

describe("a waterfall", () => {
  it.each([0, 1, 2, 4, 9])("ends at the logit, however many bars are shown (%i)", (most) => {
    const { bars, total } = waterfall(names, impacts, -0.3, most);
    expect(total).toBeCloseTo(-0.45);
    expect(bars.at(-1)?.to).toBeCloseTo(total);
  });

  it("has bars that each start where the one before ended, the bias first and the largest next", () => {
    const { bars } = waterfall(names, impacts, -0.3, 2);
    expect(bars.map((bar) => bar.index)).toEqual([BIAS, 1, 2, REST]);
    bars.slice(1).forEach((bar, i) => {
      expect(bar.from).toBe(bars[i]?.to);
    });
  });

  it("holds everything that is drawn, and zero", () => {
    const { bars, domain } = waterfall(names, impacts, 1, 4);
    for (const bar of bars) {
      expect(bar.reach).toBeGreaterThanOrEqual(domain[0]);
      expect(bar.reach).toBeLessThanOrEqual(domain[1]);
    }
    expect(domain[0]).toBeLessThanOrEqual(0);
  });

  it("leaves a dimension that is off out of the sum, shown or folded, but keeps its row", () => {
    const shown = waterfall(names, impacts, 0, 4, [1]);
    expect(shown.total).toBeCloseTo(1.85);
    expect(shown.bars.find((bar) => bar.index === 1)).toMatchObject({ value: -2 });
    expect(waterfall(names, impacts, 0, 1, [3]).total).toBeCloseTo(-0.25);
  });
});
