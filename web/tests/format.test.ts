import { describe, expect, it } from "vitest";

import { bytes, count, percent, plural, probability, signed, typeset } from "../src/ui/format";

describe("numbers for people", () => {
  it("never print certainty", () => {
    expect([0, 0.004, 0.5, 0.996, 1].map(probability)).toEqual(["< 0.01", "< 0.01", "0.50", "> 0.99", "> 0.99"]);
    expect([0.0004, 0.93, 0.9999].map((p) => percent(p))).toEqual(["under 1 %", "93 %", "over 99 %"]);
  });

  it("have a real minus, and none for zero", () => {
    expect([-0.35, 1.2, -0.001].map((v) => signed(v))).toEqual(["−0.35", "+1.20", "0.00"]);
  });

  it("say when they are unknown", () => {
    expect([probability(Number.NaN), percent(Number.NaN), signed(Number.NaN)]).toEqual(Array(3).fill("unknown"));
  });

  it("are typeset in sentences of the server", () => {
    expect(typeset("add up to -0.06, -0.55 (-1) at 67%")).toBe("add up to −0.06, −0.55 (−1) at 67\u00a0%");
    expect(typeset("ViT-16 on 2021-2022, flux-2")).toBe("ViT-16 on 2021-2022, flux-2");
  });

  it("count and measure", () => {
    expect(count(1234567)).toBe("1\u202f234\u202f567");
    expect([plural(1, "picture"), plural(2, "picture")]).toEqual(["1 picture", "2 pictures"]);
    expect([bytes(12), bytes(136530), bytes(4_200_000)]).toEqual(["12 B", "137 kB", "4.2 MB"]);
  });
});
