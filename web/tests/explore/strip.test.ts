import { describe, expect, it } from "vitest";

import { portrait } from "../../src/explore/glyph/form";
import { type Context, paintLarge } from "../../src/explore/glyph/picture";
import { css, makeStyle } from "../../src/explore/glyph/style";
import { tile } from "./atlas";

/** What a glyph fills: every rectangle with its colour, in the order in which they are drawn. */
function filled(side: number): { colour: string; x: number; y: number; w: number; h: number }[] {
  const found: { colour: string; x: number; y: number; w: number; h: number }[] = [];
  const pen = {
    fillStyle: "",
    fillRect: (x: number, y: number, w: number, h: number) => found.push({ colour: pen.fillStyle, x, y, w, h }),
    clearRect: () => undefined,
    fillText: () => undefined,
    strokeRect: () => undefined,
    setLineDash: () => undefined,
    drawImage: () => undefined,
    measureText: () => ({ width: 10 }),
  };
  const impact = Array.from({ length: 16 }, (_, k) => (k - 7.5) / 7.5);
  const style = makeStyle({ dark: false, by: "signature", weights: impact, off: [], impact: 1, full: () => 100, fullKey: "" });
  const cells = tile(4, [{ cell: 0, impact, exemplars: [1] }]);
  paintLarge(pen as unknown as Context, 0, 0, side, cells, 0, style, { get: () => undefined, known: () => undefined }, 1);
  const { strip } = portrait(side, 1);
  const paper = css(style.paper);
  return found.filter((one) => one.x >= strip.x && one.y < strip.y + strip.h && one.colour !== paper);
}

describe("the signature beside a picture", () => {
  it.each([44, 60, 81, 110, 129])("fills its strip at %i px, so that every dimension can be told from its neighbours", (side) => {
    const { strip } = portrait(side, 1);
    const marks = filled(side);
    expect(marks.length).toBe(16);
    for (const mark of marks) {
      expect(mark.w).toBe(strip.w);
      expect(mark.h).toBeGreaterThanOrEqual(1);
    }
    expect(new Set(marks.map((mark) => mark.colour)).size).toBeGreaterThan(10);
  });

  it.each([150, 200])("is bars to both sides of a line at %i px, the longest of them half of the strip", (side) => {
    const { strip } = portrait(side, 1);
    const marks = filled(side).filter((mark) => mark.h < strip.h);
    expect(Math.max(...marks.map((mark) => mark.w))).toBeCloseTo(strip.w / 2, 0);
    expect(new Set(marks.map((mark) => mark.x)).size).toBeGreaterThan(5);
  });
});
