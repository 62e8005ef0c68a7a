// The overview as a widget: the map, the selected images beside it, and one selection that Python shares.

const EVERYTHING = { and: [] };
const COLOURS = { signature: "all dimensions", probability: "probability", label: "label", error: "wrong verdicts" };
const TOOLS = { pan: "move", rect: "rectangle", lasso: "lasso" };

/** Questions to the kernel, each with a promise of its answer. */
function asking(model, trouble) {
  const waiting = new Map();
  let last = 0;
  const heard = (content, buffers) => {
    const question = waiting.get(content.id);
    if (!question) return; // another view of the same widget asked
    waiting.delete(content.id);
    if (content.kind === "problem") {
      trouble(content.text);
      question.reject(new Error(content.text));
    } else question.resolve({ ...content, buffers: buffers ?? [] });
  };
  model.on("msg:custom", heard);
  const name = Math.random().toString(36).slice(2);
  const ask = (kind, parameters) => new Promise((resolve, reject) => {
    const id = `${name}-${++last}`;
    waiting.set(id, { resolve, reject });
    model.send({ ...parameters, kind, id });
  });
  return { ask, stop: () => model.off("msg:custom", heard) };
}

/** What is selected after cells were pointed at. */
function combined(before, ids, level, how) {
  const cells = { cells: { level, ids } };
  if (how === "clear") return EVERYTHING;
  if (how === "add" && JSON.stringify(before) !== JSON.stringify(EVERYTHING)) return { or: [before, cells] };
  if (how === "remove") return { and: [before, { not: cells }] };
  return cells;
}

export default {
  render({ model, el }) {
    const info = model.get("info");
    const status = make("p", { class: "status", "aria-live": "polite" });
    const told = make("p", { class: "trouble", role: "alert", hidden: true });
    const { ask, stop } = asking(model, (text) => { told.textContent = text; told.hidden = false; });
    const canvas = make("canvas", {
      tabindex: 0, role: "application",
      "aria-label": "Map of cells. Arrow keys move, Enter selects, plus and minus zoom, Escape selects everything.",
    });
    const count = make("strong", { class: "count" });
    const side = make("div", { class: "side" });
    const button = (text, title, onclick) => make("button", { title, "aria-label": title, onclick }, text);
    const tools = Object.entries(TOOLS).map(([tool, text]) => make("button", {
      "data-tool": tool, "aria-pressed": tool === "pan", onclick: () => choose(tool),
    }, text));
    const colour = make("select", { "aria-label": "What cells show", onchange: () => { model.set("colour", colour.value); model.save_changes(); } },
      ...Object.entries(COLOURS).map(([name, text]) => make("option", { value: name }, text)));
    const host = make("div", { class: "morelli overview" },
      make("div", { class: "tools" },
        make("strong", {}, info.name), make("span", { class: "group", role: "group", "aria-label": "Tool" }, ...tools),
        make("span", { class: "group" }, button("+", "Zoom in", () => map.zoomBy(1.5)), button("−", "Zoom out", () => map.zoomBy(1 / 1.5)),
          button("fit", "Show the whole map", () => map.fit())),
        colour, count, make("button", { class: "clear", onclick: () => select([], 0, "clear") }, "select all")),
      make("div", { class: "body" }, make("div", { class: "mapside" }, canvas, legend(), status), side), told);
    el.append(host);

    const select = (ids, level, how) => {
      model.set("selection", combined(model.get("selection"), ids, level, how));
      model.save_changes();
    };
    const map = new CellMap(canvas, info, ask, { select, hover: (text) => { status.textContent = text || hint; } });
    const hint = `${plural(info.images, "image")} of ${info.encoder}. Click a cell, or draw with the rectangle or lasso; Shift adds, Alt removes.`;
    const gallery = new Gallery(side, ask);
    const choose = (tool) => {
      map.tool = tool;
      for (const one of tools) one.setAttribute("aria-pressed", String(one.dataset.tool === tool));
      canvas.style.cursor = tool === "pan" ? "grab" : "crosshair";
    };
    const counted = () => {
      const counts = model.get("counts");
      count.textContent = `${thousands(counts.count)} of ${plural(info.images, "image")}`;
      count.title = `${thousands(counts.real)} real, ${thousands(counts.fake)} generated, ${thousands(counts.fp + counts.fn)} wrong verdicts`;
      host.querySelector(".clear").hidden = counts.count === info.images;
      map.changed(counts.key);
      gallery.changed(counts.count);
    };
    const coloured = () => {
      colour.value = map.colour = model.get("colour");
      map.redraw();
    };
    const sized = () => {
      host.style.setProperty("--height", `${model.get("height")}px`);
      map.redraw();
    };
    const listeners = { "change:counts": counted, "change:colour": coloured, "change:height": sized };
    for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
    status.textContent = hint;
    choose("pan");
    sized();
    coloured();
    const unfollow = followTheme(host, el, (dark) => {
      map.dark = dark;
      map.redraw();
    });
    counted();
    return () => {
      for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
      unfollow();
      stop();
    };
  },
};

function legend() {
  return make("p", { class: "legend" },
    make("span", { class: "real" }, "real"), make("span", { class: "ramp", "aria-hidden": "true" }),
    make("span", { class: "fake" }, "generated"),
    make("span", {}, "each little square: one dimension’s mean impact; bar: classes; dot: wrong verdicts; grey: not selected"));
}
