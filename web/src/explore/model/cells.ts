/** Cells of one tile of the pyramid, as flat columns: what a glyph needs, ready for a tight loop. */
import type { Table } from "@uwdata/flechette";

/** What a cell's waffle can tell apart by generator: ten of them, other ones, and images that are not generated. */
export const OTHER = 10;
export const REAL = 11;
export const CATEGORIES = 12;

export interface Cells {
  readonly level: number;
  readonly length: number;
  /** Number K of dimensions. */
  readonly dimensions: number;
  readonly cell: Uint32Array;
  /** All images of the cell. */
  readonly count: Float32Array;
  /** Images that the other columns are about: those of the selection where there are any, else all. */
  readonly shown: Float32Array;
  readonly real: Float32Array;
  readonly fake: Float32Array;
  /** Real images called generated, and generated images called real. */
  readonly fp: Float32Array;
  readonly fn: Float32Array;
  /** Generated images called generated. */
  readonly tp: Float32Array;
  /** Labelled images without an answer. */
  readonly unanswered: Float32Array;
  readonly ai: Float32Array;
  readonly inconclusive: Float32Array;
  /** Mean probability of "generated". */
  readonly probability: Float32Array;
  readonly uncertainty: Float32Array;
  /** (length, K) mean signed impact. */
  readonly impact: Float32Array;
  /** (length, width) row numbers of typical images, −1 for none. */
  readonly exemplars: Int32Array;
  readonly exemplarWidth: number;
  /** Images of the selection; equal to `count` when nothing narrows it. */
  readonly selected: Float32Array;
  /** (length, names) images by generator, when the tile knows; else empty. */
  readonly generators: Float32Array;
  readonly generatorWidth: number;
  readonly generatorNames: readonly string[];
  /** Of the columns that the tile was asked for. */
  readonly colours: readonly Colours[];
  /** Row of a cell's number. */
  readonly index: ReadonlyMap<number, number>;
}

/** A column of the collection in each cell, as the server sums it up for colours. */
export interface Colours {
  readonly name: string;
  readonly kind: "category" | "scale";
  readonly names: readonly string[];
  /** Values a cell: of a category images by place in `names`, then further names, then none; of a scale the mean place, 0 … 1, and how many images have one. */
  readonly width: number;
  readonly values: Float32Array;
}

/** Columns of a tile's Arrow table as flat arrays; columns that the server left out are zeros. */
export function decodeCells(table: Table, level: number): Cells {
  const cell = Uint32Array.from(flat(table, "cell").values);
  const length = cell.length;
  const numbers = (name: string): Float32Array => {
    const { values } = flat(table, name);
    return values.length === length ? Float32Array.from(values) : new Float32Array(length);
  };
  const impact = flat(table, "impact");
  const generators = flat(table, "generators");
  const exemplars = ragged(table, "exemplars", length);
  const count = numbers("count");
  const index = new Map<number, number>();
  for (let i = 0; i < length; i++) index.set(cell[i] as number, i);
  return {
    level,
    length,
    dimensions: impact.width,
    cell,
    count,
    shown: count,
    real: numbers("real"),
    fake: numbers("fake"),
    fp: numbers("fp"),
    fn: numbers("fn"),
    tp: numbers("tp"),
    unanswered: numbers("unanswered"),
    ai: numbers("ai"),
    inconclusive: numbers("inconclusive"),
    probability: numbers("probability"),
    uncertainty: numbers("uncertainty"),
    impact: Float32Array.from(impact.values),
    exemplars: exemplars.values,
    exemplarWidth: exemplars.width,
    selected: has(table, "selected") ? numbers("selected") : count,
    generators: Float32Array.from(generators.values),
    generatorWidth: generators.width,
    generatorNames: names(table),
    colours: coloured(table),
    index,
  };
}

function coloured(table: Table): Colours[] {
  const about = JSON.parse(table.schema.metadata?.get("colours") ?? "[]") as Pick<Colours, "name" | "kind" | "names">[];
  return about.map((one, i) => {
    const { values, width } = flat(table, `colour${i}`);
    return { ...one, width, values: Float32Array.from(values) };
  });
}

/** What a tile says of a column, if it was asked for it. */
export const coloursOf = (cells: Cells, column: string): Colours | undefined => cells.colours.find((one) => one.name === column);

function names(table: Table): string[] {
  const found: unknown = JSON.parse(table.schema.metadata?.get("generators") ?? "[]");
  return Array.isArray(found) ? found.map(String) : [];
}

interface Flat {
  readonly values: ArrayLike<number>;
  readonly width: number;
}

const has = (table: Table, name: string): boolean => table.names.includes(name);

/** Values of a column of numbers, or of fixed-size lists of numbers one after another. */
function flat(table: Table, name: string): Flat {
  const column = has(table, name) ? table.getChild(name) : null;
  if (!column || column.length === 0) return { values: [], width: 0 };
  const first = column.at(0) as unknown;
  if (typeof first === "number" || first === null) return { values: column.toArray() as ArrayLike<number>, width: 1 };
  const width = (first as ArrayLike<number>).length;
  const values = new Float32Array(column.length * width);
  let at = 0;
  for (const list of column) {
    values.set(list as ArrayLike<number>, at);
    at += width;
  }
  return { values, width };
}

/** Lists of differing lengths, filled up with −1 to the longest. */
function ragged(table: Table, name: string, length: number): { values: Int32Array; width: number } {
  const column = has(table, name) ? table.getChild(name) : null;
  const lists = column ? [...column].map((list) => (list ?? []) as ArrayLike<number>) : [];
  const width = lists.reduce((most, list) => Math.max(most, list.length), 0);
  const values = new Int32Array(length * width).fill(-1);
  lists.forEach((list, i) => {
    for (let j = 0; j < list.length; j++) values[i * width + j] = Number(list[j]);
  });
  return { values, width };
}

/** A cell's exemplars, most typical first. */
export function exemplarsOf(cells: Cells, i: number): number[] {
  const width = cells.exemplarWidth;
  return [...cells.exemplars.subarray(i * width, (i + 1) * width)].filter((row) => row >= 0);
}

/**
 * A tile as a selection shows it: cells that hold selected images speak of those, the others of all their images,
 * so that nothing disappears. `chosen` is the same tile aggregated over the selection.
 */
export function overlaid(base: Cells, chosen: Cells): Cells {
  const merged: Cells = {
    ...base,
    selected: new Float32Array(base.length),
    shown: base.count.slice(),
    ...Object.fromEntries(SCALARS.map((name) => [name, base[name].slice()])),
    impact: base.impact.slice(),
    exemplars: base.exemplars,
    generators: base.generators.slice(),
    colours: base.colours.map((one) => ({ ...one, values: one.values.slice() })),
  };
  const k = base.dimensions;
  const g = base.generatorWidth;
  const wide = base.exemplarWidth;
  const exemplars = base.exemplars.slice();
  for (let j = 0; j < chosen.length; j++) {
    const i = base.index.get(chosen.cell[j] as number);
    const selected = chosen.selected[j] as number;
    if (i === undefined || !(selected > 0)) continue;
    merged.selected[i] = selected;
    merged.shown[i] = selected;
    for (const name of SCALARS) merged[name][i] = chosen[name][j] as number;
    if (chosen.dimensions === k) merged.impact.set(chosen.impact.subarray(j * k, (j + 1) * k), i * k);
    if (g && chosen.generatorWidth === g) merged.generators.set(chosen.generators.subarray(j * g, (j + 1) * g), i * g);
    merged.colours.forEach(({ values, width }, c) => {
      const own = chosen.colours[c];
      if (own?.width === width) values.set(own.values.subarray(j * width, (j + 1) * width), i * width);
    });
    for (let e = 0; e < wide; e++) {
      exemplars[i * wide + e] = e < chosen.exemplarWidth ? (chosen.exemplars[j * chosen.exemplarWidth + e] as number) : -1;
    }
  }
  return { ...merged, exemplars };
}

const SCALARS = ["real", "fake", "fp", "fn", "tp", "unanswered", "ai", "inconclusive", "probability", "uncertainty"] as const;

/**
 * Two parts of a collection against each other: `probability` becomes their balance in the cell, 0 all the first
 * and 1 all the second, each measured by its own total; `real` and `fake` are the two parts. Cells without either
 * count as not selected.
 */
export function versus(base: Cells, first: Cells, second: Cells, firstTotal: number, secondTotal: number): Cells {
  const real = new Float32Array(base.length);
  const fake = new Float32Array(base.length);
  const part = (of: Cells, into: Float32Array): void => {
    for (let j = 0; j < of.length; j++) {
      const i = base.index.get(of.cell[j] as number);
      if (i !== undefined) into[i] = of.selected[j] as number;
    }
  };
  part(first, real);
  part(second, fake);
  const shown = real.map((n, i) => n + (fake[i] as number));
  const probability = shown.map((_, i) => {
    const a = (real[i] as number) / Math.max(1, firstTotal);
    const b = (fake[i] as number) / Math.max(1, secondTotal);
    return a + b > 0 ? b / (a + b) : 0.5;
  });
  const none = new Float32Array(base.length);
  const selected = shown.map((n, i) => (n > 0 ? (base.count[i] as number) : 0));
  return { ...base, real, fake, fp: none, fn: none, tp: none, unanswered: none, probability, shown, selected };
}
