import { describe, expect, it } from "vitest";

import { COLUMNS } from "../src/api/generated";
import type { Case } from "../src/api/types";
import { boxOf, pixelsOf } from "../src/check/box";
import { csvOf, field } from "../src/check/csv";
import { type Judged, sorted } from "../src/check/table";

function entry(key: number, name: string, probability: number | null, more: Partial<Judged> = {}): Judged {
  const found =
    probability === null
      ? null
      : ({
          verdict: probability > 0.7 ? "ai" : "real",
          probability,
          interval: [probability - 0.1, probability + 0.1],
          thresholds: { real: 0.3, ai: 0.7 },
          base_rate: 0.5,
          logit: 1,
          reasons: ["one", 'two "quoted"'],
          facts: { width: 10 * key, height: 10, format: "PNG", bytes: 5, sha256: "ab", notes: [] },
          neighbors: { fake: [{ id: "c".repeat(64), name: null, generator: "sdxl", label: "fake", distance: 0.25 }], real: [] },
          provenance: [{ claims: "edited_with_ai", tool: "Tool", version: "2" }],
          family: null,
          stability: { low: 0.1, high: 0.8, flips: true },
        } as unknown as Case);
  return { key, name, from: "", state: found ? "done" : "failed", case: found, error: null, ...more };
}

describe("the table of a batch", () => {
  const entries = [entry(1, "b.png", 0.2), entry(2, "a.png", null, { error: new Error("cut off") }), entry(3, "c.png", 0.9)];

  it("sorts by any column, and what was not judged comes last either way", () => {
    const order = (...args: [Parameters<typeof sorted>[1], boolean]) => sorted(entries, ...args).map((one) => one.key);
    expect(order(null, false)).toEqual([1, 2, 3]);
    expect(order("probability", true)).toEqual([3, 1, 2]);
    expect(order("probability", false)).toEqual([1, 3, 2]);
    expect(order("name", false)).toEqual([2, 1, 3]);
    expect(order("verdict", false)).toEqual([3, 1, 2]);
  });

  it("is a file that spreadsheets read and none of them runs", () => {
    expect([field("=1+1"), field("-x"), field('a"b'), field(0.5), field(null)]).toEqual(["'=1+1", "'-x", '"a""b"', "0.5", ""]);
    const lines = csvOf(entries).split("\r\n");
    const head = lines[0]?.slice(1).split(",") ?? [];
    expect(lines[0]?.startsWith("\uFEFFuri,sha256,label,generator,verdict,probability,probability_low")).toBe(true);
    expect(head).toEqual(COLUMNS);
    const first = Object.fromEntries(head.map((name, k) => [name, lines[1]?.split(",")[k]]));
    expect(first).toMatchObject({ uri: "b.png", nearest_generated: "sdxl", nearest_generated_similarity: "0.75", nearest_real: "" });
    expect(first).toMatchObject({ provenance: "edited with AI: Tool 2", flips: "True", error: "", family: "" });
    expect(csvOf([entry(1, "f/b.png", 0.2, { from: "a.zip" })])).toContain("a.zip::f/b.png,");
    expect(lines).toHaveLength(5);
    expect(lines[1]).toContain("real,0.2");
    expect(lines[1]).toContain('"one; two ""quoted"""');
    expect(lines[2]).toMatch(/^a\.png,,,.*,failed,cut off,,,,,,$/);
  });
});

describe("a box on a picture", () => {
  it("is the same from any corner and ends at the edge", () => {
    const box = boxOf([1.2, 0.75], [0.5, -0.1]);
    expect(box).toEqual({ left: 0.5, top: 0, right: 1, bottom: 0.75 });
    expect(pixelsOf(box, 200, 400)).toEqual({ x: 100, y: 0, width: 100, height: 300 });
    expect(pixelsOf(boxOf([0, 0], [0.1, 1]), 200, 400)).toBeNull();
  });
});
