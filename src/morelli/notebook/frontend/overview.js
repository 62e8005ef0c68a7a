// The overview as a widget: the app's views of one atlas in a frame, whose requests are messages to the kernel.

/** Requests to the kernel, each with a promise of its answer. */
function asking(model) {
  const waiting = new Map();
  let last = 0;
  const heard = (content, buffers) => {
    const question = waiting.get(content.id);
    if (!question) return; // another view of the same widget asked
    waiting.delete(content.id);
    const [body = new DataView(new ArrayBuffer(0))] = buffers ?? [];
    question({ status: content.status, headers: content.headers, body: numbers(body, Uint8Array) });
  };
  model.on("msg:custom", heard);
  const name = Math.random().toString(36).slice(2);
  const request = (method, address, body) => new Promise((resolve) => {
    const id = `${name}-${++last}`;
    waiting.set(id, resolve);
    model.send({ id, method, address, body });
  });
  return { request, stop: () => model.off("msg:custom", heard) };
}

export default {
  render({ model, el }) {
    const { request, stop } = asking(model);
    const host = make("div", { class: "morelli overview" });
    const frame = make("iframe", { title: `Overview of ${model.get("name")}` });
    const themed = new Set();
    let dark = false;
    host.append(frame);
    el.append(host);
    const followed = new Set();
    const tell = () => followed.forEach((changed) => changed());
    const member = (set, one) => {
      set.add(one);
      return () => set.delete(one);
    };
    // In a frame the views have a width, keys and styles of their own, whatever the notebook does with its page.
    frame.srcdoc = "<!doctype html><html lang=en><meta charset=utf-8><title>Morelli</title><body><div id=app></div>";
    // A notebook that moves a cell, or takes it out of the page while it is out of sight, loads its frame again.
    frame.addEventListener("load", () => {
      const page = frame.contentWindow;
      if (!page?.document.getElementById("app")) return; // the empty document before the views' own
      followed.clear();
      themed.clear();
      page.morelli = {
        atlas: model.get("name"),
        request,
        state: () => ({ selection: model.get("selection"), colour: model.get("colour") }),
        change: (change) => {
          for (const [name, value] of Object.entries(change)) model.set(name, value);
          model.save_changes();
        },
        follow: (changed) => member(followed, changed),
        theme: (shown) => {
          shown(dark);
          return member(themed, shown);
        },
      };
      const look = page.document.createElement("style");
      look.textContent = model.get("page_style");
      const code = page.document.createElement("script");
      code.type = "module";
      code.src = URL.createObjectURL(new Blob([model.get("page")], { type: "text/javascript" }));
      code.addEventListener("load", () => URL.revokeObjectURL(code.src));
      page.document.head.append(look, code);
    });
    const sized = () => {
      frame.style.height = `${model.get("height")}px`;
    };
    const listeners = { "change:selection": tell, "change:colour": tell, "change:height": sized };
    for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
    sized();
    const unfollow = followTheme(host, el, (now) => {
      dark = now;
      themed.forEach((shown) => shown(now));
    });
    return () => {
      for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
      unfollow();
      stop();
    };
  },
};
