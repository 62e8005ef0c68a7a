/** Gathers the licences of everything that ends up in the built app into one file beside it, as they demand. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import type { Plugin } from "vite";

const PACKAGE = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/;
/** In the app, but not as a module that the bundler reports. */
const FILES_ONLY = ["@fontsource-variable/inter"];

/** `more`: packages in the result that are no modules. */
export function licences(more: readonly string[] = FILES_ONLY): Plugin {
  return {
    name: "morelli-licences",
    generateBundle(_, bundle) {
      const folders = new Map(more.map((name) => [name, join("node_modules", name)]));
      for (const chunk of Object.values(bundle)) {
        for (const id of chunk.type === "chunk" ? chunk.moduleIds : []) {
          const [folder, name] = PACKAGE.exec(id) ?? [];
          if (folder && name) folders.set(name, folder.replace(/^\0/, ""));
        }
      }
      const texts = [...folders].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, folder]) => text(name, folder));
      this.emitFile({ type: "asset", fileName: "licences.txt", source: texts.join(`\n${"-".repeat(79)}\n\n`) });
    },
  };
}

function text(name: string, folder: string): string {
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, string>;
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (!file) throw new Error(`${name} comes without a licence text; the app may not be shipped with it.`);
  return `${name} ${version ?? ""} (${license ?? "see below"})\n\n${readFileSync(join(folder, file), "utf8")}`;
}
