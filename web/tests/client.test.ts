import { afterEach, describe, expect, it } from "vitest";

import { reachBy, request } from "../src/api/client";

const away = (): Promise<Response> => Promise.reject(new TypeError("nobody there"));
const same = (address: string): string => address;

describe("a request that nobody answers", () => {
  afterEach(() => reachBy({ fetch: (address, init) => fetch(address, init), picture: same, embedded: false }));

  it("says what to start again: the server, or in a notebook the cell", async () => {
    reachBy({ fetch: away, picture: same, embedded: false });
    await expect(request("api/v1/info")).rejects.toMatchObject({ status: 0, next: "Start it again with: morelli serve" });
    reachBy({ fetch: away, picture: same, embedded: true });
    await expect(request("api/v1/info")).rejects.toMatchObject({ status: 0, next: "Run the cell again." });
  });
});
