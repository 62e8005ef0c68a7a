import { describe, expect, it } from "vitest";

import { formatAddress, parseAddress } from "../src/state/address";

describe("an address", () => {
  it("comes back as it was written, whatever its parts hold", () => {
    const address = { place: "explore", subject: "a b/ü&?#%", params: { sel: '{"and":[]}', off: "1,5", q: "a&b=c" } } as const;
    expect(parseAddress(formatAddress(address))).toEqual(address);
  });

  it("is the same for the same state, whatever the order of its parameters", () => {
    const one = formatAddress({ place: "check", subject: "", params: { a: "1", b: "2" } });
    expect(formatAddress({ place: "check", subject: "", params: { b: "2", a: "1" } })).toBe(one);
  });

  it.each(["", "#", "#/", "#/nowhere", "#%"])("%j leads to Check", (hash) => {
    expect(parseAddress(hash).place).toBe("check");
  });

  it("keeps a bare percent sign that was typed by hand", () => {
    expect(parseAddress("#/explore/50%").subject).toBe("50%");
  });
});
