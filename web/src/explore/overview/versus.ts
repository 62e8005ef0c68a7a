/** Tiles that show where one generator is at home and the other is not. */
import { versus } from "../model/cells";
import type { Explore } from "../model/explore.svelte";
import type { Source } from "../model/tiles";

export function versusSource(explore: Explore, [a, b]: readonly [string, string], base: Source): Source {
  const of = (name: string, signal: AbortSignal) => explore.api.select({ and: [{ column: "generator", in: [name] }] }, signal);
  return {
    key: `versus|${a}|${b}|${base.key}`,
    async load(level, tx, ty, signal) {
      const [first, second] = await explore.during(Promise.all([of(a, signal), of(b, signal)]));
      const tile = (key: string | null) => explore.api.tile(level, tx, ty, key, explore.off, signal);
      const [all, one, other] = await explore.during(Promise.all([tile(null), tile(first.key), tile(second.key)]));
      return versus(all, one, other, first.count, second.count);
    },
  };
}
