import { describe, expect, it } from "vitest";

import type { Case } from "../src/api/types";
import { boxOf, pixelsOf } from "../src/check/box";
import { csvOf, field, type Judged, sorted } from "../src/check/table";

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
          facts: { width: 10 * key, height: 10, format: "PNG", bytes: 5, sha256: "ab" },
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
    expect(lines[0]?.startsWith("\uFEFFname,archive,verdict,probability,low,high")).toBe(true);
    expect(lines).toHaveLength(5);
    expect(lines[1]).toContain('real,0.2');
    expect(lines[1]).toContain('"one; two ""quoted"""');
    expect(lines[2]).toMatch(/^a\.png,,,.*cut off$/);
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
