/** What Evaluate asks the server for, as docs/http-api.md states it. */
import { getJson, url } from "../api/client";

export interface Estimate {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** A generator or a source: how many of its images are called generated, with Wilson's interval. */
export interface Share {
  readonly name: string;
  readonly n: number;
  readonly flagged: number;
  readonly low: number;
  readonly high: number;
  /** Share of them without an answer, at the atlas's own thresholds. */
  readonly unanswered: number;
}

export interface Bin {
  readonly low: number;
  readonly high: number;
  readonly mean: number;
  readonly share: number;
  readonly n: number;
}

export interface WorstCase {
  readonly row: number;
  readonly label: "real" | "fake";
  readonly probability: number;
}

export interface Confusion {
  readonly tp: number;
  readonly fn: number;
  readonly fp: number;
  readonly tn: number;
}

/** What the files' format, size and shape alone would score. */
export interface FileAudit {
  readonly auc?: number;
  readonly interval?: readonly [number, number];
  readonly importances?: Readonly<Record<string, number>>;
  readonly n?: number;
  readonly groups?: number;
  readonly note?: string;
}

/** Held-out figures of a selection. What needs both classes is missing where only one is selected. */
export interface Evaluation {
  readonly n: number;
  readonly unlabelled: number;
  readonly threshold: number;
  readonly base_rate: number;
  /** Of the atlas's own thresholds at even odds, between which there is no answer. */
  readonly thresholds: readonly [number, number];
  readonly outcomes: Confusion & { readonly unanswered: number; readonly unanswered_real: number };
  /** Of the one threshold, which answers for every image. */
  readonly confusion: Confusion;
  readonly generators: readonly Share[];
  readonly sources: readonly Share[];
  readonly worst: readonly WorstCase[];
  readonly off: readonly number[];
  readonly audit: FileAudit;
  readonly held_out: string;
  readonly metrics?: Readonly<Record<string, Estimate>> & { readonly notes: readonly string[] };
  readonly rates?: {
    readonly tpr: number;
    readonly fpr: number;
    readonly balanced_accuracy: number;
    readonly ppv: number | null;
  };
  readonly calibration?: readonly Bin[];
  readonly roc?: readonly (readonly [number, number])[];
}

export interface Question {
  readonly atlas: string;
  readonly threshold: number;
  readonly baseRate: number;
  /** A selection spec as JSON, empty for all images. */
  readonly selection: string;
  readonly off: readonly number[];
}

export function evaluate({ atlas, threshold, baseRate, selection, off }: Question, signal: AbortSignal) {
  const query = { threshold, base_rate: baseRate, selection, off };
  return getJson<Evaluation>(url(["atlases", atlas, "evaluation"], query), signal);
}

export function thumbnail(atlas: string, row: number): string {
  return url(["atlases", atlas, "images", row, "thumbnail"]);
}

// ---------------------------------------------------------------- written reports

export interface ReportName {
  readonly name: string;
  readonly title: string;
}

/** AUC of a detector fitted on one generator (line) and tested on another (column). */
export interface TransferMatrix {
  readonly trained: readonly string[];
  readonly tested: readonly string[];
  readonly auc: readonly (readonly (number | null)[])[];
  readonly as_test: readonly (number | null)[];
  readonly as_training: readonly (number | null)[];
}

export interface ReportResult {
  readonly protocol: string;
  readonly detector: string;
  readonly matrix: TransferMatrix | null;
}

export interface WrittenReport {
  readonly name: string;
  readonly results: readonly ReportResult[];
}

export const reports = (signal: AbortSignal) => getJson<readonly ReportName[]>(url(["reports"]), signal);

export const report = (name: string, signal: AbortSignal) =>
  getJson<WrittenReport>(url(["reports", name], { format: "json" }), signal);

export const reportPage = (name: string) => url(["reports", name]);
