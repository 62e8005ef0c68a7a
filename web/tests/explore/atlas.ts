/** A small atlas of cells for tests, encoded as the server does: Arrow IPC with lists of numbers. */
import { type DataType, columnFromArray, fixedSizeList, float32, int32, list, tableFromColumns, tableFromIPC, tableToIPC, uint32 } from "@uwdata/flechette";

import { type Cells, decodeCells } from "../../src/explore/model/cells";

export interface One {
  readonly cell: number;
  readonly count?: number;
  readonly real?: number;
  readonly fake?: number;
  readonly fp?: number;
  readonly tp?: number;
  readonly unanswered?: number;
  readonly fn?: number;
  readonly probability?: number;
  readonly impact?: readonly number[];
  readonly exemplars?: readonly number[];
  readonly selected?: number;
  readonly generators?: readonly number[];
}

export function tile(level: number, cells: readonly One[], dimensions = 16, generators: readonly string[] = ["a", "b", "c"]): Cells {
  const numbers = (pick: (one: One) => number, type: DataType = int32()) => columnFromArray(cells.map(pick), type);
  const table = tableFromColumns({
    cell: numbers((one) => one.cell, uint32()),
    count: numbers((one) => one.count ?? 10),
    real: numbers((one) => one.real ?? 4),
    fake: numbers((one) => one.fake ?? 6),
    fp: numbers((one) => one.fp ?? 0),
    tp: numbers((one) => one.tp ?? 0),
    unanswered: numbers((one) => one.unanswered ?? 0),
    fn: numbers((one) => one.fn ?? 0),
    probability: numbers((one) => one.probability ?? 0.6, float32()),
    impact: columnFromArray(cells.map((one) => one.impact ?? Array<number>(dimensions).fill(0)), fixedSizeList(float32(), dimensions)),
    exemplars: columnFromArray(cells.map((one) => one.exemplars ?? [one.cell]), list(int32())),
    selected: numbers((one) => one.selected ?? one.count ?? 10),
    generators: columnFromArray(cells.map((one) => one.generators ?? Array<number>(generators.length).fill(0)), fixedSizeList(int32(), generators.length)),
  });
  const bytes = tableToIPC(table, { format: "stream" });
  if (!bytes) throw new Error("no bytes");
  const read = tableFromIPC(bytes);
  // The writer drops the schema's metadata; the server's does not.
  read.schema.metadata = new Map([["generators", JSON.stringify(generators)]]);
  return decodeCells(read, level);
}
