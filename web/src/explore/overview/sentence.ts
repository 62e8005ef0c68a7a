/** A cell in a sentence: what a screen reader says, and what stands in the card beside the pointer. */
import { count as thousands, percent, plural } from "../../ui/format";
import { type Cells, OTHER } from "../model/cells";

export interface Words {
  readonly dimension: (k: number) => string;
}

export function sentence(cells: Cells, i: number, words: Words): string {
  const count = cells.count[i] as number;
  const parts = [plural(count, "image")];
  const share = generatedShare(cells, i);
  if (share !== null) parts.push(`${percent(share)} generated`);
  const generator = mainGenerator(cells, i);
  if (generator) parts.push(`mostly ${generator}`);
  let text = parts.join(", ");
  const strong = strongest(cells, i);
  if (strong) text += `; ${words.dimension(strong.dimension)} weighs most, for ${strong.impact > 0 ? "generated" : "real"}`;
  const open = cells.unanswered[i] as number;
  if (open > 0) text += `. ${thousands(open)} without an answer`;
  const wrong = (cells.fp[i] as number) + (cells.fn[i] as number);
  if (wrong > 0) text += `. ${plural(wrong, "verdict")} wrong`;
  const selected = cells.selected[i] as number;
  if (selected < count) text += `. ${selected === 0 ? "None" : thousands(selected)} selected`;
  return `${text}.`;
}

export function generatedShare(cells: Cells, i: number): number | null {
  const labelled = (cells.real[i] as number) + (cells.fake[i] as number);
  return labelled > 0 ? (cells.fake[i] as number) / labelled : null;
}

/** The generator of more than half of the cell's generated images. */
export function mainGenerator(cells: Cells, i: number): string | null {
  const fake = cells.fake[i] as number;
  if (!cells.generatorWidth || fake <= 0) return null;
  for (let g = 0; g < Math.min(cells.generatorWidth, OTHER); g++) {
    if ((cells.generators[i * cells.generatorWidth + g] as number) > fake / 2) return cells.generatorNames[g] ?? null;
  }
  return null;
}

export function strongest(cells: Cells, i: number): { dimension: number; impact: number } | null {
  let best: { dimension: number; impact: number } | null = null;
  for (let k = 0; k < cells.dimensions; k++) {
    const impact = cells.impact[i * cells.dimensions + k] as number;
    if (Math.abs(impact) > Math.abs(best?.impact ?? 0)) best = { dimension: k, impact };
  }
  return best;
}
