import { describe, expect, it } from "vitest";

import type { Agreement, Case } from "../src/api/types";
import { csvOf } from "../src/check/csv";
import { type Judged, narrowed, sorted } from "../src/check/table";
import { agreementWords } from "../src/check/words";

function entry(key: number, agreement: Agreement | null, verdict: Case["verdict"] = "ai"): Judged {
  const found = {
    verdict: "real",
    probability: 0.1,
    interval: [0, 0.2],
    thresholds: { real: 0.3, ai: 0.7 },
    base_rate: 0.5,
    logit: 1,
    reasons: [],
    facts: { width: 10, height: 10, format: "PNG", bytes: 5, sha256: "ab", notes: [] },
    neighbors: { fake: [], real: [] },
    provenance: [],
    second: agreement && { name: "=other", verdict, probability: 0.9, interval: [0.8, 1], agreement },
  } as unknown as Case;
  return { key, name: `${String(key)}.png`, from: "", state: "done", case: found, error: null };
}

describe("a second detector", () => {
  const entries = [entry(1, "disagree"), entry(2, "one_answers", "inconclusive"), entry(3, null), entry(4, "disagree")];

  it("narrows the table to where the two disagree, and sorts by its verdict", () => {
    expect(narrowed(entries, "disagree").map((one) => one.key)).toEqual([1, 4]);
    expect(narrowed(entries, "one_answers").map((one) => one.key)).toEqual([2]);
    expect(narrowed(entries, null)).toHaveLength(4);
    expect(sorted(entries, "second", false).map((one) => one.key)).toEqual([1, 4, 2, 3]);
  });

  it("has its columns in the file, and none where it did not judge", () => {
    const [head, first, , third] = csvOf(entries).split("\r\n");
    expect(head).toMatch(/flips,second_verdict,second_probability,second_low,second_high,agreement$/);
    expect(first).toMatch(/,ai,0\.9,0\.8,1,disagree$/);
    expect(third).toMatch(/,,,,,$/);
    expect(csvOf([entry(3, null)])).not.toContain("second");
  });

  it("says who disagrees and who is silent", () => {
    expect(agreementWords("real", { verdict: "ai", agreement: "disagree" })).toContain("the first says real, the second generated");
    expect(agreementWords("real", { verdict: "inconclusive", agreement: "one_answers" })).toContain("Only the first detector answers");
    expect(agreementWords("out_of_domain", { verdict: "ai", agreement: "one_answers" })).toContain("it says generated, the first is out of domain");
    expect(agreementWords("ai", { verdict: "ai", agreement: "agree" })).toContain("wrong together");
  });
});
