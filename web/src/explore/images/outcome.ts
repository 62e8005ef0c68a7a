/** What a verdict is worth under a label, in the words of the column "Outcome". */
import type { ImageRow } from "../model/api";
import { valueName } from "../model/spec";

export function outcome(label: ImageRow["label"], verdict: ImageRow["verdict"]): string {
  if (label === null) return "none";
  if (verdict === "inconclusive") return valueName("error", "unanswered");
  const ai = verdict === "ai";
  return valueName("error", label === "fake" ? (ai ? "tp" : "fn") : ai ? "fp" : "tn");
}
