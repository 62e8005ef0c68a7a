/** What a build is doing, in words. */
import type { BuildProgress } from "../../api/types";
import { plural } from "../../ui/format";

const STEPS: Readonly<Record<string, string>> = {
  starting: "Starting",
  listing: "Listing the images",
  encoder: "Loading the encoder",
  extracting: "Encoding the images",
  distiller: "Distilling",
  maps: "Reading relevance maps",
  prototypes: "Finding patterns",
  cells: "Laying out the map",
};

export const stepName = (step: string): string => STEPS[step] ?? step;

/** Share of the step that is done; null where that is not known or the step is one piece. */
export function share({ done, total }: Pick<BuildProgress, "done" | "total">): number | null {
  return total !== null && total > 1 ? Math.min(1, done / total) : null;
}

const REASONS: Readonly<Record<string, string>> = {
  outside_roots: "outside the folder",
  not_an_image: "not an image",
};

/** "2 images could not be read: 1 truncated, 1 outside the folder"; empty where all could. */
export function unread({ failed, reasons }: Pick<BuildProgress, "failed" | "reasons">): string {
  if (!failed) return "";
  const named = Object.entries(reasons).map(([reason, n]) => `${n} ${REASONS[reason] ?? reason.replaceAll("_", " ")}`);
  return `${plural(failed, "image")} could not be read${named.length ? `: ${named.join(", ")}` : ""}`;
}

/** Characters of a proposed name, which with a number are never more bytes than the server takes. */
const LONGEST = 60;

/** A name for the atlas of a folder: the folder's own, of characters that file names may have everywhere. */
export function suggestedName(path: string, root: string, taken: readonly string[]): string {
  const last = path.split("/").at(-1) ?? "";
  const trimmed = (text: string): string => text.replaceAll(/^[^\p{L}\p{Nd}_]+|[^\p{L}\p{M}\p{Nd}_]+$/gu, "");
  const clean = trimmed((last === "" ? root : last).replaceAll(/[^\p{L}\p{M}\p{Nd}_ .-]/gu, "-"));
  const base = clean === "" ? "collection" : trimmed(clean.slice(0, LONGEST));
  let name = base;
  for (let n = 2; taken.includes(name); n += 1) name = `${base}-${n}`;
  return name;
}
