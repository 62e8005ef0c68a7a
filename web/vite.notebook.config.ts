import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

import { licences } from "./licences.ts";

// The views of one atlas as one script and one style sheet, which the notebook's widget carries to the page.
export default defineConfig({
  plugins: [svelte(), licences([])],
  publicDir: false,
  build: {
    outDir: "../src/morelli/notebook/static",
    emptyOutDir: true,
    target: ["es2022", "chrome123", "firefox120", "safari17.5"],
    cssCodeSplit: false,
    modulePreload: false,
    lib: { entry: "src/notebook/main.ts", formats: ["es"], fileName: () => "atlas.js", cssFileName: "atlas" },
  },
});
