/** What a drag on the map does, and what it selects. */
import { roundedPoint, simplified, rounded } from "../model/geometry";
import type { Clause, Point } from "../model/spec";
import { type Size, type Viewport, toLayout } from "../model/viewport";

export type Tool = "move" | "lasso" | "rectangle";

/** The tool of a drag: Shift makes a rectangle and Alt a lasso, whatever tool is chosen. */
export function toolOf(chosen: Tool, event: { readonly shiftKey: boolean; readonly altKey: boolean }): Tool {
  if (event.altKey) return "lasso";
  return event.shiftKey && chosen === "move" ? "rectangle" : chosen;
}

const LEAST = 6;

/** The region that a path on the screen encloses, or nothing when the pointer hardly moved. */
export function region(tool: Tool, path: readonly Point[], view: Viewport, size: Size): Clause | null {
  const first = path[0];
  const last = path.at(-1);
  if (!first || !last || tool === "move") return null;
  const at = ([x, y]: Point): Point => roundedPoint(toLayout(view, size, x, y));
  if (tool === "rectangle") {
    if (Math.abs(first[0] - last[0]) < LEAST || Math.abs(first[1] - last[1]) < LEAST) return null;
    const [a, b] = [at(first), at(last)];
    return { rect: [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])].map((v) => rounded(v)) as [number, number, number, number] };
  }
  const xs = path.map((p) => p[0]);
  const ys = path.map((p) => p[1]);
  if (Math.max(...xs) - Math.min(...xs) < LEAST || Math.max(...ys) - Math.min(...ys) < LEAST) return null;
  // Two pixels of error are invisible, and the path has to fit into the address.
  const corners = simplified(path, 2).map(at);
  return corners.length < 3 ? null : { polygon: corners };
}

export const svgPath = (points: readonly Point[]): string =>
  points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** Where each pointer that is down was last; two of them pinch. */
export const fingers = (): Map<number, Point> => new Map();
