/** The parameters of an address, read forgivingly: what makes no sense is as if it were not there. */

import { decodeSpec, type Spec } from "./spec";

export type Pane = "overview" | "dimensions" | "patterns" | "images";

export function parsePane(text: string | undefined): Pane | "" {
  return text === "overview" || text === "dimensions" || text === "patterns" || text === "images" ? text : "";
}

export interface Sort {
  readonly by: string;
  readonly descending: boolean;
}

export function parseSort(text: string | undefined): Sort {
  const plain = (text ?? "").replace(/^-/, "");
  const known = /^(row|probability|logit|uncertainty|width|height|bytes|jpeg_quality|impact:\d+|similarity:\d+)$/.test(plain);
  return known ? { by: plain, descending: (text ?? "").startsWith("-") } : { by: "row", descending: false };
}

/** What images are looked for: like an image of the atlas, a picture that was dropped, words, or a selection. */
export type Find =
  | { readonly image: number }
  | { readonly case: string; readonly name?: string }
  | { readonly text: string }
  | { readonly selection: Spec };

export function parseFind(text: string): Find | null {
  try {
    const value = JSON.parse(text) as Record<string, unknown> | null;
    if (typeof value !== "object" || value === null) return null;
    if (typeof value["image"] === "number") return { image: value["image"] };
    if (typeof value["case"] === "string") return { case: value["case"], ...(typeof value["name"] === "string" ? { name: value["name"] } : {}) };
    if (typeof value["text"] === "string" && value["text"].trim()) return { text: value["text"].trim() };
    if (typeof value["selection"] === "object" && value["selection"] !== null) return { selection: decodeSpec(JSON.stringify(value["selection"])) };
  } catch {
    // not a search: nothing is looked for
  }
  return null;
}

/** A search in a few words. */
export function describeFind(find: Find): string {
  if ("image" in find) return `Like image ${find.image}`;
  if ("case" in find) return `Like ${find.name ?? "a picture"}`;
  return "text" in find ? `“${find.text}”` : "Like a selection";
}

export function parseOff(text: string, dimensions: number): number[] {
  const found = text.split(",").filter(Boolean).map(Number);
  return [...new Set(found.filter((k) => Number.isInteger(k) && k >= 0 && k < dimensions))].sort((a, b) => a - b);
}

export function parseRow(text: string | undefined, images: number): number | null {
  const row = Number(text ?? NaN);
  return text && Number.isInteger(row) && row >= 0 && row < images ? row : null;
}

export const MOST_COMPARED = 4;

export function parseRows(text: string | undefined, images: number): number[] {
  const found = (text ?? "").split(",").map((one) => parseRow(one, images));
  return [...new Set(found.filter((row) => row !== null))].slice(0, MOST_COMPARED);
}

/** Which relevance map lies over the pictures. */
export type Overlay = "none" | "logit" | number;

export function parseOverlay(text: string | undefined, dimensions: number): Overlay {
  if (text === "logit") return "logit";
  return parseRow(text, dimensions) ?? "none";
}

/** Two generators that are compared; an address may name one and leave the other open. */
export function parseAgainst(text: string | undefined): readonly [string, string] | null {
  try {
    const value: unknown = JSON.parse(text ?? "null");
    if (Array.isArray(value) && value.length === 2 && value.every((name) => typeof name === "string")) {
      return value as unknown as [string, string];
    }
  } catch {
    // not two names: not compared
  }
  return null;
}

export function clampDetail(detail: number): number {
  return Number.isFinite(detail) ? Math.max(-1.5, Math.min(2.5, detail)) : 0;
}

/** How images are drawn on the map. */
export function parseDrawn(text: string | undefined): "glyphs" | "points" | "density" {
  return text === "points" || text === "density" ? text : "glyphs";
}

/** What the names on the map are of. */
export function parseLabels(text: string | undefined): "generators" | "dimensions" | "tags" | "none" {
  return text === "dimensions" || text === "tags" || text === "none" ? text : "generators";
}
