import { describe, expect, it } from "vitest";

import { share, suggestedName, unread } from "../../src/explore/building/steps";
import { outcome } from "../../src/explore/images/outcome";
import { type Clause, decodeSpec, describe as words, encodeSpec, withClause } from "../../src/explore/model/spec";

const names = { dimension: (k: number) => `D${k + 1}`, prototype: (id: number) => `pattern ${id}` };

describe("a build", () => {
  it("proposes the folder's name, made fit for files, and none that is taken", () => {
    expect(suggestedName("a/holiday 2024", "pictures", [])).toBe("holiday 2024");
    expect(suggestedName("", "pictures", ["pictures", "pictures-2"])).toBe("pictures-3");
    expect(suggestedName("x/.Ünïcode: *1*?.", "pictures", [])).toBe("Ünïcode- -1");
    expect(suggestedName("x/...", "pictures", [])).toBe("collection");
    for (const folder of ["a/..", "a/<b>", "a/\\", "a/" + "z".repeat(300)]) {
      expect(suggestedName(folder, "pictures", [])).toMatch(/^[\p{L}\p{N}_][\p{L}\p{N}_ .-]{0,98}$/u);
    }
  });

  it("says how far a step is only where that is known", () => {
    expect(share({ done: 3, total: 12 })).toBe(0.25);
    expect(share({ done: 0, total: 1 })).toBeNull();
    expect(share({ done: 7, total: null })).toBeNull();
  });

  it("names what could not be read", () => {
    expect(unread({ failed: 0, reasons: {} })).toBe("");
    expect(unread({ failed: 3, reasons: { truncated: 1, outside_roots: 2 } })).toBe("3 images could not be read: 1 truncated, 2 outside the folder");
  });
});

describe("near-duplicates", () => {
  it("are a clause of a selection that an address carries", () => {
    const group: Clause = { copies: 12 };
    const spec = withClause({ and: [{ copies: "any" }] }, group);
    expect(spec).toEqual({ and: [group] });
    expect(decodeSpec(encodeSpec(spec))).toEqual(spec);
    expect(decodeSpec('{"and":[{"copies":"all"}]}')).toEqual({ and: [] });
    expect(words(group, names)).toBe("Near-duplicates of image 12");
    expect(words({ copies: "class" }, names)).toBe("Near-duplicates in both classes");
  });
});

describe("an outcome", () => {
  it("is that of the column, without an error where there is no answer", () => {
    expect(outcome("real", "ai")).toBe("real, called generated");
    expect(outcome("fake", "ai")).toBe("generated, found");
    expect(outcome("fake", "inconclusive")).toBe("no answer");
    expect(outcome(null, "ai")).toBe("none");
  });
});
