import { describe, expect, it } from "vitest";

import { sheet } from "../../src/explore/model/api";
import { dataAddress } from "../../src/explore/model/pictures.svelte";

describe("a sheet of pictures", () => {
  it("is cut into its files, in order, and a missing one is null", () => {
    const bytes = Uint8Array.from([3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 10, 20, 30, 40, 50]);
    expect(sheet(bytes.buffer, 3).map((one) => one && [...one])).toEqual([[10, 20, 30], null, [40, 50]]);
  });

  it("gives every picture as an address that holds it, however long it is", async () => {
    const bytes = Uint8Array.from({ length: 20_001 }, (_, i) => (i * 7) % 256);
    const address = dataAddress(bytes);
    expect(address.startsWith("data:image/jpeg;base64,")).toBe(true);
    expect(new Uint8Array(await (await fetch(address)).arrayBuffer())).toEqual(bytes);
  });
});
