import { lab } from "d3-color";
import { describe, expect, it } from "vitest";

import { aucColour } from "../src/evaluate/auc_colour";
import { frequencies, worth } from "../src/evaluate/frequencies";
import { atEvenOdds, confusionClauses, nameClauses } from "../src/evaluate/links";

describe("frequencies", () => {
  it.each([
    [0.9, 0.05, 0.5],
    [0.31, 0.029, 0.01],
    [1, 0, 0.001],
    [0.5, 0.5, 0.98],
  ])("add up to the pictures imagined (%f, %f, %f)", (tpr, fpr, base) => {
    const { of, found, missed, accused, passed } = frequencies(tpr, fpr, base);
    expect(found + missed + accused + passed).toBe(of);
    expect(found + missed).toBe(Math.round(of * base));
  });

  it("say what a flag is worth where generated pictures are rare", () => {
    expect(worth(frequencies(0.9, 0.05, 0.01))).toBe("Of 59 flagged pictures 9 are generated and 50 are real.");
    expect(worth(frequencies(0, 0, 0.5))).toMatch(/none would be flagged/);
  });
});

describe("links to the images behind a number", () => {
  it("leave a threshold as it is at even odds, and raise a rare base rate's low one", () => {
    expect(atEvenOdds(0.3, 0.5)).toBeCloseTo(0.3);
    expect(atEvenOdds(0.5, 0.1)).toBeCloseTo(0.9);
  });

  it("part the collection between the four cells", () => {
    expect(confusionClauses("fp", 0.5, 0.5)).toEqual([
      { column: "label", in: ["real"] },
      { column: "probability", range: [0.5, 1] },
    ]);
    expect(confusionClauses("fn", 0.5, 0.5)[1]).toEqual({ column: "probability", range: [0, 0.5] });
  });

  it("name what has no name as the server does", () => {
    expect(nameClauses("generator", "(unnamed)")[1]).toEqual({ column: "generator", in: [null] });
  });
});

describe.each([false, true])("colours of AUC (dark: %s)", (dark) => {
  it("move away from the page as a detector gets better", () => {
    const away = [0.5, 0.6, 0.7, 0.8, 0.9, 1].map((auc) => Math.abs(lab(aucColour(auc, dark)).l - lab(aucColour(0.5, dark)).l));
    expect(away).toEqual([...away].sort((a, b) => a - b));
  });
});
