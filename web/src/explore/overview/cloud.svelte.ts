/** Fetches the points of the map and what colours them, while somebody looks at points or their density. */
import { untrack } from "svelte";

import { type Style, columnOf, dimensionOf } from "../glyph/style";
import type { Explore } from "../model/explore.svelte";
import { endName } from "../columns/bins";
import { columnName, valueName } from "../model/spec";
import { percent, signed } from "../../ui/format";
import { type Cloud, type Pointed, tonesOf } from "./cloud";
import { FIXED } from "./legend";

export class CloudSource {
  cloud = $state.raw<Cloud | null>(null);

  constructor(readonly explore: Explore) {}

  /** Follow the address. Call while a component is being set up: the effects end with it. */
  follow(style: () => Style): void {
    const { explore } = this;
    $effect(() => {
      const { key, off, drawn, edition } = explore;
      const { by, impact } = style();
      if (drawn === "glyphs" || key === undefined || !explore.info) return undefined;
      const scale = dimensionOf(by) === null ? "" : impact.toPrecision(3);
      const text = [by, scale, key ?? "", off.join("."), edition].join("|");
      if (untrack(() => this.cloud?.key) === text) return undefined;
      const controller = new AbortController();
      const { signal } = controller;
      const asked = untrack(() => explore.during(Promise.all([explore.api.points(signal), explore.api.pointColours(by, key, off, signal)])));
      asked.then(
        ([points, colours]) => {
          if (signal.aborted) return;
          this.cloud = { key: text, points, colours, tones: tonesOf(colours, style(), points.length) };
        },
        (error: unknown) => {
          if (!signal.aborted) explore.fail(error);
        },
      );
      return () => controller.abort();
    });
  }

  /** What a point's colour says, in a few words. */
  says({ at }: Pointed, style: Style): string {
    const { cloud, explore } = this;
    if (!cloud) return "";
    const { by } = style;
    const { values, categories, names } = cloud.colours;
    const column = columnOf(by);
    if (categories) {
      const code = categories[at] as number;
      const title = columnName(column ?? by);
      const fixed = FIXED[by]?.[code];
      if (fixed !== undefined) return `${title}: ${valueName(by, fixed)}`;
      const name = names[code];
      if (name !== undefined) return `${title}: ${valueName(column ?? by, name)}`;
      if (by === "generator") return code === 10 ? "another generator" : "not generated";
      return code === 10 ? `${title}: another` : `${title}: none`;
    }
    const value = values?.[at];
    if (value === undefined || Number.isNaN(value)) return "unknown";
    if (by === "score") return `${percent(value)} generated`;
    if (by === "uncertainty") return `uncertainty ${value.toFixed(2)}`;
    if (by.startsWith("dimension:")) return `${explore.names.dimension(Number(by.slice(10)))} ${signed(value)}`;
    const edges = explore.byColumn?.edges ?? [];
    const edge = edges[Math.round(value * (edges.length - 1))];
    return explore.byColumn && edge !== undefined ? `${columnName(explore.byColumn.name)}: about ${endName(explore.byColumn, edge)}` : "";
  }
}
