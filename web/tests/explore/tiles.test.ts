import { describe, expect, it } from "vitest";

import { Lru } from "../../src/explore/model/lru";
import { type Source, TILE, Tiles, covering } from "../../src/explore/model/tiles";
import { tile } from "./atlas";

function source(key: string): { source: Source; asked: string[]; answer: () => void; aborted: string[] } {
  const asked: string[] = [];
  const aborted: string[] = [];
  let open: (() => void)[] = [];
  return {
    asked,
    aborted,
    answer: () => {
      for (const go of open.splice(0)) go();
      open = [];
    },
    source: {
      key,
      load: (level, tx, ty, signal) =>
        new Promise((resolve) => {
          const name = `${level}/${tx}/${ty}`;
          asked.push(name);
          signal.addEventListener("abort", () => aborted.push(name));
          open.push(() => resolve(tile(level, [{ cell: ty * TILE * 2 ** level + tx * TILE }])));
        }),
    },
  };
}

const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe("tiles", () => {
  it("are asked for once, nearest to the middle first, four at a time", async () => {
    const from = source("a");
    const tiles = new Tiles(from.source, () => undefined);
    const wanted = covering([0, 0, 3 * TILE, 3 * TILE], 8);
    expect(wanted[0]).toEqual({ level: 8, tx: 1, ty: 1 });
    tiles.want(wanted);
    tiles.want(wanted);
    expect(from.asked).toHaveLength(4);
    for (let i = 0; i < 4; i++) {
      from.answer();
      await tick();
    }
    expect(new Set(from.asked).size).toBe(9);
    expect(from.asked).toHaveLength(9);
    expect(tiles.idle).toBe(true);
    expect(tiles.find(8, TILE, TILE)?.row).toBe(0);
  });

  it("drop what left the screen before it came", async () => {
    const from = source("a");
    const tiles = new Tiles(from.source, () => undefined);
    tiles.want(covering([0, 0, TILE, TILE], 8));
    tiles.want(covering([5 * TILE, 0, 6 * TILE, TILE], 8));
    expect(from.aborted).toEqual(["8/0/0"]);
    from.answer();
    await tick();
    expect(tiles.get(8, 0, 0)).toBeUndefined();
    expect(tiles.get(8, 5, 0)).toBeDefined();
  });

  it("of an earlier selection are there at once when one goes back", async () => {
    const [a, b] = [source("a"), source("b")];
    const tiles = new Tiles(a.source, () => undefined);
    const wanted = covering([0, 0, 4, 4], 4);
    tiles.want(wanted);
    a.answer();
    await tick();
    tiles.use(b.source);
    expect(tiles.get(4, 0, 0)).toBeUndefined();
    tiles.use(a.source);
    expect(tiles.get(4, 0, 0)).toBeDefined();
    tiles.want(wanted);
    expect(a.asked).toHaveLength(1);
  });

  it("that fail are tried again once and then left", async () => {
    let asked = 0;
    const failures: unknown[] = [];
    const failing: Source = { key: "x", load: () => (asked++, Promise.reject(new Error("no"))) };
    const tiles = new Tiles(failing, () => undefined, (error) => failures.push(error));
    for (let i = 0; i < 5; i++) {
      tiles.want(covering([0, 0, 4, 4], 4));
      await tick();
    }
    expect(asked).toBe(2);
    expect(failures).toHaveLength(2);
  });
});

describe("the cache", () => {
  it("forgets what was not asked for longest, and disposes of it", () => {
    const gone: number[] = [];
    const cache = new Lru<number>(10, (value) => gone.push(value));
    cache.set("a", 1, 4);
    cache.set("b", 2, 4);
    cache.get("a");
    cache.set("c", 3, 4);
    expect(gone).toEqual([2]);
    expect(cache.size).toBe(8);
    cache.set("d", 4, 40);
    expect(cache.peek("d")).toBe(4);
    expect(cache.count).toBe(1);
    cache.clear();
    expect(cache.size).toBe(0);
  });
});
