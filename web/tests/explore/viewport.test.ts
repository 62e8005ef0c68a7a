import { describe, expect, it } from "vitest";

import { CELL, around, clamped, decodeViewport, encodeViewport, fit, levelFor, limits, panned, snapped, toLayout, toScreen, visibleCells, zoomed } from "../../src/explore/model/viewport";

const size = { width: 900, height: 700 };
const levels = { min: 0, max: 9 };

describe("the camera", () => {
  it("takes places to the screen and back", () => {
    const view = { x: 0.3, y: 0.7, scale: 2000 };
    const [px, py] = toScreen(view, size, 0.31, 0.68);
    const [x, y] = toLayout(view, size, px, py);
    expect(x).toBeCloseTo(0.31, 12);
    expect(y).toBeCloseTo(0.68, 12);
  });

  it("zooms about the pointer", () => {
    const view = fit(size);
    const before = toLayout(view, size, 200, 300);
    const after = toLayout(zoomed(view, size, 200, 300, 3, limits(size, levels)), size, 200, 300);
    expect(after[0]).toBeCloseTo(before[0], 10);
    expect(after[1]).toBeCloseTo(before[1], 10);
  });

  it("moves the map with the pointer", () => {
    const view = fit(size);
    const [x] = toLayout(view, size, 100, 100);
    expect(toLayout(panned(view, 50, 0), size, 150, 100)[0]).toBeCloseTo(x, 12);
  });

  it("never lets the map leave the screen", () => {
    const far = clamped({ x: 40, y: -7, scale: fit(size).scale * 8 }, size);
    const [x0, y0, x1, y1] = visibleCells(far, size, 4);
    expect(x1 - x0).toBeGreaterThan(0);
    expect(y1 - y0).toBeGreaterThan(0);
  });

  it("shows cells of the wanted size first, and larger ones further in", () => {
    const whole = fit(size);
    const side = (scale: number): number => scale / 2 ** levelFor({ ...whole, scale }, size, levels);
    expect(side(whole.scale)).toBeGreaterThan(CELL / Math.SQRT2 - 1);
    expect(side(whole.scale)).toBeLessThan(CELL * Math.SQRT2 + 1);
    // Within a factor of 40 every form of the glyph has been on the screen.
    expect(side(whole.scale * 40)).toBeGreaterThan(90);
    let last = 0;
    for (let zoom = 1; zoom < 5000; zoom *= 1.1) {
      const level = levelFor({ ...whole, scale: whole.scale * zoom }, size, levels);
      expect(level).toBeGreaterThanOrEqual(last);
      last = level;
    }
    expect(last).toBe(levels.max);
  });

  it("rests on whole device pixels, hardly moved", () => {
    for (const ratio of [1, 1.5, 2]) {
      const view = { x: 0.4123, y: 0.5871, scale: 1234.5 };
      const level = levelFor(view, size, levels);
      const rest = snapped(view, size, level, ratio);
      const cell = (rest.scale / 2 ** level) * ratio;
      expect(cell).toBeCloseTo(Math.round(cell), 9);
      const [left] = toScreen(rest, size, 0, 0);
      expect(left * ratio).toBeCloseTo(Math.round(left * ratio), 6);
      expect(Math.abs(rest.scale / view.scale - 1)).toBeLessThan(0.03);
      expect(Math.abs(rest.x - view.x) * rest.scale).toBeLessThan(1);
    }
  });

  it("shows the same region of another window", () => {
    const view = { x: 0.25, y: 0.75, scale: fit(size).scale * 3 };
    const text = encodeViewport(view, size);
    const other = decodeViewport(text, { width: 1800, height: 1400 });
    expect(other.x).toBeCloseTo(0.25, 4);
    expect(other.scale / fit({ width: 1800, height: 1400 }).scale).toBeCloseTo(3, 2);
    expect(decodeViewport("nonsense", size)).toEqual(fit(size));
    expect(decodeViewport("0.5,0.5,-2", size)).toEqual(fit(size));
  });

  it("can show a box whole", () => {
    const view = around([0.2, 0.2, 0.3, 0.6], size, limits(size, levels));
    const [x0, y0] = toScreen(view, size, 0.2, 0.2);
    const [x1, y1] = toScreen(view, size, 0.3, 0.6);
    expect(Math.min(x0, y0)).toBeGreaterThanOrEqual(0);
    expect(x1).toBeLessThanOrEqual(size.width);
    expect(y1).toBeLessThanOrEqual(size.height);
  });
});
