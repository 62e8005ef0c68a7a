import { mount } from "svelte";

import App from "./app/App.svelte";
import { route } from "./state/route.svelte";
import "./theme/fonts.css";
import "./theme/base.css";
import { theme } from "./theme/theme.svelte";
import "./theme/tokens.css";

theme.start();
route.start();

const target = document.getElementById("app");
if (target) mount(App, { target });
