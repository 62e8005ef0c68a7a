/** What the Explore views ask the server for. Types say what docs/http-api.md says. */
import { getTable } from "../../api/arrow";
import { getJson, sendJson, url } from "../../api/client";
import { type Cells, decodeCells, overlaid } from "./cells";
import { Lru } from "./lru";
import type { Sort } from "./params";
import type { Spec } from "./spec";
import { TILE } from "./tiles";

export interface Counts {
  readonly count: number;
  readonly real: number;
  readonly fake: number;
  readonly fp: number;
  readonly fn: number;
  /** Labelled images whose verdict is inconclusive: no error. */
  readonly unanswered: number;
}

export interface Selected extends Counts {
  readonly key: string;
  readonly spec: Spec;
}

export interface Info {
  readonly name: string;
  readonly images: number;
  readonly labelled: number;
  readonly dimensions: number;
  /** The finest level of the pyramid; the coarsest is 0. */
  readonly levels: number;
  readonly thresholds: readonly [number, number];
  readonly counts: Counts;
  readonly key: string;
  readonly names: readonly string[];
  readonly weights: readonly number[];
  readonly bias: number;
  readonly categories: Readonly<Record<string, readonly { readonly name: string; readonly n: number }[]>>;
  readonly auc: number | null;
  readonly has_maps: boolean;
  readonly saved_selections: Readonly<Record<string, Spec>>;
  readonly held_out?: string;
  readonly build?: Readonly<Record<string, unknown>>;
}

export interface Dimension {
  readonly dimension: number;
  readonly name: string;
  readonly suggested: string;
  readonly note: string;
  readonly weight: number;
  readonly spread: number;
  readonly off: boolean;
  readonly edges: readonly [number, number];
  readonly real: readonly number[];
  readonly fake: readonly number[];
  readonly selected: readonly number[] | null;
  readonly selected_mean?: number;
  readonly auc_without: number | null;
  readonly lowest: readonly number[];
  readonly highest: readonly number[];
}

export interface Exemplar {
  readonly row: number;
  /** x0, y0, x1, y1 of the region, shares of the picture's sides. */
  readonly box: readonly [number, number, number, number] | null;
}

export interface Prototype {
  readonly id: number;
  readonly dimension: number;
  /** +1 where the pattern raises its dimension's value, −1 where it lowers it. */
  readonly sign: number;
  readonly name: string;
  readonly suggested: string;
  /** Where in the picture it lies, in plain words. */
  readonly description: string;
  readonly note: string;
  readonly hidden: boolean;
  readonly merged_into: number | null;
  readonly carriers: number;
  readonly selected: number | null;
  readonly coverage: number;
  /** Share of generated images among its labelled carriers. */
  readonly purity: number | null;
  readonly purityInterval: readonly [number, number] | null;
  readonly impact: number;
  readonly impactInterval: readonly [number, number] | null;
  readonly generators: readonly { readonly name: string; readonly share: number; readonly lift: number }[];
  readonly exemplars: readonly Exemplar[];
  readonly p: number | null;
  readonly stability: number | null;
  /** How far its impact exceeds what format, size and content explain, towards its own side. */
  readonly surprise: number;
  readonly warning: string;
}

export interface ImageRow {
  readonly row: number;
  readonly uri: string;
  readonly sha256: string;
  readonly generator: string | null;
  readonly source: string | null;
  readonly lineage: string | null;
  readonly width: number;
  readonly height: number;
  readonly format: string;
  readonly bytes: number;
  readonly label: "real" | "fake" | null;
  readonly probability: number;
  readonly verdict: "ai" | "real" | "inconclusive";
  readonly error: "tp" | "tn" | "fp" | "fn" | "unanswered" | null;
  readonly impacts: readonly number[];
  readonly prototypes: readonly number[];
}

export interface ImageDetail extends ImageRow {
  readonly values: readonly number[];
  readonly bias: number;
  readonly logit: number;
  readonly xy: readonly [number, number];
  readonly available: boolean;
  /** Where the image's own file is; only one that is `there` can be shown whole and checked. */
  readonly file: "there" | "in-archive" | "outside-roots" | "gone";
  readonly [fact: string]: unknown;
}

export interface Rescored {
  readonly off: readonly number[];
  readonly auc_before: number | null;
  readonly auc_after: number | null;
  readonly changed: number;
  readonly errors_before: Readonly<Record<string, number>>;
  readonly errors_after: Readonly<Record<string, number>>;
  readonly selection: Selected;
}

export type ExportFormat = "csv" | "parquet" | "ids";

/** The server's word for "all images" is no selection at all. */
type Key = string | null;

export class AtlasApi {
  readonly #bases = new Lru<Promise<Cells>>(400);

  constructor(readonly name: string) {}

  #url(parts: readonly (string | number)[], query: Parameters<typeof url>[1] = {}): string {
    return url(["atlases", this.name, ...parts], query);
  }

  info = (signal: AbortSignal): Promise<Info> => getJson<Info>(this.#url([]), signal);

  select = (spec: Spec, signal: AbortSignal): Promise<Selected> =>
    sendJson<Selected>("POST", this.#url(["selections"]), spec, signal);

  /** A tile as the selection shows it. What all images look like is asked for once and kept. */
  async tile(level: number, tx: number, ty: number, selection: Key, off: readonly number[], signal: AbortSignal): Promise<Cells> {
    const base = this.#base(level, tx, ty, off);
    if (selection === null) return base;
    const [all, chosen] = await Promise.all([base, this.#cells(level, tx, ty, selection, off, signal)]);
    return overlaid(all, chosen);
  }

  #base(level: number, tx: number, ty: number, off: readonly number[]): Promise<Cells> {
    const key = [level, tx, ty, off.join(".")].join("/");
    const known = this.#bases.get(key);
    if (known) return known;
    const asked = this.#cells(level, tx, ty, null, off);
    this.#bases.set(key, asked);
    asked.catch(() => this.#bases.delete(key));
    return asked;
  }

  async #cells(level: number, tx: number, ty: number, selection: Key, off: readonly number[], signal?: AbortSignal): Promise<Cells> {
    const whole = 2 ** level <= TILE;
    const query = { tx: whole ? null : tx, ty: whole ? null : ty, selection, off };
    return decodeCells(await getTable(this.#url(["tiles", level], query), signal), level);
  }

  /** Counts of a selection, judged without the dimensions that are off: the pyramid's one top cell. */
  async counts(selection: Key, off: readonly number[], signal: AbortSignal): Promise<Counts> {
    const cells = await this.tile(0, 0, 0, selection, off, signal);
    const of = (column: Float32Array): number => column[0] ?? 0;
    return {
      count: of(cells.selected),
      real: of(cells.real),
      fake: of(cells.fake),
      fp: of(cells.fp),
      fn: of(cells.fn),
      unanswered: of(cells.unanswered),
    };
  }

  async dimensions(selection: Key, off: readonly number[], signal: AbortSignal): Promise<Dimension[]> {
    const found = await getJson<Dimension[] | { dimensions: Dimension[] }>(this.#url(["dimensions"], { selection, off }), signal);
    return "dimensions" in found ? found.dimensions : found;
  }

  async prototypes(selection: Key, signal: AbortSignal): Promise<Prototype[]> {
    const found = await getJson<Raw[] | { prototypes: Raw[] }>(this.#url(["prototypes"], { selection }), signal);
    return ("prototypes" in found ? (found.prototypes as Raw[]) : found).map(prototype);
  }

  async rows(selection: Key, { by, descending }: Sort, off: readonly number[], offset: number, limit: number, signal: AbortSignal): Promise<ImageRow[]> {
    const query = { selection, sort: by, descending, off, offset, limit };
    const found = await getJson<ImageRow[] | { rows: ImageRow[] }>(this.#url(["rows"], query), signal);
    return "rows" in found ? found.rows : found;
  }

  image = (row: number, signal: AbortSignal): Promise<ImageDetail> => getJson<ImageDetail>(this.#url(["images", row]), signal);

  rescore = (off: readonly number[], signal: AbortSignal): Promise<Rescored> =>
    sendJson<Rescored>("POST", this.#url(["rescore"]), { off }, signal);

  editPrototype = (id: number, fields: PrototypeEdit & Seen<PrototypeEdit>): Promise<unknown> =>
    sendJson("PATCH", this.#url(["prototypes", id]), fields);

  editDimension = (k: number, fields: Wording & Seen<Wording>): Promise<unknown> =>
    sendJson("PATCH", this.#url(["dimensions", k]), fields);

  saveSelection = (name: string, spec: Spec): Promise<unknown> => sendJson("PUT", this.#url(["saved-selections", name]), spec);

  deleteSelection = (name: string): Promise<unknown> => sendJson("DELETE", this.#url(["saved-selections", name]));

  feedback = (row: number, label: "real" | "fake", note: string): Promise<unknown> =>
    sendJson("POST", url(["feedback"]), { atlas: this.name, row, label, note });

  thumbnail = (row: number): string => this.#url(["images", row, "thumbnail"]);
  relevance = (row: number, dimension: number | "logit", size = 224): string =>
    this.#url(["images", row, "relevance.png"], { dimension, size });
  file = (row: number): string => this.#url(["images", row, "file"]);
  exported = (selection: Key, format: ExportFormat): string => this.#url(["export"], { selection, format });
}

export interface Wording {
  name?: string;
  note?: string;
}

/** Fields as they were seen, an empty name for the suggested one; the server refuses a change of others. */
export interface Seen<Fields> {
  was?: Fields;
}

export interface PrototypeEdit extends Wording {
  hidden?: boolean;
  merged_into?: number | null;
}

type Raw = Readonly<Record<string, unknown>>;

/** A prototype as the views use it, from the server's flat record. */
export function prototype(raw: Raw): Prototype {
  const number = (name: string): number | null => (typeof raw[name] === "number" ? raw[name] : null);
  const pair = (low: string, high: string): readonly [number, number] | null => {
    const [a, b] = [number(low), number(high)];
    return a === null || b === null ? null : [a, b];
  };
  return {
    id: number("id") ?? 0,
    dimension: number("dimension") ?? 0,
    sign: number("sign") ?? 0,
    name: text(raw["name"]),
    suggested: text(raw["suggested"]),
    description: text(raw["description"]),
    note: text(raw["note"]),
    hidden: raw["hidden"] === true,
    merged_into: number("merged_into"),
    carriers: number("carriers") ?? number("count") ?? 0,
    selected: number("selected"),
    coverage: number("coverage") ?? 0,
    purity: number("purity_fake"),
    purityInterval: pair("purity_low", "purity_high"),
    impact: number("mean_impact") ?? 0,
    impactInterval: pair("impact_low", "impact_high"),
    generators: list(raw["generators"]).map((item) => ({
      name: text(item["name"]) || "unnamed",
      share: Number(item["share"] ?? 0),
      lift: Number(item["lift"] ?? 1),
    })),
    exemplars: list(raw["exemplars"]).map((item) => ({ row: Number(item["row"]), box: boxOf(item) })),
    p: number("p_value"),
    stability: number("stability"),
    surprise: number("surprise") ?? 0,
    warning: text(raw["file_confound"]),
  };
}

function boxOf(item: Raw): Exemplar["box"] {
  const box = ["x0", "y0", "x1", "y1"].map((name) => item[name]);
  return box.every((v) => typeof v === "number") ? (box as [number, number, number, number]) : null;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

const list = (value: unknown): Raw[] => (Array.isArray(value) ? (value as Raw[]) : []);
