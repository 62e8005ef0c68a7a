import { describe, expect, it } from "vitest";

import { BASE_RATE_STEPS, nearestStep, parseBaseRate, rateWords } from "../src/ui/base_rate";
import { formatSettings, KNOBS, parseOff, parseSettings, toEdits } from "../src/check/edits";
import { overlayPixels, patchesForHalf } from "../src/check/overlay";
import { change, claimWords, deliveryWords, doubt, falseAlarms, headline, isInBank, worth } from "../src/check/words";

describe("what-if settings", () => {
  it("come back from the address as they were", () => {
    const settings = { jpeg: 60, blur: 1.5, centercrop: 0.8 };
    expect(parseSettings(formatSettings(settings))).toEqual(settings);
  });

  it("leave out what changes nothing, and keep the order in which a picture meets the edits", () => {
    const rest = Object.fromEntries(KNOBS.map(({ name, rest }) => [name, rest]));
    expect(toEdits({ ...rest, jpeg: 50, centercrop: 0.5 })).toEqual([
      { name: "centercrop", value: 0.5 },
      { name: "jpeg", value: 50 },
    ]);
    expect(formatSettings(rest)).toBe("");
  });

  it("drop what no slider has and bring the rest into range", () => {
    expect(parseSettings("jpeg:1000,sharpen:3,blur:x,resize")).toEqual({ jpeg: 100 });
  });

  it("read switched-off dimensions once each, in order", () => {
    expect(parseOff("5,1,5,-2,x")).toEqual([1, 5]);
    expect(parseOff(undefined)).toEqual([]);
  });
});

describe("base rates", () => {
  it("are refused outside of 0 to 1", () => {
    expect(["0", "1", "-1", "x", undefined].map(parseBaseRate)).toEqual([null, null, null, null, null]);
    expect(parseBaseRate("0.05")).toBe(0.05);
  });

  it("are said as they are, small ones too", () => {
    expect([0.001, 0.005, 0.5, 0.98].map(rateWords)).toEqual(["0.1 %", "0.5 %", "50 %", "98 %"]);
  });

  it("have a step of their own each", () => {
    BASE_RATE_STEPS.forEach((rate, i) => {
      expect(nearestStep(rate)).toBe(i);
    });
  });
});

describe("a relevance overlay", () => {
  it("is as opaque as the patch is relevant, and empty where nothing is", () => {
    const pixels = overlayPixels(Float32Array.of(0, 1, 2, 4), "#ff8000");
    expect([pixels[3], pixels[7], pixels[11], pixels[15]]).toEqual([0, 128, 255, 255]);
    expect(overlayPixels(new Float32Array(4), "#ff8000").filter((_, i) => i % 4 === 3)).toEqual(
      new Uint8ClampedArray(4),
    );
  });

  it("says how few patches hold half of it", () => {
    expect(patchesForHalf(Float32Array.of(0, 0, 10, 1))).toBe(1);
    expect(patchesForHalf(new Float32Array(8).fill(1))).toBe(4);
  });
});

describe("a verdict in words", () => {
  const judged = { verdict: "ai", probability: 0.9, interval: [0.7, 0.97] } as const;

  it("always comes with its interval", () => {
    expect(doubt(judged)).toMatch(/0\.90.*0\.70 to 0\.97/);
  });

  it("claims nothing where the picture is unlike anything known", () => {
    expect(headline("out_of_domain")).toMatch(/unlike/i);
    expect(doubt({ ...judged, verdict: "out_of_domain" })).toMatch(/means little/);
  });

  it("never says that anything is certain", () => {
    expect(doubt({ ...judged, probability: 1, interval: [0.999, 1] })).not.toMatch(/1\.00/);
  });

  it("tells a change with both verdicts where it turned over", () => {
    expect(change(judged, { ...judged, probability: 0.2, verdict: "real" })).toBe(
      "0.90 → 0.20, from generated to real",
    );
    expect(change(judged, judged)).toMatch(/still generated/);
  });

  it("knows a picture that the detector was fitted on", () => {
    const one = { id: "a", name: null, generator: null, label: "real", distance: 0 } as const;
    expect(isInBank({ id: "a", neighbors: { fake: [], real: [one] } })).toBe(true);
    expect(isInBank({ id: "b", neighbors: { fake: [], real: [one] } })).toBe(false);
  });

  it("names what a file claims with its tool, and says what an unsigned claim is worth", () => {
    expect(claimWords({ claims: "generated", tool: "ComfyUI", version: "0.3" })).toBe("made by a generator: ComfyUI 0.3");
    expect(claimWords({ claims: "edited_with_ai", tool: null, version: null })).toBe("changed by a generator");
    expect(worth("statement")).toMatch(/not signed/);
    expect(worth("signed_unknown")).toMatch(/unknown/);
  });

  it("names deliveries as people know them", () => {
    expect(deliveryWords("jpeg:60")).toBe("JPEG, quality 60");
    expect(deliveryWords("resize:0.5")).toBe("resized to 50 %");
    expect(deliveryWords("downup:0.5")).toBe("downup:0.5");
  });
});

describe("what a detector's own record says of false alarms", () => {
  const thresholds = { ai: { observed: 0.046, n: 4024 } };

  it("counts pictures, not the scores of their deliveries", () => {
    expect(falseAlarms({ thresholds, training: { n_real: 2012 } })).toBe(
      "Of 2\u202f012 real pictures, each scored in 2 deliveries, 4.6 %",
    );
    expect(falseAlarms({ thresholds: { ai: { observed: 0.05, n: 200 } }, training: { n_real: 200 } })).toBe(
      "Of 200 real pictures 5.0 %",
    );
  });

  it("is silent where nothing was measured", () => {
    expect(falseAlarms({ thresholds: { ai: { observed: null, n: 0 } }, training: { n_real: null } })).toBeNull();
    expect(falseAlarms(null)).toBeNull();
  });
});
