// The map of cells: camera, tiles, glyphs, and how a person points at cells.

const TILE = 32;
const SMALLEST = 24; // pixels of a cell: below this a coarser level is drawn
const PICTURE = 58; // pixels from which a cell of the finest level shows its most typical image

class CellMap {
  /** `ask(kind, parameters)` gives a promise of an answer; `events`: select(ids, level, how), hover(sentence). */
  constructor(canvas, info, ask, events) {
    Object.assign(this, { canvas, info, ask, events });
    this.context = canvas.getContext("2d");
    this.dark = false;
    this.colour = "signature";
    this.tool = "pan";
    this.key = "";
    this.tiles = new Map();
    this.pictures = new Map();
    this.wanted = new Set();
    this.drawn = 0;
    this.cursor = null;
    this.shape = null;
    this.fit();
    const k = info.dimensions;
    this.grid = Math.ceil(Math.sqrt(k));
    const line = info.weights.map((_, d) => d).sort((a, b) => info.weights[a] - info.weights[b]);
    // Along a snake from real to generated, the same in all cells: neighbours in the order touch.
    this.order = line.map((d, place) => {
      const row = Math.floor(place / this.grid);
      const column = place % this.grid;
      return { d, row, column: row % 2 ? this.grid - 1 - column : column };
    });
    this.listen();
  }

  fit() {
    this.x = this.y = 0.5;
    this.zoom = 1;
    this.redraw();
  }

  get side() {
    return Math.min(this.canvas.clientWidth, this.canvas.clientHeight) * this.zoom * 0.97;
  }

  get level() {
    return Math.max(0, Math.min(this.info.levels, Math.floor(Math.log2(this.side / SMALLEST))));
  }

  toScreen(u, v) {
    return [this.canvas.clientWidth / 2 + (u - this.x) * this.side, this.canvas.clientHeight / 2 + (v - this.y) * this.side];
  }

  toMap(px, py) {
    return [(px - this.canvas.clientWidth / 2) / this.side + this.x, (py - this.canvas.clientHeight / 2) / this.side + this.y];
  }

  zoomBy(factor, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    const [u, v] = this.toMap(px, py);
    this.zoom = Math.min(2 ** this.info.levels * 1.2, Math.max(1, this.zoom * factor));
    const [nx, ny] = this.toMap(px, py);
    this.move(u - nx, v - ny);
  }

  move(du, dv) {
    const clamp = (value) => Math.min(1, Math.max(0, value));
    [this.x, this.y] = [clamp(this.x + du), clamp(this.y + dv)];
    this.redraw();
  }

  /** Another selection, another colouring: what is drawn stays until the new figures are there. */
  changed(key) {
    this.key = key;
    this.redraw();
  }

  redraw() {
    if (this.pending || !this.canvas.isConnected) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.draw();
    });
  }

  /** Tiles of a level that the window touches. */
  visible(level) {
    const tiles = Math.max(1, 2 ** level / TILE);
    const [u0, v0] = this.toMap(0, 0);
    const [u1, v1] = this.toMap(this.canvas.clientWidth, this.canvas.clientHeight);
    const range = (a, b) => {
      const first = Math.max(0, Math.floor(a * tiles));
      return Array.from({ length: Math.max(0, Math.min(tiles - 1, Math.floor(b * tiles)) - first + 1) }, (_, i) => first + i);
    };
    return range(v0, v1).flatMap((ty) => range(u0, u1).map((tx) => ({ level, tx, ty })));
  }

  tile({ level, tx, ty }) {
    const name = `${level}/${tx}/${ty}`;
    const known = this.tiles.get(name);
    if (known?.key !== this.key && known?.asked !== this.key) {
      const entry = { ...known, asked: this.key };
      this.tiles.set(name, entry);
      this.ask("tile", { level, tx, ty }).then(
        (answer) => {
          this.tiles.delete(name);
          this.tiles.set(name, { key: answer.key, asked: answer.key, cells: cellsOf(answer) });
          while (this.tiles.size > 400) this.tiles.delete(this.tiles.keys().next().value);
          this.redraw();
        },
        () => { entry.asked = null; },
      );
    }
    return this.tiles.get(name)?.cells ?? null;
  }

  /** Draw `todo(cells, i, x, y, side)` for the cells of a level that are there and in sight. */
  each(level, todo) {
    const side = this.side / 2 ** level;
    let complete = true;
    for (const place of this.visible(level)) {
      const cells = this.tile(place);
      if (!cells) {
        complete = false;
        continue;
      }
      for (let i = 0; i < cells.n; i++) {
        const [px, py] = this.toScreen(cells.ix[i] / 2 ** level, cells.iy[i] / 2 ** level);
        if (px + side < 0 || py + side < 0 || px > this.canvas.clientWidth || py > this.canvas.clientHeight) continue;
        todo(cells, i, px, py, side);
      }
    }
    return complete;
  }

  draw() {
    const { canvas, context } = this;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      [canvas.width, canvas.height] = [Math.round(w * ratio), Math.round(h * ratio)];
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const ink = INKS[this.dark ? "dark" : "light"];
    context.fillStyle = ink.paper;
    context.fillRect(0, 0, w, h);
    const level = this.level;
    // While a level is on its way, the one that was drawn last stays under it.
    const ready = this.visible(level).every((place) => this.tiles.get(`${level}/${place.tx}/${place.ty}`)?.cells);
    if (!ready) this.each(this.drawn, (...cell) => this.glyph(ink, ...cell));
    const full = this.impactScale(level);
    this.full = full || this.full || 1;
    if (this.each(level, (...cell) => this.glyph(ink, ...cell))) this.drawn = level;
    this.drawShape(ink);
    this.fetchPictures();
    canvas.dataset.drawn = String(ready);
  }

  /** The impact whose tone is full: the 98th percentile of what is in sight. */
  impactScale(level) {
    const found = [];
    this.each(level, (cells, i) => {
      for (let k = 0; k < cells.dimensions; k++) found.push(Math.abs(cells.impact[i * cells.dimensions + k]));
    });
    found.sort((a, b) => a - b);
    return found[Math.floor((found.length - 1) * 0.98)] ?? 0;
  }

  glyph(ink, cells, i, px, py, side) {
    const { context } = this;
    const gap = Math.max(1, side * 0.06);
    const [x, y, s] = [px + gap / 2, py + gap / 2, side - gap];
    const strong = cells.count[i] ? (cells.selected[i] ? 0.35 + (0.65 * cells.selected[i]) / cells.count[i] : 0) : 0;
    const grey = rgbOf(ink.muted);
    const fill = (t) => { context.fillStyle = cssOf(mixed(grey, tone(t, this.dark), strong)); };
    const bar = Math.max(2, s * 0.08);
    const high = s - bar - 1;
    const finest = this.level === this.info.levels && side >= PICTURE;
    if (finest && cells.exemplar[i] >= 0) {
      const picture = this.pictures.get(cells.exemplar[i]);
      if (picture === undefined) this.wanted.add(cells.exemplar[i]);
      context.fillStyle = ink.muted;
      context.fillRect(x, y, s, high);
      context.globalAlpha = strong ? 1 : 0.25;
      if (picture) context.drawImage(picture, x, y, s, high);
      context.globalAlpha = 1;
    }
    const strip = finest ? Math.max(6, s * 0.14) : s;
    const [wide, left] = [strip, x + s - strip];
    if (this.colour === "signature") {
      const [columns, rows] = finest ? [1, this.order.length] : [this.grid, this.order.at(-1).row + 1];
      this.order.forEach(({ d, row, column }, place) => {
        fill(impactTone(cells.impact[i * cells.dimensions + d], this.full));
        const [c, r] = finest ? [0, place] : [column, row];
        const [x0, y0] = [left + (c * wide) / columns, y + (r * high) / rows];
        context.fillRect(x0, y0, wide / columns + 0.3, high / rows + 0.3);
      });
    } else {
      const known = Math.max(1, cells.real[i] + cells.fake[i]);
      const t = this.colour === "probability"
        ? 2 * cells.probability[i] - 1
        : this.colour === "label"
          ? (cells.fake[i] - cells.real[i]) / known
          : (cells.fp[i] - cells.fn[i]) / known;
      fill(t);
      const own = finest ? 1 : Math.sqrt(Math.max(0.15, Math.min(1, Math.log2(1 + cells.count[i]) / 10)));
      context.fillRect(left + (wide * (1 - own)) / 2, y + (high * (1 - own)) / 2, wide * own, high * own);
    }
    // Class mix below, wrong verdicts as a dot: a mark, not a hue.
    const shown = Math.max(1, cells.selected[i]);
    const [real, fake] = [(s * cells.real[i]) / shown, (s * cells.fake[i]) / shown];
    const colours = strong ? [ink.real, ink.fake, ink.unknown] : [ink.muted, ink.muted, ink.muted];
    [[0, real], [real, real + fake], [real + fake, s]].forEach(([from, to], part) => {
      context.fillStyle = colours[part];
      if (to > from) context.fillRect(x + from, y + high + 1, to - from, bar);
    });
    const wrong = (cells.fp[i] + cells.fn[i]) / shown;
    if (wrong > 0 && strong) {
      const radius = Math.max(1.6, s * 0.2 * Math.sqrt(wrong));
      const [cx, cy] = [x + s - s * 0.17, y + s * 0.17];
      for (const [colour, r] of [[ink.paper, radius + 1.2], [ink.ink, radius]]) {
        context.fillStyle = colour;
        context.beginPath();
        context.arc(cx, cy, r, 0, 7);
        context.fill();
      }
    }
    if (this.cursor && this.cursor.level === this.levelOf(side) && this.cursor.ix === cells.ix[i] && this.cursor.iy === cells.iy[i]) {
      context.strokeStyle = ink.ink;
      context.lineWidth = 2;
      context.strokeRect(px + 1, py + 1, side - 2, side - 2);
    }
  }

  levelOf(side) {
    return Math.round(Math.log2(this.side / side));
  }

  fetchPictures() {
    const rows = [...this.wanted].slice(0, 120);
    this.wanted.clear();
    if (!rows.length) return;
    for (const row of rows) this.pictures.set(row, null);
    void this.ask("thumbs", { rows }).then(async (answer) => {
      const found = await Promise.all(answer.buffers.map(pictureOf));
      answer.rows.forEach((row, at) => this.pictures.set(row, found[at]));
      while (this.pictures.size > 2000) this.pictures.delete(this.pictures.keys().next().value);
      this.redraw();
    });
  }

  drawShape(ink) {
    if (!this.shape || this.shape.length < 2) return;
    const { context } = this;
    context.beginPath();
    const points = this.tool === "rect" ? corners(this.shape) : this.shape;
    points.forEach(([px, py], i) => (i ? context.lineTo(px, py) : context.moveTo(px, py)));
    context.closePath();
    context.fillStyle = this.dark ? "rgb(138 180 255 / 15%)" : "rgb(31 95 208 / 12%)";
    context.fill();
    context.strokeStyle = this.dark ? "#8ab4ff" : "#1f5fd0";
    context.lineWidth = 1.5;
    context.stroke();
  }

  /** The cell under a point of the canvas: { cells, i } or null. */
  at(px, py) {
    let found = null;
    this.each(this.level, (cells, i, x, y, side) => {
      if (px >= x && px < x + side && py >= y && py < y + side) found = { cells, i };
    });
    return found;
  }

  /** Numbers of the cells whose centre satisfies `inside(x, y)`. */
  cellsWhere(inside) {
    const ids = [];
    this.each(this.level, (cells, i, x, y, side) => {
      if (inside(x + side / 2, y + side / 2)) ids.push(cells.cell[i]);
    });
    return ids;
  }

  listen() {
    const { canvas } = this;
    const here = (event) => [event.offsetX, event.offsetY];
    const how = (event) => (event.shiftKey ? "add" : event.altKey ? "remove" : "replace");
    let last = null;
    let moved = 0;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      last = here(event);
      moved = 0;
      this.shape = this.tool === "pan" ? null : [last];
    });
    canvas.addEventListener("pointermove", (event) => {
      const point = here(event);
      if (!last) {
        const found = this.at(...point);
        this.events.hover(found ? sentenceOf(found.cells, found.i, this.info) : "");
        return;
      }
      const [dx, dy] = [point[0] - last[0], point[1] - last[1]];
      moved += Math.abs(dx) + Math.abs(dy);
      if (this.tool === "pan") {
        this.move(-dx / this.side, -dy / this.side);
        last = point;
      } else {
        this.shape = this.tool === "rect" ? [this.shape[0], point] : [...this.shape, point];
        last = point;
        this.redraw();
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (!last) return;
      last = null;
      const shape = this.shape;
      this.shape = null;
      if (moved < 4) {
        const found = this.at(...here(event));
        if (found) this.events.select([found.cells.cell[found.i]], this.level, how(event));
        else if (this.tool !== "pan") this.events.select([], this.level, "clear");
      } else if (shape) {
        const points = this.tool === "rect" ? corners(shape) : shape;
        const ids = this.cellsWhere((x, y) => insidePolygon(points, x, y));
        if (ids.length) this.events.select(ids, this.level, how(event));
      }
      this.redraw();
    });
    canvas.addEventListener("pointercancel", () => { last = this.shape = null; this.redraw(); });
    canvas.addEventListener("pointerleave", () => this.events.hover(""));
    canvas.addEventListener("wheel", (event) => {
      // A page that is scrolled past must not zoom: only where the map has the focus, or with Ctrl.
      if (!event.ctrlKey && !event.metaKey && canvas.getRootNode().activeElement !== canvas) return;
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY * 0.002), ...here(event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key_(event));
  }

  key_(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (steps[event.key]) this.step(...steps[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-") this.zoomBy(1 / 1.5);
    else if (event.key === "Home") this.fit();
    else if (event.key === "Escape") this.events.select([], this.level, "clear");
    else if ((event.key === "Enter" || event.key === " ") && this.cursor) {
      const id = this.cursor.iy * 2 ** this.cursor.level + this.cursor.ix;
      this.events.select([id], this.cursor.level, event.shiftKey ? "add" : "replace");
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Move the cursor to the nearest cell in a direction. */
  step(dx, dy) {
    const level = this.level;
    const from = this.cursor?.level === level
      ? this.cursor
      : { ix: Math.floor(this.x * 2 ** level) - dx, iy: Math.floor(this.y * 2 ** level) - dy };
    let best = null;
    this.each(level, (cells, i) => {
      const [ax, ay] = [cells.ix[i] - from.ix, cells.iy[i] - from.iy];
      const along = ax * dx + ay * dy;
      const across = Math.abs(ax * dy) + Math.abs(ay * dx);
      if (along > 0 && (!best || along + 2 * across < best.cost)) best = { cells, i, cost: along + 2 * across };
    });
    if (!best) return;
    this.cursor = { level, ix: best.cells.ix[best.i], iy: best.cells.iy[best.i] };
    this.events.hover(sentenceOf(best.cells, best.i, this.info));
    this.redraw();
  }
}

function cellsOf({ columns, buffers }) {
  const cells = { n: 0, dimensions: 1 };
  columns.forEach(({ name, type, width }, at) => {
    cells[name] = numbers(buffers[at], type === "int32" ? Int32Array : Float32Array);
    if (name === "impact") cells.dimensions = width;
  });
  cells.n = cells.cell.length;
  return cells;
}

const corners = ([[x0, y0], [x1, y1]]) => [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];

function insidePolygon(points, x, y) {
  let inside = false;
  points.forEach(([x1, y1], i) => {
    const [x0, y0] = points[(i + points.length - 1) % points.length];
    if (y1 > y !== y0 > y && x < ((x0 - x1) * (y - y1)) / (y0 - y1) + x1) inside = !inside;
  });
  return inside;
}

/** A cell in a sentence: what stands below the map, and what a screen reader says. */
function sentenceOf(cells, i, info) {
  const known = cells.real[i] + cells.fake[i];
  let text = plural(cells.count[i], "image");
  if (known) text += `, ${percent(cells.fake[i] / known)} generated`;
  let best = 0;
  for (let k = 1; k < cells.dimensions; k++) {
    const at = (d) => Math.abs(cells.impact[i * cells.dimensions + d]);
    if (at(k) > at(best)) best = k;
  }
  const impact = cells.impact[i * cells.dimensions + best];
  if (impact) text += `; ${info.names[best]} speaks loudest, for ${impact > 0 ? "generated" : "real"}`;
  const wrong = cells.fp[i] + cells.fn[i];
  if (wrong) text += `. ${plural(wrong, "verdict")} wrong`;
  if (cells.selected[i] < cells.count[i]) text += `. ${thousands(cells.selected[i])} of them selected`;
  return `${text}.`;
}
