/** What the legend says of colours: categories with their counts, and a scale with its ticks. */
import type { ColumnView } from "../../api/generated";
import { endName } from "../columns/bins";
import { type Style, columnOf, css } from "../glyph/style";
import { OTHER, REAL } from "../model/cells";
import { type Clause, valueName } from "../model/spec";

export interface Entry {
  /** Unlike that of any other entry, whatever a column's values are called. */
  readonly key: string;
  readonly colour: string;
  readonly name: string;
  /** Images of all, and of the selection; null where nobody counts them. */
  readonly count: number | null;
  readonly selected: number | null;
  /** What selects them. */
  readonly clause: Clause | null;
  /** Is it marked as wrong, besides its colour? */
  readonly wrong: boolean;
}

export interface Tick {
  /** Share of the scale's length. */
  readonly at: number;
  readonly text: string;
}

/** Values of the columns that always have the same categories, in the order of their colours. */
export const FIXED: Readonly<Record<string, readonly string[]>> = {
  label: ["real", "fake", "unknown"],
  verdict: ["real", "inconclusive", "ai"],
  error: ["tn", "fp", "fn", "tp", "unanswered"],
};
const MOST = OTHER;

/** Names of a column that have a colour, in the order of their colours: those of most images, as the server has them. */
export function colouredNames(column: ColumnView): string[] {
  const names = [...(column.names ?? [])];
  // Tags are listed by the alphabet, all other names by their number of images.
  if (column.group === "tags") names.sort((a, b) => b.n - a.n || (a.name < b.name ? -1 : 1));
  return names.slice(0, MOST).map((one) => one.name);
}

/** Entries for the categories of a style; none where its cells have one tone. */
export function entriesOf(style: Style, columns: readonly ColumnView[], generators: readonly string[]): Entry[] {
  if (!style.split) return [];
  const name = columnOf(style.by) ?? style.by;
  const column = columns.find((one) => one.name === name);
  const known = new Map((column?.names ?? []).map((one) => [one.name, one]));
  const values = FIXED[style.by] ?? (style.by === "generator" ? generators.slice(0, MOST) : column ? colouredNames(column) : []);
  const entries = values.map((value, i): Entry => ({
    key: `value ${value}`,
    colour: css(style.categories[i] as number),
    name: valueName(name, value),
    count: column ? (known.get(value)?.n ?? 0) : null,
    selected: column ? (known.get(value)?.selected ?? 0) : null,
    clause: { column: name, in: [value] },
    wrong: style.by === "error" && (value === "fp" || value === "fn"),
  }));
  const shown = FIXED[style.by] ? entries.filter((one) => one.count !== 0 || one.name !== "unlabelled") : entries;
  if (style.by === "generator") return [...shown, plain(style, OTHER, "other generators"), plain(style, REAL, "not generated")];
  if (!column || FIXED[style.by]) return shown;
  const further = (column.distinct ?? 0) - values.length;
  if (further > 0) shown.push(plain(style, OTHER, `${further} further`));
  if (column.missing) {
    shown.push({ ...plain(style, REAL, "none"), count: column.missing, selected: column.missing_selected, clause: { column: name, in: [null] } });
  }
  return shown;
}

const plain = (style: Style, place: number, name: string): Entry => ({
  key: `other ${name}`,
  colour: css(style.categories[place] as number),
  name,
  count: null,
  selected: null,
  clause: null,
  wrong: false,
});

/** Ticks along the scale of a column of numbers or dates: its bins are equally wide, whatever lies between their edges. */
export function ticksOf(column: ColumnView, count = 4): Tick[] {
  const edges = column.edges ?? [];
  const bins = edges.length - 1;
  if (bins < 1) return [];
  const places = Array.from({ length: count + 1 }, (_, i) => Math.round((i * bins) / count));
  const found = [...new Set(places)].map((place) => ({ at: place / bins, text: endName(column, edges[place] as number) }));
  // Whole numbers have edges between them, and short spans say the same twice.
  return found.filter((tick, i) => i === 0 || tick.text !== found[i - 1]?.text);
}
