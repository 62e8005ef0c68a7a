/** What choosing on the map does to the selection. */
import type { Explore } from "../model/explore.svelte";
import { type Clause, extended, toggled, withClause } from "../model/spec";
import { type Place, numberOf } from "./stage.svelte";

/** Select a cell, or let go of it where it is selected already; `more` adds it to the region. */
export function chooseCell(explore: Explore, place: Place, more: boolean): void {
  const clause: Clause = { cells: { level: place.level, ids: [numberOf(place)] } };
  explore.select(more ? extended(explore.spec, clause) : toggled(explore.spec, clause));
}

/** Select what a lasso or a rectangle encloses; `more` adds it to the region. */
export function chooseRegion(explore: Explore, clause: Clause, more: boolean): void {
  explore.select(more ? extended(explore.spec, clause) : withClause(explore.spec, clause));
}
