/** What the Explore views ask the server for. */
import { getTable } from "../../api/arrow";
import { getJson, picture, request, sendJson, url } from "../../api/client";
import type {
  AtlasInfo,
  ColumnView,
  CopyGroups,
  Counts as All,
  DimensionEdit,
  DimensionNotes,
  DimensionView,
  FeedbackAnswer,
  Found,
  ImageDetail as Detail,
  ImageRow,
  PatternPage,
  PrototypeEdit,
  PrototypeNotes,
  PrototypeView,
  Rescored as Answer,
  Rows,
  SearchQuery,
  SelectionAnswer,
  Tag,
  TagChange,
} from "../../api/generated";
import type { Selected as SelectedOf } from "../../api/types";
import { type PointColours, type Points, decodeColours, decodePoints } from "./points";
import { type Cells, decodeCells, overlaid } from "./cells";
import { Lru } from "./lru";
import type { Sort } from "./params";
import type { Spec } from "./spec";
import { TILE } from "./tiles";

export type { ColumnView, DimensionView as Dimension, ImageRow } from "../../api/generated";

export type Rescored = Omit<Answer, "selection"> & { readonly selection: Selected };

/** With the columns of the image's manifest. */
export type ImageDetail = Detail & Readonly<Record<string, unknown>>;

/** Images of a selection; a cell of the overview knows no more than these. */
export type Counts = Pick<All, "count" | "real" | "fake" | "fp" | "fn" | "unanswered">;

export type Selected = SelectedOf<Spec>;

export type Info = Omit<AtlasInfo, "saved_selections"> & { readonly saved_selections: Readonly<Record<string, Spec>> };

export interface Exemplar {
  readonly row: number;
  /** x0, y0, x1, y1 of the region, shares of the picture's sides. */
  readonly box: readonly [number, number, number, number] | null;
}

/** Fields of a prototype that the views take as the server sends them. */
type AsSent =
  | "id" | "dimension" | "sign" | "name" | "suggested" | "description" | "note" | "hidden" | "merged_into" | "images" | "selected"
  | "stability"; // prettier-ignore

export interface Prototype extends Pick<PrototypeView, AsSent> {
  readonly coverage: number;
  /** Share of generated images among its labelled images. */
  readonly purity: number | null;
  readonly purityInterval: readonly [number, number] | null;
  readonly impact: number;
  readonly impactInterval: readonly [number, number] | null;
  /** Coverage of both intervals, 0 to 1. */
  readonly level: number;
  readonly generators: readonly { readonly name: string; readonly share: number; readonly lift: number }[];
  readonly exemplars: readonly Exemplar[];
  readonly p: number | null;
  /** How far its impact exceeds what format, size and content explain, towards its own side. */
  readonly surprise: number;
  readonly warning: string;
}

export type ExportFormat = "csv" | "parquet" | "ids";

/** The server's word for "all images" is no selection at all. */
type Key = string | null;

export class AtlasApi {
  #points: Points | null = null;
  readonly #bases = new Lru<Promise<Cells>>(400);

  /** Forget what people's edits may have changed in tiles: tags. */
  forget(): void {
    this.#bases.clear();
  }

  constructor(readonly name: string) {}

  #url(parts: readonly (string | number)[], query: Parameters<typeof url>[1] = {}): string {
    return url(["atlases", this.name, ...parts], query);
  }

  info = (signal: AbortSignal): Promise<Info> => getJson<Info>(this.#url([]), signal);

  select = (spec: Spec, signal: AbortSignal): Promise<Selected> =>
    sendJson<Selected>("POST", this.#url(["selections"]), spec, signal);

  /** A tile as the selection shows it. What all images look like is asked for once and kept. */
  async tile(level: number, tx: number, ty: number, selection: Key, off: readonly number[], signal: AbortSignal, columns: readonly string[] = []): Promise<Cells> {
    const base = this.#base(level, tx, ty, off, columns);
    if (selection === null) return base;
    const [all, chosen] = await Promise.all([base, this.#cells(level, tx, ty, selection, off, columns, signal)]);
    return overlaid(all, chosen);
  }

  #base(level: number, tx: number, ty: number, off: readonly number[], columns: readonly string[]): Promise<Cells> {
    const key = [level, tx, ty, off.join("."), ...columns].join("/");
    const known = this.#bases.get(key);
    if (known) return known;
    const asked = this.#cells(level, tx, ty, null, off, columns);
    this.#bases.set(key, asked);
    asked.catch(() => this.#bases.delete(key));
    return asked;
  }

  async #cells(level: number, tx: number, ty: number, selection: Key, off: readonly number[], columns: readonly string[], signal?: AbortSignal): Promise<Cells> {
    const whole = 2 ** level <= TILE;
    const query = { tx: whole ? null : tx, ty: whole ? null : ty, selection, off };
    // Names of columns may hold commas, so each is a parameter of its own.
    const address = columns.reduce((text, name) => `${text}${text.includes("?") ? "&" : "?"}column=${encodeURIComponent(name)}`, this.#url(["tiles", level], query));
    return decodeCells(await getTable(address, signal), level);
  }

  /** Where all images are. */
  async points(signal: AbortSignal): Promise<Points> {
    this.#points ??= decodePoints(await getTable(this.#url(["points"]), signal));
    return this.#points;
  }

  async pointColours(by: string, selection: Key, off: readonly number[], signal: AbortSignal): Promise<PointColours> {
    return decodeColours(await getTable(this.#url(["points", "colours"], { by, selection, off }), signal));
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

  columns(selection: Key, signal: AbortSignal): Promise<readonly ColumnView[]> {
    return getJson<readonly ColumnView[]>(this.#url(["columns"], { selection }), signal);
  }

  dimensions(selection: Key, off: readonly number[], signal: AbortSignal): Promise<readonly DimensionView[]> {
    return getJson<readonly DimensionView[]>(this.#url(["dimensions"], { selection, off }), signal);
  }

  async prototypes(selection: Key, signal: AbortSignal): Promise<Prototype[]> {
    return (await getJson<readonly PrototypeView[]>(this.#url(["prototypes"], { selection }), signal)).map(prototype);
  }

  pattern = (id: number, signal: AbortSignal): Promise<PatternPage> => getJson<PatternPage>(this.#url(["prototypes", id]), signal);

  async rows(selection: Key, { by, descending }: Sort, off: readonly number[], offset: number, limit: number, signal: AbortSignal): Promise<readonly ImageRow[]> {
    const query = { selection, sort: by, descending, off, offset, limit };
    return (await getJson<Rows>(this.#url(["rows"], query), signal)).rows;
  }

  image = (row: number, signal: AbortSignal): Promise<ImageDetail> => getJson<ImageDetail>(this.#url(["images", row]), signal);

  rescore = (off: readonly number[], signal: AbortSignal): Promise<Rescored> =>
    sendJson<Rescored>("POST", this.#url(["rescore"]), { off }, signal);

  editPrototype = (id: number, fields: PrototypeEdit): Promise<PrototypeNotes> =>
    sendJson("PATCH", this.#url(["prototypes", id]), fields);

  editDimension = (k: number, fields: DimensionEdit): Promise<DimensionNotes> =>
    sendJson("PATCH", this.#url(["dimensions", k]), fields);

  search = (query: SearchQuery, signal: AbortSignal): Promise<Found> => sendJson<Found>("POST", this.#url(["search"]), query, signal);

  tags = (selection: Key, signal: AbortSignal): Promise<readonly Tag[]> => getJson<readonly Tag[]>(this.#url(["tags"], { selection }), signal);

  copies = (selection: Key, offset: number, signal: AbortSignal): Promise<CopyGroups> =>
    getJson<CopyGroups>(this.#url(["copies"], { selection, offset }), signal);

  /** `count`: the images that the change is meant for; where they are others by now the server refuses it. */
  changeTags = (spec: Spec, add: readonly string[], remove: readonly string[], count: number): Promise<readonly Tag[]> =>
    sendJson<readonly Tag[]>("POST", this.#url(["tags"]), { selection: { ...spec }, add, remove, count } satisfies TagChange);

  saveSelection = (name: string, spec: Spec): Promise<SelectionAnswer> => sendJson("PUT", this.#url(["saved-selections", name]), spec);

  deleteSelection = (name: string): Promise<unknown> => sendJson("DELETE", this.#url(["saved-selections", name]));

  feedback = (row: number, label: "real" | "fake", note: string): Promise<FeedbackAnswer> =>
    sendJson("POST", url(["feedback"]), { atlas: this.name, row, label, note });

  /** Thumbnails of many images in one request; null where the atlas has none. */
  async thumbnails(rows: readonly number[], signal?: AbortSignal): Promise<(Jpeg | null)[]> {
    const response = await request(this.#url(["thumbnails"], { rows }), signal ? { signal } : {});
    return sheet(await response.arrayBuffer(), rows.length);
  }

  thumbnail = (row: number): string => picture(this.#url(["images", row, "thumbnail"]));
  relevance = (row: number, dimension: number | "logit", size = 224): string =>
    picture(this.#url(["images", row, "relevance.png"], { dimension, size }));
  file = (row: number): string => this.#url(["images", row, "file"]);
  exported = (selection: Key, format: ExportFormat): string => this.#url(["export"], { selection, format });
}

/** The bytes of a JPEG file. */
export type Jpeg = Uint8Array<ArrayBuffer>;

/** The pictures of a sheet: lengths first, then the files. */
export function sheet(bytes: ArrayBuffer, n: number): (Jpeg | null)[] {
  const lengths = new DataView(bytes);
  let at = 4 * n;
  return Array.from({ length: n }, (_, i) => {
    const length = lengths.getUint32(4 * i, true);
    const from = at;
    at += length;
    return length ? new Uint8Array(bytes, from, length) : null;
  });
}

/** A prototype as the views use it, from the server's flat record. */
export function prototype(raw: PrototypeView): Prototype {
  const pair = (low: number | null, high: number | null): readonly [number, number] | null => (low === null || high === null ? null : [low, high]);
  return {
    id: raw.id,
    dimension: raw.dimension,
    sign: raw.sign,
    name: raw.name,
    suggested: raw.suggested,
    description: raw.description,
    note: raw.note,
    hidden: raw.hidden,
    merged_into: raw.merged_into,
    images: raw.images,
    selected: raw.selected,
    coverage: raw.coverage ?? 0,
    purity: raw.purity_fake,
    purityInterval: pair(raw.purity_low, raw.purity_high),
    impact: raw.mean_impact ?? 0,
    impactInterval: pair(raw.impact_low, raw.impact_high),
    level: raw.interval_level,
    generators: raw.generators.map(({ name, share, lift }) => ({ name: name === null || name === "" ? "unnamed" : name, share: share ?? 0, lift: lift ?? 1 })),
    exemplars: raw.exemplars.map((one) => ({ row: one.row, box: boxOf(one) })),
    p: raw.p_value,
    stability: raw.stability,
    surprise: raw.surprise ?? 0,
    warning: raw.file_confound ?? "",
  };
}

function boxOf({ x0, y0, x1, y1 }: PrototypeView["exemplars"][number]): Exemplar["box"] {
  return x0 === null || y0 === null || x1 === null || y1 === null ? null : [x0, y0, x1, y1];
}
