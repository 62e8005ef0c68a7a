import { describe, expect, it } from "vitest";

import { ALL, type Clause, type Spec, canonical, decodeSpec, describe as words, encodeSpec, extended, has, toggled, withClause, without } from "../../src/explore/model/spec";

const fakes: Clause = { column: "label", in: ["fake"] };
const reals: Clause = { column: "label", in: ["real"] };
const cells = (...ids: number[]): Clause => ({ cells: { level: 5, ids } });
const names = { dimension: (k: number) => `D${k + 1}`, prototype: (id: number) => `pattern ${id}` };

describe("a selection", () => {
  it("holds one clause for each subject", () => {
    const spec = withClause(withClause(ALL, fakes), reals);
    expect(spec).toEqual({ and: [reals] });
    expect(without(spec, "column:label")).toEqual(ALL);
  });

  it("keeps the place of a clause that is replaced, so that its chip stays where it is", () => {
    const spec: Spec = { and: [fakes, { text: "cat" }] };
    expect(withClause(spec, reals).and[0]).toEqual(reals);
  });

  it("widens cells of a level into one clause and other regions into an either-or", () => {
    expect(extended({ and: [cells(3)] }, cells(1, 3))).toEqual({ and: [cells(1, 3)] });
    const box: Clause = { rect: [0, 0, 0.5, 0.5] };
    expect(extended({ and: [cells(3)] }, box)).toEqual({ and: [{ or: [cells(3), box] }] });
    const third: Clause = { rect: [0.5, 0.5, 1, 1] };
    const both = extended(extended({ and: [cells(3)] }, box), third);
    expect(both).toEqual({ and: [{ or: [cells(3), box, third] }] });
  });

  it("is taken back by what made it", () => {
    const once = toggled(ALL, { prototype: 4 });
    expect(has(once, { prototype: 4 })).toBe(true);
    expect(toggled(once, { prototype: 4 })).toEqual(ALL);
  });

  it("has one text whatever the order of its keys", () => {
    expect(canonical({ column: "label", in: ["fake"] })).toBe(canonical({ in: ["fake"], column: "label" }));
  });

  it.each<Spec>([
    ALL,
    { and: [fakes, { column: "probability", range: [0.2, null] }] },
    { and: [{ dimension: 3, range: [-1.5, 2] }, { prototype: 2 }, { text: "a b" }] },
    { and: [{ or: [cells(1), { polygon: [[0, 0], [1, 0], [1, 1]] }] }, { not: { rows: [1, 2] } }] },
    { and: [{ column: "generator", in: [null, "SD 1.5"] }] },
  ])("survives the address: %j", (spec) => {
    expect(decodeSpec(encodeSpec(spec))).toEqual(spec);
  });

  it.each(["{", "[]", '{"and":[{"cells":{"level":"x"}}]}', '{"and":[{"polygon":[[1]]}]}', '{"and":[7]}', '{"or":[]}'])(
    "is everything when the address is damaged: %s",
    (text) => expect(decodeSpec(text)).toEqual(ALL),
  );

  it("is told in words", () => {
    expect(words(fakes, names)).toBe("Label: generated");
    expect(words({ dimension: 2, range: [null, -0.25] }, names)).toBe("D3 ≤ −0.25");
    expect(words({ column: "generator", in: ["a", "b", "c"] }, names)).toBe("Generator: a + 2");
    expect(words({ or: [cells(1), { rect: [0, 0, 1, 1] }] }, names)).toBe("2 regions");
    expect(words({ not: { text: "cat" } }, names)).toBe("not “cat”");
  });
});
