/** What the server says, as docs/http-api.md states it. Labels: real 0, fake 1; `row` numbers an atlas's images. */

export type Word = "ai" | "real" | "inconclusive" | "out_of_domain";
export type Interval = readonly [number, number];

/** RFC 9457 problem, with `next`: what the user can do about it. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  readonly next?: string;
}

export interface ServerInfo {
  readonly version: string;
  readonly [key: string]: unknown;
}

// ---------------------------------------------------------------- cases

export interface Neighbour {
  readonly name: string;
  readonly generator: string | null;
  readonly source: string | null;
  readonly distance: number;
  readonly id?: string;
  /** Address of a picture of it, where the server holds one. */
  readonly thumbnail?: string | null;
}

export interface Neighbours {
  readonly fake: readonly Neighbour[];
  readonly real: readonly Neighbour[];
}

/** One distilled map's word on an image: `impacts` and `bias` sum to `logit`. */
export interface Distilled {
  readonly names: readonly string[];
  readonly values: readonly number[];
  readonly impacts: readonly number[];
  readonly bias: number;
  readonly logit: number;
  readonly probability: number;
}

export interface EvidencePart {
  readonly name: string;
  readonly value: number;
}

/** Named parts that sum to the detector's own logit. */
export interface Evidence {
  readonly parts: readonly EvidencePart[];
  readonly bias: number;
  readonly logit: number;
}

export interface FileFacts {
  readonly width: number;
  readonly height: number;
  readonly format: string;
  readonly bytes: number;
  readonly jpeg_quality?: number | null;
  readonly notes?: readonly string[];
  readonly [key: string]: unknown;
}

export interface Case {
  /** SHA-256 of the file. */
  readonly id: string;
  readonly name: string;
  readonly verdict: Word;
  readonly probability: number;
  readonly interval: Interval;
  readonly thresholds: { readonly ai: number; readonly real: number };
  readonly base_rate: number;
  readonly reasons: readonly string[];
  readonly sentence: string;
  readonly facts: FileFacts;
  readonly logit: number;
  readonly distilled: Distilled | null;
  readonly evidence: Evidence | null;
  readonly neighbors: Neighbours | null;
  readonly versions: Readonly<Record<string, unknown>>;
}

export interface Concept {
  readonly name: string;
  readonly score: number;
  readonly [key: string]: unknown;
}

export interface Edit {
  readonly name: string;
  readonly value: number | string;
}

export interface WhatIf {
  readonly before: Case;
  readonly after: Case;
}

// ---------------------------------------------------------------- atlases

export type Clause =
  | { readonly cells: { readonly level: number; readonly ids: readonly number[] } }
  | { readonly polygon: readonly (readonly [number, number])[] }
  | { readonly rect: readonly [number, number, number, number] }
  | { readonly column: string; readonly in: readonly (string | number | null)[] }
  | { readonly column: string; readonly range: readonly [number, number] }
  | { readonly dimension: number; readonly range: readonly [number, number] }
  | { readonly prototype: number }
  | { readonly rows: readonly number[] }
  | { readonly text: string }
  | { readonly not: Clause }
  | { readonly or: readonly Clause[] };

/** What is selected; no clause at all means every image. */
export interface SelectionSpec {
  readonly and: readonly Clause[];
}

export interface SelectionSummary {
  readonly key: string;
  readonly count: number;
  readonly real: number;
  readonly fake: number;
  readonly fp: number;
  readonly fn: number;
  readonly spec: SelectionSpec;
}

export interface AtlasInfo {
  readonly name: string;
  readonly [key: string]: unknown;
}

export type Row = Readonly<Record<string, unknown>>;

export interface Rows {
  readonly total: number;
  readonly offset: number;
  readonly rows: readonly Row[];
}

export interface EvaluationQuery {
  selection?: string;
  off?: readonly number[];
  threshold?: number;
  base_rate?: number;
}
