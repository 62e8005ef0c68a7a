import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

import { licences } from "./licences.ts";

// `npm run dev` shows the app from Vite and takes data from a `morelli serve` that runs beside it.
const server = process.env["MORELLI_SERVER"] ?? "http://127.0.0.1:8017";

export default defineConfig({
  // Relative, so that the app also works behind a path prefix.
  base: "./",
  plugins: [svelte(), licences()],
  build: {
    outDir: "../src/morelli/server/static",
    emptyOutDir: true,
    target: ["es2022", "chrome123", "firefox120", "safari17.5"],
    // Small files stay files: a data: address would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": server } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
