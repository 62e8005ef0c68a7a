import { describe, expect, it } from "vitest";

import type { ColumnView } from "../../src/api/generated";
import { share, suggestedName, unread } from "../../src/explore/building/steps";
import { outcome } from "../../src/explore/images/outcome";
import { entriesOf } from "../../src/explore/overview/legend";
import { makeStyle } from "../../src/explore/glyph/style";
import { type Clause, decodeSpec, describe as words, encodeSpec, withClause } from "../../src/explore/model/spec";

const names = { dimension: (k: number) => `D${k + 1}`, prototype: (id: number) => `pattern ${id}` };

describe("a build", () => {
  it("proposes the folder's name, made fit for files, and none that is taken", () => {
    expect(suggestedName("a/holiday 2024", "pictures", [])).toBe("holiday 2024");
    expect(suggestedName("", "pictures", ["pictures", "pictures-2"])).toBe("pictures-3");
    expect(suggestedName("x/.Ünïcode: *1*?.", "pictures", [])).toBe("Ünïcode- -1");
    expect(suggestedName("x/...", "pictures", [])).toBe("collection");
    expect(suggestedName("x/हिन्दी", "pictures", [])).toBe("हिन्दी");
    expect(suggestedName("x/cafe\u0301", "pictures", [])).toBe("cafe\u0301");
    expect(suggestedName(`x/${"字".repeat(90)}`, "pictures", ["字".repeat(60)])).toBe(`${"字".repeat(60)}-2`);
    expect(suggestedName(`x/${"a".repeat(58)}. tail`, "pictures", [])).toBe("a".repeat(58));
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

describe("a legend", () => {
  it("keeps a column's values apart from its own words", () => {
    const values = ["none", "2 further", "", ...Array.from({ length: 9 }, (_, i) => `v${i}`)];
    const column: ColumnView = {
      name: "source",
      kind: "category",
      group: "image",
      missing: 3,
      missing_selected: 0,
      distinct: 12,
      names: values.map((name) => ({ name, n: 1, selected: 0 })),
    };
    const style = makeStyle({ dark: false, by: "column:source", weights: [1], off: [], impact: 1, full: () => 100, fullKey: "", column: "category" });
    const keys = entriesOf(style, [column], []).map((one) => one.key);
    expect(keys).toHaveLength(12);
    expect(new Set(keys).size).toBe(12);
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
