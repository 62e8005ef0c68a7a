/** The pictures inside cells, as the screen shows them. */
import type { Explore } from "../model/explore.svelte";
import { formOf, type Form } from "../glyph/form";
import { pictureBoxes } from "../glyph/picture";
import type { Found, Stage } from "./stage.svelte";

/** A picture on the screen: its row in the atlas, and where it lies in CSS pixels. */
export interface Shown {
  readonly row: number;
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export const formAt = (stage: Stage, found: Found): Form => formOf(stage.frameOf(found).side);

/** The picture under a place of the screen, where the cell there is large enough to show any. */
export function pictureAt(stage: Stage, found: Found, x: number, y: number): Shown | null {
  const form = formAt(stage, found);
  if (form === "square" || form === "signature") return null;
  const frame = stage.frameOf(found);
  const { ratio } = stage;
  const [px, py] = [(x - frame.x) * ratio, (y - frame.y) * ratio];
  const hit = pictureBoxes(found.cells, found.row, Math.round(frame.side * ratio), ratio).find(
    ({ box: b }) => px >= b.x && py >= b.y && px < b.x + b.w && py < b.y + b.h,
  );
  if (!hit) return null;
  const { box } = hit;
  return { row: hit.row, x: frame.x + box.x / ratio, y: frame.y + box.y / ratio, w: box.w / ratio, h: box.h / ratio };
}

/** The cell's most typical picture. */
export function typicalPicture({ cells, row }: Found): number | null {
  const first = cells.exemplars[row * cells.exemplarWidth];
  return first === undefined || first < 0 ? null : first;
}

/** Ask for the verdicts of the pictures in mosaics, for their frames. */
export async function learnVerdicts(explore: Explore, stage: Stage): Promise<void> {
  const rows = stage.unknownPictures().slice(0, 300);
  if (!rows.length) return;
  try {
    const { signal } = new AbortController();
    const { key } = await explore.api.select({ and: [{ rows: rows.sort((a, b) => a - b) }] }, signal);
    const found = await explore.api.rows(key, { by: "row", descending: false }, explore.off, 0, rows.length, signal);
    stage.facts(found.map((row) => [row.row, row] as const));
  } catch (error) {
    explore.fail(error);
  }
}
