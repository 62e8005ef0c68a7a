/** The changes that the what-if panel can make, as sliders, as the server's edits and as text in the address. */
import type { Edit } from "../api/types";
import { percent } from "../ui/format";

export interface Knob {
  readonly name: string;
  readonly label: string;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  /** The value at which nothing is changed; the edit is then left out. */
  readonly rest: number;
  readonly format: (value: number) => string;
}

/** In the order in which a picture meets them on its way: cut, scaled, softened, saved. */
export const KNOBS: readonly Knob[] = [
  knob("centercrop", "Crop", 0.3, 1, 0.05, 1, (v) => `middle ${percent(v)} of each side`),
  knob("resize", "Resize", 0.25, 2, 0.05, 1, (v) => `${percent(v)} of the size`),
  knob("blur", "Blur", 0, 4, 0.1, 0, (v) => `${v.toFixed(1)} px`),
  knob("jpeg", "Re-encode as JPEG", 10, 100, 1, 100, (v) => `quality ${v.toFixed(0)}`),
];

function knob(
  name: string,
  label: string,
  min: number,
  max: number,
  step: number,
  rest: number,
  words: (value: number) => string,
): Knob {
  return { name, label, min, max, step, rest, format: (v) => (v === rest ? "as delivered" : words(v)) };
}

export type Settings = Readonly<Record<string, number>>;

export function toEdits(settings: Settings): Edit[] {
  return KNOBS.flatMap(({ name, rest }) => {
    const value = settings[name] ?? rest;
    return value === rest ? [] : [{ name, value }];
  });
}

/** `jpeg:60,blur:1.5`, in the order of the knobs. */
export function formatSettings(settings: Settings): string {
  return toEdits(settings)
    .map(({ name, value }) => `${name}:${String(value)}`)
    .join(",");
}

/** What an address says, brought into range; unknown names are dropped. */
export function parseSettings(text: string | undefined): Settings {
  const found: Record<string, number> = {};
  for (const part of (text ?? "").split(",")) {
    const [name = "", value = ""] = part.split(":");
    const knob = KNOBS.find((one) => one.name === name);
    const number = Number.parseFloat(value);
    if (knob && Number.isFinite(number)) found[name] = Math.min(knob.max, Math.max(knob.min, number));
  }
  return found;
}

/** Numbers of dimensions that are switched off, `1,5`; sorted and without repetition. */
export function parseOff(text: string | undefined): number[] {
  const numbers = (text ?? "").split(",").map((part) => Number.parseInt(part, 10));
  return [...new Set(numbers.filter((k) => Number.isInteger(k) && k >= 0))].sort((a, b) => a - b);
}
