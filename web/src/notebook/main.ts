/** The page inside the widget. Whoever makes it puts `morelli` on its window first. */
import { mount } from "svelte";

import { reachBy } from "../api/client";
import { encodeSpec } from "../explore/model/spec";
import { route } from "../state/route.svelte";
import "../theme/base.css";
import "../theme/tokens.css";
import { answered, type Host, specOf } from "./host";
import Notebook from "./Notebook.svelte";
import { KernelPictures } from "./pictures.svelte";

declare global {
  interface Window {
    morelli?: Host;
  }
}

const host = window.morelli;
const target = document.getElementById("app");
if (host && target) {
  const pictures = new KernelPictures((address) => answered(host, address, {}));
  reachBy({ fetch: (address, init) => answered(host, address, init), picture: pictures.address, embedded: true });
  const { selection, colour } = host.state();
  const params: Record<string, string> = { sel: encodeSpec(specOf(selection)), by: colour };
  route.startAt({ place: "explore", subject: host.atlas, params });
  mount(Notebook, { target, props: { host } });
}
