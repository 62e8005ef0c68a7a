/** Which prototypes are shown, and in which order. */
import type { Prototype } from "../model/api";

export const ORDERS = {
  impact: "Impact, beyond chance first",
  coverage: "Coverage",
  surprise: "Surprise",
  purity: "Purity",
  selection: "In the selection",
} as const;

/** Whether a corrected p-value claims nothing; null where labels of one class are missing, for all patterns alike. */
export const mayBeChance = (p: number | null): boolean => p !== null && p > 0.05;

const BEYOND_ANY_IMPACT = 1e6;

export type Order = keyof typeof ORDERS;

export interface Shown extends Prototype {
  /** Images that carry it or one that was merged into it. */
  readonly all: number;
  readonly chosen: number | null;
  readonly merged: readonly Prototype[];
}

/** What to call each pattern in a list: its name, with its number where others are called the same. */
export function titles(patterns: readonly Prototype[]): Map<number, string> {
  const named = (one: Prototype): string => one.name || `Pattern ${one.id}`;
  const uses = new Map<string, number>();
  for (const one of patterns) uses.set(named(one), (uses.get(named(one)) ?? 0) + 1);
  return new Map(patterns.map((one) => [one.id, (uses.get(named(one)) ?? 0) > 1 ? `${named(one)} (${one.id})` : named(one)]));
}

/** Prototypes with what was merged into them; merged and (unless asked for) hidden ones left out. */
export function gathered(prototypes: readonly Prototype[], hidden: boolean): Shown[] {
  const root = new Map(prototypes.map((one) => [one.id, one]));
  const top = (one: Prototype): number => {
    let at = one;
    // A chain is as long as there are prototypes at most: an edit made elsewhere may have closed a circle.
    for (let i = 0; i < prototypes.length && at.merged_into !== null; i++) at = root.get(at.merged_into) ?? at;
    return at.id;
  };
  const members = new Map<number, Prototype[]>();
  for (const one of prototypes) {
    const to = top(one);
    if (to !== one.id) members.set(to, [...(members.get(to) ?? []), one]);
  }
  return prototypes
    .filter((one) => one.merged_into === null && (hidden || !one.hidden))
    .map((one) => {
      const merged = members.get(one.id) ?? [];
      const sum = (pick: (p: Prototype) => number): number => [one, ...merged].reduce((total, p) => total + pick(p), 0);
      return { ...one, merged, all: sum((p) => p.images), chosen: one.selected === null ? null : sum((p) => p.selected ?? 0) };
    });
}

/** How much more often images of the selection carry it than any image does; 1 is as often. */
export function lift(one: Shown, selected: number, images: number): number {
  if (one.chosen === null || selected <= 0 || one.all <= 0) return 1;
  return one.chosen / selected / (one.all / images);
}

export function ordered(shown: readonly Shown[], by: Order, selected: number, images: number): Shown[] {
  const key = (one: Shown): number => {
    // A mean over few images is easily large, so what may be chance comes later, however large; as the engine orders them.
    if (by === "impact") return Math.abs(one.impact) + (mayBeChance(one.p) ? 0 : BEYOND_ANY_IMPACT);
    if (by === "coverage") return one.all;
    if (by === "surprise") return one.surprise;
    if (by === "purity") return one.purity === null ? 0 : Math.abs(one.purity - 0.5);
    return one.chosen === null ? one.all : one.chosen * Math.log(Math.max(1e-3, lift(one, selected, images)));
  };
  return [...shown].sort((a, b) => key(b) - key(a) || a.id - b.id);
}

/**
 * The square of a picture that shows a region with some of its surroundings: left, top and side as shares of the
 * picture's sides.
 */
export function crop(box: readonly [number, number, number, number] | null, context = 1.35): { x: number; y: number; side: number } {
  if (!box) return { x: 0, y: 0, side: 1 };
  const [x0, y0, x1, y1] = box;
  const side = Math.min(1, Math.max(0.34, Math.max(x1 - x0, y1 - y0) * context));
  const clip = (v: number): number => Math.min(1 - side, Math.max(0, v));
  return { x: clip((x0 + x1 - side) / 2), y: clip((y0 + y1 - side) / 2), side };
}
