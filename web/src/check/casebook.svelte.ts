/**
 * The pictures that were dropped in this session and what became of each.
 *
 * The server keeps cases in memory for a while only; their ids are remembered with the tab, so that a reload finds
 * those that are still there.
 */
import { api, ApiError, cancelled } from "../api/client";
import type { Case } from "../api/types";

/** Names of files that the server opens and whose pictures it judges one by one. */
export const ARCHIVE = /\.(zip|tar|tar\.gz|tgz|tar\.bz2|tbz2|tar\.xz|txz)$/i;

/** Requests at once: one is judged while the next is sent. */
const AT_ONCE = 2;
const MOST_RETRIES = 120;
/** Seconds; the server's own guess is longer than it often takes. */
const LONGEST_WAIT = 3;
const REMEMBERED = "morelli.cases";
const MOST_REMEMBERED = 200;

export interface Entry {
  readonly key: number;
  readonly name: string;
  /** The archive that it came in, empty for a file of its own. */
  readonly from: string;
  /** Address of the picture as it was dropped; empty for one that was found again. */
  readonly preview: string;
  state: "waiting" | "judging" | "done" | "failed";
  case: Case | null;
  error: unknown;
}

interface Waiting {
  readonly entry: Entry;
  readonly judge: () => Promise<Case>;
}

class CaseBook {
  entries = $state<Entry[]>([]);
  readonly pending = $derived(this.entries.filter((one) => one.state === "waiting" || one.state === "judging").length);

  #waiting: Waiting[] = [];
  #running = 0;
  #next = 0;

  /** Judge files; `done` hears of each as it is finished. */
  add(files: readonly File[], done: (entry: Entry) => void): void {
    for (const file of files) {
      if (ARCHIVE.test(file.name)) {
        void this.#open(file, done);
        continue;
      }
      const entry = this.#enter(file.name || "pasted picture", "", URL.createObjectURL(file));
      this.#waiting.push({ entry, judge: () => judged(file) });
    }
    this.#start(done);
  }

  #start(done: (entry: Entry) => void): void {
    while (this.#running < AT_ONCE && this.#waiting.length > 0) void this.#work(done);
  }

  #enter(name: string, from: string, preview: string): Entry {
    this.entries.push({ key: this.#next++, name, from, preview, state: "waiting", case: null, error: null });
    return this.entries.at(-1) as Entry; // through the array, which is what makes it reactive
  }

  /** Put the pictures of an archive into the line; the archive is closed when the last one is through. */
  async #open(file: File, done: (entry: Entry) => void): Promise<void> {
    const standing = this.#enter(file.name, "", "");
    standing.state = "judging";
    try {
      const archive = await patiently(() => api.openArchive(file));
      if (archive.members.length === 0) throw new ApiError(422, `${file.name} holds no picture.`, "Choose another archive.");
      this.entries = this.entries.filter((one) => one !== standing);
      let left = archive.members.length;
      const through = (): void => {
        if (--left === 0) void api.closeArchive(archive.id).catch(() => undefined);
      };
      archive.members.forEach(({ name, problem }, index) => {
        const entry = this.#enter(name, file.name, "");
        if (problem !== null) {
          [entry.state, entry.error] = ["failed", new ApiError(422, problem)];
          through();
          return;
        }
        const judge = () => patiently(() => api.judgeMember(archive.id, index)).finally(through);
        this.#waiting.push({ entry, judge });
      });
      this.#start(done);
    } catch (error) {
      [standing.state, standing.error] = ["failed", error];
      done(standing);
    }
  }

  /** The entry of a case, asked from the server when this page does not have it. */
  async find(id: string, signal: AbortSignal): Promise<Entry> {
    const known = this.entries.find((one) => one.case?.id === id);
    if (known) return known;
    const found = await api.case(id, {}, signal);
    return this.#found(found);
  }

  /** Cases of this tab before a reload, as far as the server still has them. */
  async restore(signal: AbortSignal): Promise<void> {
    if (this.entries.length > 0) return;
    const ids = remembered();
    const cases = await Promise.all(ids.map((id) => api.case(id, {}, signal).catch(() => null)));
    for (const found of cases) if (found) this.#found(found);
  }

  remove(entry: Entry): void {
    if (entry.preview) URL.revokeObjectURL(entry.preview);
    this.#waiting = this.#waiting.filter((one) => one.entry !== entry);
    this.entries = this.entries.filter((one) => one !== entry);
    this.#remember();
  }

  clear(): void {
    for (const entry of this.entries) if (entry.preview) URL.revokeObjectURL(entry.preview);
    [this.entries, this.#waiting] = [[], []];
    this.#remember();
  }

  #found(found: Case): Entry {
    const known = this.entries.find((one) => one.case?.id === found.id);
    if (known) return known;
    this.entries.push({
      key: this.#next++,
      name: found.name,
      from: "",
      preview: "",
      state: "done",
      case: found,
      error: null,
    });
    this.#remember();
    return this.entries.at(-1) as Entry;
  }

  async #work(done: (entry: Entry) => void): Promise<void> {
    const next = this.#waiting.shift();
    if (!next) return;
    const { entry, judge } = next;
    this.#running++;
    entry.state = "judging";
    try {
      entry.case = await judge();
      entry.state = "done";
      this.#remember();
    } catch (error) {
      if (cancelled(error)) return;
      entry.error = error;
      entry.state = "failed";
    } finally {
      this.#running--;
    }
    done(entry);
    void this.#work(done);
  }

  #remember(): void {
    const ids = this.entries.flatMap((one) => (one.case ? [one.case.id] : []));
    try {
      sessionStorage.setItem(REMEMBERED, JSON.stringify([...new Set(ids)].slice(-MOST_REMEMBERED)));
    } catch {
      // Storage may be forbidden or full; a reload then starts empty.
    }
  }
}

async function judged(file: File): Promise<Case> {
  const { cases, failures } = await patiently(() => api.detect([file]));
  const [found] = cases;
  if (!found) throw new ApiError(422, failures[0]?.message ?? "This file could not be judged.", "", 0, failures[0]?.reason);
  return found;
}

/** Ask again as long as the server says that it is only busy, as it is while the encoder loads. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let i = 0; ; i++) {
    try {
      return await ask();
    } catch (error) {
      const wait = error instanceof ApiError ? error.retryAfter : 0;
      if (wait === 0 || i >= MOST_RETRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(wait, LONGEST_WAIT)));
    }
  }
}

function remembered(): string[] {
  try {
    const ids: unknown = JSON.parse(sessionStorage.getItem(REMEMBERED) ?? "[]");
    return Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : [];
  } catch {
    return [];
  }
}

export const casebook = new CaseBook();
