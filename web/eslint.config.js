import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";

import svelteConfig from "./svelte.config.js";

export default ts.config(
  { ignores: ["node_modules/", "../src/"] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser } } },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: {
      parserOptions: { parser: ts.parser, extraFileExtensions: [".svelte"], svelteConfig },
    },
  },
  {
    files: ["*.config.*"],
    languageOptions: { globals: { ...globals.node } },
  },
  {
    rules: {
      eqeqeq: "error",
      "no-console": "error",
      // The compiler checks undefined names, types included.
      "no-undef": "off",
      // Links within the app are hashes; there is no router whose resolve() could be called.
      "svelte/no-navigation-without-resolve": "off",
    },
  },
);
