import { describe, expect, it } from "vitest";

import { inPolygon, simplified } from "../../src/explore/model/geometry";
import type { Point } from "../../src/explore/model/spec";
import { region, toolOf } from "../../src/explore/overview/tools";
import { fit, toScreen } from "../../src/explore/model/viewport";

const circle = (n: number, r = 100): Point[] =>
  Array.from({ length: n }, (_, i) => [200 + r * Math.cos((2 * Math.PI * i) / n), 200 + r * Math.sin((2 * Math.PI * i) / n)]);

describe("a lasso", () => {
  it("encloses what a ray says, concave parts too", () => {
    const u: Point[] = [[0, 0], [3, 0], [3, 3], [2, 3], [2, 1], [1, 1], [1, 3], [0, 3]];
    expect(inPolygon(u, 0.5, 2)).toBe(true);
    expect(inPolygon(u, 1.5, 2)).toBe(false);
    expect(inPolygon(u, 4, 2)).toBe(false);
  });

  it("becomes short enough for an address without moving", () => {
    const path = circle(2000);
    const short = simplified(path, 2);
    expect(short.length).toBeLessThan(40);
    for (const [x, y] of path) {
      const near = Math.hypot(x - 200, y - 200);
      expect(near).toBeCloseTo(100, 6);
      if (inPolygon(short, 200 + (x - 200) * 0.95, 200 + (y - 200) * 0.95)) continue;
      throw new Error(`the simplified lasso lost (${x}, ${y})`);
    }
  });

  it("is in layout coordinates, and nothing when the pointer hardly moved", () => {
    const size = { width: 800, height: 600 };
    const view = fit(size);
    const clause = region("lasso", circle(50), view, size);
    if (!clause || !("polygon" in clause)) throw new Error("no polygon");
    for (const [x, y] of clause.polygon) {
      const [px, py] = toScreen(view, size, x, y);
      expect(Math.hypot(px - 200, py - 200)).toBeCloseTo(100, 0);
    }
    expect(region("lasso", circle(50, 2), view, size)).toBeNull();
    expect(region("rectangle", [[10, 10], [12, 300]], view, size)).toBeNull();
  });

  it("is drawn from any corner", () => {
    const size = { width: 800, height: 600 };
    const view = fit(size);
    expect(region("rectangle", [[300, 300], [100, 100]], view, size)).toEqual(region("rectangle", [[100, 100], [300, 300]], view, size));
  });

  it("can be had with a key held", () => {
    expect(toolOf("move", { shiftKey: true, altKey: false })).toBe("rectangle");
    expect(toolOf("move", { shiftKey: false, altKey: true })).toBe("lasso");
    expect(toolOf("lasso", { shiftKey: true, altKey: false })).toBe("lasso");
  });
});
