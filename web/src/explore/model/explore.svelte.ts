/**
 * The state of Explore: read from the address, answered by the server, seen by every view.
 *
 * The address is the only thing that views change (`route.set`); undo is therefore the browser's Back. From it
 * follow the selection's key, the histograms, the prototypes' counts and the tiles.
 */
import { api, cancelled } from "../../api/client";
import type { Found, SearchQuery } from "../../api/generated";
import { announcer } from "../../state/announce.svelte";
import { route } from "../../state/route.svelte";
import { type ColourBy, columnOf, parseColourBy } from "../glyph/style";
import type { Pages } from "../images/pages.svelte";
import { AtlasApi, type ColumnView, type Counts, type Dimension, type Info, type Prototype, type Rescored, type Selected } from "./api";
import { type Find, type Pane, clampDetail, parseFind, parseAgainst, parseDrawn, parseLabels, parseOff, parseOverlay, parsePane, parseRow, parseRows, parseSort } from "./params";
import { Pictures } from "./pictures.svelte";
import { type Names, type Spec, decodeSpec, encodeSpec } from "./spec";
import type { Source } from "./tiles";

export class Explore {
  readonly api: AtlasApi;
  /** Thumbnails of the gallery, fetched a sheet at a time. */
  readonly pictures: Pictures;
  info = $state.raw<Info | null>(null);
  selected = $state.raw<Selected | null>(null);
  dimensions = $state.raw<readonly Dimension[]>([]);
  prototypes = $state.raw<readonly Prototype[]>([]);
  /** All columns with their counts, of the selection where somebody looks at those. */
  columns = $state.raw<readonly ColumnView[]>([]);
  /** The side bar of columns is open. */
  sidebar = $state(false);
  /** Selected images among which the prototypes' images were counted; null where no selection was. */
  counted = $state.raw<number | null>(null);
  rescored = $state.raw<Rescored | null>(null);
  /** What went wrong last, until the same thing works again. */
  problem = $state.raw<unknown>(null);
  /** Which request the problem is of; empty where any that works again ends it. */
  #troubled = "";
  /** The gallery's list, which the dialog of an image goes through. */
  gallery = $state.raw<Pages | null>(null);
  /** Requests under way, of all views: the collection on the screen is not yet the one in the address. */
  pending = $state(0);
  /** The same count, for effects that start requests and must not depend on it. */
  #pending = 0;
  /** Rises when people's names, merges or hidings changed on the server. */
  edition = $state(0);

  // Lists and objects are derived from texts: the address changes with every move of the map, and what was parsed
  // from an unchanged part of it must stay the same object, or every effect would run again.
  readonly #sel = $derived(route.params["sel"] ?? "");
  readonly #sort = $derived(route.params["sort"] ?? "");
  readonly #with = $derived(route.params["with"] ?? "");
  readonly #versus = $derived(route.params["vs"] ?? "");
  readonly spec = $derived(decodeSpec(this.#sel));
  readonly specText = $derived(encodeSpec(this.spec));
  readonly #offText = $derived(parseOff(route.params["off"] ?? "", this.info?.dimensions ?? 0).join(","));
  readonly off = $derived(this.#offText ? this.#offText.split(",").map(Number) : []);
  readonly by = $derived<ColourBy>(parseColourBy(route.params["by"], this.info?.dimensions ?? 0));
  /** The column that the map is coloured by, once it is known. */
  readonly byColumn = $derived(this.columns.find((one) => one.name === columnOf(this.by)) ?? null);
  readonly detail = $derived(clampDetail(Number(route.params["detail"] ?? 0)));
  readonly #find = $derived(route.params["find"] ?? "");
  readonly find = $derived(parseFind(this.#find));
  /** The server's answer to what is looked for, while it belongs to it. */
  found = $state.raw<{ readonly of: string; readonly answer: Found } | null>(null);
  readonly sort = $derived(this.find && this.found?.of === this.#find ? { by: `near:${this.found.answer.id}`, descending: true } : parseSort(this.#sort));
  readonly drawn = $derived(parseDrawn(route.params["draw"]));
  readonly labels = $derived(parseLabels(route.params["labels"]));
  readonly image = $derived(parseRow(route.params["image"], this.info?.images ?? 0));
  /** The pattern whose page is open. */
  readonly pattern = $derived(parseRow(route.params["pattern"], this.info?.prototypes ?? 0));
  /** Is the page of near-duplicates open? */
  readonly copies = $derived(route.params["copies"] === "1");
  readonly compared = $derived(parseRows(this.#with, this.info?.images ?? 0));
  readonly overlay = $derived(parseOverlay(route.params["map"], this.info?.dimensions ?? 0));
  readonly against = $derived(parseAgainst(this.#versus || undefined));
  readonly whole = $derived(parsePane(route.params["pane"]));

  /** Count of edits of what a selection by tag holds, for views that keep answers. */
  get held(): number {
    return this.#held;
  }

  /** Key of the selection that the views show, null for all images; undefined until the server has said it. */
  readonly key = $derived<string | null | undefined>(
    this.specText === "" ? null : this.selected && encodeSpec(this.selected.spec) === this.specText ? this.selected.key : undefined,
  );
  /** Counts with dimensions switched off, where some are. */
  rejudged = $state.raw<Counts | null>(null);
  readonly counts = $derived<Counts | null>(
    this.off.length && this.rejudged ? this.rejudged : this.key === null ? (this.info?.counts ?? null) : this.selected,
  );
  readonly busy = $derived(this.pending > 0 || (!this.problem && (this.key === undefined || this.info === null)));

  /** Rises when what the selection holds may have changed although its text did not. */
  readonly #held = $derived(this.specText.includes('"tag"') ? this.edition : 0);

  readonly names: Names = {
    dimension: (k) => this.dimensions[k]?.name ?? this.info?.names[k] ?? `D${k + 1}`,
    prototype: (id) => this.prototypes.find((prototype) => prototype.id === id)?.name || `pattern ${id}`,
  };

  /** Tiles of the selection, or undefined while its key is not known; the last ones stay on the screen. */
  readonly source = $derived.by<Source | undefined>(() => {
    const { key } = this;
    const { off } = this;
    if (key === undefined) return undefined;
    const columns = this.#asked ? this.#asked.split("\n") : [];
    return {
      key: `${this.api.name}|${key ?? ""}|${off.join(".")}|${this.#held}|${this.#asked}${columns.includes("tag") ? this.edition : ""}`,
      load: (level, tx, ty, signal) => this.during(this.api.tile(level, tx, ty, key, off, signal, columns)),
    };
  });
  /** Columns that the cells are asked for. A column that the atlas does not have is no reason for an empty map. */
  readonly #asked = $derived(
    [this.byColumn?.name ?? "", this.labels === "tags" && this.byColumn?.name !== "tag" ? "tag" : ""].filter(Boolean).join("\n"),
  );

  constructor(name: string) {
    this.api = new AtlasApi(name);
    this.pictures = new Pictures((rows) => this.api.thumbnails(rows));
  }

  /** Follow the address. Call while a component is being set up: the effects end with it. */
  follow(): void {
    $effect(() => this.#load("info", (signal) => this.api.info(signal), (info) => (this.info = info)));
    $effect(() => {
      if (this.specText === "") {
        this.selected = null;
        this.#solved("selection");
        return undefined;
      }
      const spec = this.spec;
      void this.#held;
      return this.#load("selection", (signal) => this.api.select(spec, signal), (selected) => {
        // The address's own text, so that another spelling by the server does not look like another selection.
        this.selected = { ...selected, spec };
        announcer.say(`${selected.count.toLocaleString("en")} images selected`);
      });
    });
    $effect(() => {
      // Counts of the selection are for whoever looks at them: the side bar, and the legend of categories.
      const key = this.sidebar || !["signature", "score", "uncertainty"].includes(this.by) ? this.key : null;
      void this.edition;
      if (key === undefined || !this.info) return undefined;
      return this.#load("columns", (signal) => this.api.columns(key, signal), (found) => (this.columns = found));
    });
    $effect(() => {
      const { key, off } = this;
      void this.edition;
      if (key === undefined || !this.info) return undefined;
      return this.#load("dimensions", (signal) => this.api.dimensions(key, off, signal), (found) => (this.dimensions = found));
    });
    $effect(() => {
      const { key } = this;
      void this.edition;
      if (key === undefined || !this.info) return undefined;
      return this.#load("prototypes", (signal) => this.api.prototypes(key, signal), (found) => {
        this.prototypes = found;
        this.counted = key === null ? null : (this.selected?.count ?? null);
      });
    });
    $effect(() => {
      const { find } = this;
      const of = this.#find;
      if (!find) {
        this.found = null;
        return undefined;
      }
      const query = "case" in find ? { case: find.case } : find;
      return this.#load("search", (signal) => this.api.search(query as SearchQuery, signal), (answer) => {
        this.found = { of, answer };
        announcer.say(`Images in the order of likeness. ${answer.note}`);
      });
    });
    $effect(() => {
      const { key, off } = this;
      if (key === undefined || !off.length) {
        this.rejudged = null;
        return undefined;
      }
      return this.#load("counts", (signal) => this.api.counts(key, off, signal), (found) => (this.rejudged = found));
    });
    $effect(() => {
      const { off } = this;
      if (!off.length) {
        this.rescored = null;
        return undefined;
      }
      return this.#load("rescore", (signal) => this.api.rescore(off, signal), (found) => (this.rescored = found));
    });
  }

  /** Count a request among those under way. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.pending = ++this.#pending;
    try {
      return await work;
    } finally {
      this.pending = --this.#pending;
    }
  }

  #load<T>(name: string, start: (signal: AbortSignal) => Promise<T>, done: (found: T) => void): () => void {
    const controller = new AbortController();
    void this.during(start(controller.signal)).then(
      (found) => {
        if (controller.signal.aborted) return;
        this.#solved(name);
        done(found);
      },
      (error: unknown) => {
        if (!controller.signal.aborted) this.fail(error, name);
      },
    );
    return () => controller.abort();
  }

  fail(error: unknown, name = ""): void {
    if (cancelled(error)) return;
    this.#troubled = name;
    this.problem = error;
  }

  #solved(name: string): void {
    if (this.#troubled === "" || this.#troubled === name) this.problem = null;
  }

  // What views do. Each is one step in the history.

  select(spec: Spec): void {
    route.set({ sel: encodeSpec(spec) });
  }

  clear(): void {
    route.set({ sel: null });
  }

  toggleDimension(k: number): void {
    const off = this.off.includes(k) ? this.off.filter((other) => other !== k) : [...this.off, k];
    route.set({ off: off.sort((a, b) => a - b).join(",") });
  }

  colour(by: ColourBy): void {
    route.set({ by: by === "signature" ? null : by });
  }

  open(row: number | null): void {
    route.set({ image: row === null ? null : String(row) });
  }

  /** Order the images by likeness to something; null for no search. */
  lookFor(find: Find | null): void {
    route.set({ find: find === null ? null : JSON.stringify(find), image: null });
  }

  /** Send a picture to the server, which forgets it after a while, and look for images like it. */
  async lookLike(file: File): Promise<boolean> {
    try {
      const [found] = (await this.during(api.detect([file]))).cases;
      if (found) this.lookFor({ case: found.id, name: file.name });
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  openPattern(id: number | null): void {
    route.set({ pattern: id === null ? null : String(id) });
  }

  openCopies(open: boolean): void {
    route.set({ copies: open ? "1" : null });
  }

  setSort(sort: string, descending: boolean): void {
    route.set({ find: null, sort: sort === "row" && !descending ? null : `${descending ? "-" : ""}${sort}` });
  }

  maximise(pane: Pane): void {
    route.set({ pane: this.whole === pane ? null : pane });
  }

  /** Send an edit and show what the server then has. */
  async edit(work: Promise<unknown>, message: string): Promise<boolean> {
    try {
      await this.during(work);
      this.#solved("");
      this.edition++;
      this.api.forget();
      announcer.say(message);
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  async reloadInfo(): Promise<void> {
    try {
      this.info = await this.during(this.api.info(new AbortController().signal));
    } catch (error) {
      this.fail(error);
    }
  }
}
