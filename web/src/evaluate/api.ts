/** What Evaluate asks the server for. */
import { getJson, url } from "../api/client";
import type { Evaluation, Report, WrittenReport } from "../api/generated";

export type { Confusion, Evaluation, FileAudit, Report as ReportName, ShareCalled as Share, WorstCase, WrittenReport } from "../api/generated";

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

export const reports = (signal: AbortSignal) => getJson<readonly Report[]>(url(["reports"]), signal);

export const report = (name: string, signal: AbortSignal) =>
  getJson<WrittenReport>(url(["reports", name], { format: "json" }), signal);

export const reportPage = (name: string) => url(["reports", name]);
