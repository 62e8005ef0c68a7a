// The check panel as a widget of its own: everything it draws is in its state.

export default {
  render({ model, el }) {
    const host = make("div", { class: "morelli" });
    el.append(host);
    const unfollow = followTheme(host, el, () => undefined);
    const choose = (dimension) => {
      model.set("dimension", dimension);
      model.save_changes();
      show(dimension);
    };
    const shown = Object.fromEntries(["case", "picture", "maps", "grid", "logit_map"].map((name) => [name, model.get(name)]));
    const show = drawPanel(host, shown, model.get("dimension"), choose);
    const changed = () => show(model.get("dimension"));
    model.on("change:dimension", changed);
    return () => {
      model.off("change:dimension", changed);
      unfollow();
    };
  },
};
