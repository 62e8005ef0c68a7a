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
  readonly morelli: string;
  readonly ready: boolean;
  /** Why images cannot be judged, where that is so. */
  readonly problem: string | null;
  readonly bundle: Readonly<Record<string, unknown>> | null;
  readonly encoder: Readonly<Record<string, unknown>> | null;
  readonly distilled: Readonly<Record<string, unknown>> | null;
  readonly concepts: readonly string[];
  readonly atlases: readonly string[];
  readonly reports: readonly string[];
  readonly roots: readonly string[];
  readonly keeps_uploads: boolean;
  readonly takes_feedback: boolean;
  readonly perturbations: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  readonly queue: Readonly<Record<string, number>>;
}

// ---------------------------------------------------------------- cases

/** A member of the detector's bank; `distance` is a cosine distance. */
export interface Neighbour {
  readonly id: string;
  readonly name: string | null;
  readonly generator: string | null;
  readonly label: "real" | "fake";
  readonly distance: number;
}

/** The nearest first. */
export interface Neighbours {
  readonly fake: readonly Neighbour[];
  readonly real: readonly Neighbour[];
}

/** Another reader of an image, which decides nothing: `bias` and the impacts that are not off sum to its own `logit`. */
export interface Distilled {
  readonly names: readonly string[];
  readonly values: readonly number[];
  readonly impacts: readonly number[];
  readonly bias: number;
  readonly logit: number;
  /** On the same side of even odds as the detector; missing for images of an atlas. */
  readonly agrees?: boolean;
  readonly off: readonly number[];
}

export interface EvidencePart {
  readonly name: string;
  readonly logit: number;
  /** Standard deviations from a typical real image, for concepts. */
  readonly amount: number | null;
}

/** The logit that decided as bias, named parts and a rest, which sum to it. */
export interface Evidence {
  readonly of: "decision" | "reading" | "concepts";
  readonly logit: number;
  readonly bias: number;
  readonly parts: readonly EvidencePart[];
  readonly rest: number;
  readonly sentences: readonly string[];
}

export interface FileFacts {
  readonly format: string;
  readonly mode: string;
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly frames: number;
  readonly jpeg_quality: number | null;
  readonly has_icc: boolean;
  readonly has_exif: boolean;
  readonly notes: readonly string[];
}

export type Claim = "generated" | "edited_with_ai" | "processed" | "captured" | "camera" | "none";
export type Strength = "signed_trusted" | "signed_unknown" | "statement" | "weak";

/** One statement of the file about itself: it may raise suspicion, and never lowers it. */
export interface ProvenanceFinding {
  readonly kind: string;
  readonly claims: Claim;
  readonly strength: Strength;
  readonly tool: string | null;
  readonly version: string | null;
  readonly sentence: string;
  /** The place in the file. */
  readonly where: string;
}

export interface Delivery {
  readonly delivery: string;
  readonly probability: number;
  readonly verdict: Word;
}

/** How the probability moves under ordinary re-delivery. */
export interface Stability {
  readonly low: number;
  readonly high: number;
  /** Some delivery is called generated and another real. */
  readonly flips: boolean;
  readonly deliveries: readonly Delivery[];
}

export interface Case {
  /** SHA-256 of the file; of the file and the edits for an edited picture. */
  readonly id: string;
  readonly name: string;
  readonly verdict: Word;
  readonly probability: number;
  readonly interval: Interval;
  readonly thresholds: { readonly ai: number; readonly real: number };
  readonly base_rate: number;
  readonly reasons: readonly string[];
  /** A sentence to quote. */
  readonly sentence: string;
  readonly facts: FileFacts;
  /** What the file says of itself, the strongest first; missing from cases of older servers. */
  readonly provenance?: readonly ProvenanceFinding[];
  readonly logit: number;
  readonly domain_distance: number | null;
  /** `logit` as a sum; null where nearest neighbours decide. */
  readonly evidence: Evidence | null;
  /** It can be said which patches `logit` was read from. */
  readonly readable: boolean;
  /** Another reader; null where the server has no distilled map. */
  readonly distilled: Distilled | null;
  readonly neighbors: Neighbours;
  readonly stability: Stability | null;
  readonly edits: string | null;
  readonly derived_from: string | null;
  readonly versions: Readonly<Record<string, string | null>>;
}

export interface Failure {
  readonly name: string;
  readonly reason: string;
  readonly message: string;
}

export interface Detected {
  readonly cases: readonly Case[];
  readonly failures: readonly Failure[];
}

/** An open archive on the server and what is in it. */
export interface Archive {
  readonly id: string;
  readonly name: string;
  readonly members: readonly { readonly name: string; readonly problem: string | null }[];
}

export interface Edit {
  readonly name: string;
  readonly value: number | string | null;
}

/** How a case is asked for: at another base rate, and judged under ordinary deliveries too. */
export interface CaseOptions {
  readonly base_rate?: number | null;
  readonly stability?: boolean;
}

/** What to change: edits in order, and distilled dimensions to switch off. */
export interface Question {
  readonly edits: readonly Edit[];
  readonly off: readonly number[];
  readonly base_rate: number | null;
}

/** `after` is a case of its own, with a picture and relevance. */
export interface WhatIf {
  readonly edits: string;
  readonly off: readonly number[];
  readonly before: Case;
  readonly after: Case;
}

export interface FeedbackRequest {
  readonly case?: string;
  readonly atlas?: string;
  readonly row?: number;
  readonly label: "real" | "fake" | "unknown";
  readonly note?: string;
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
  readonly unanswered: number;
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
