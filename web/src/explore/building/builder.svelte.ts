/** The folders that an atlas can be built from, the build that runs, and those that were interrupted. */
import { api, cancelled } from "../../api/client";
import type { BuildProgress, BuildRequest, Collections } from "../../api/types";
import { announcer } from "../../state/announce.svelte";

const AGAIN = 500;

export class Builder {
  listing = $state.raw<Collections | null>(null);
  build = $state.raw<BuildProgress | null>(null);
  trouble = $state.raw<unknown>(null);
  /** A request that changes something is on its way. */
  asking = $state(false);

  readonly running = $derived(this.build?.state === "running");

  /** Show a folder; what was shown before stays until it is there. */
  async open(path: string, signal: AbortSignal): Promise<void> {
    try {
      const found = await api.collections(path, signal);
      this.listing = found;
      this.build = found.build;
      this.trouble = null;
    } catch (error) {
      if (!cancelled(error)) this.trouble = error;
    }
  }

  /** Follow the build until it ends; the returned function stops following. */
  follow(onend: (build: BuildProgress) => void): () => void {
    let timer = 0;
    const controller = new AbortController();
    const look = async (): Promise<void> => {
      try {
        const { build } = await api.build(controller.signal);
        this.build = build;
        if (build && build.state !== "running") {
          announcer.say(build.state === "done" ? `The atlas ${build.name} is built` : `The build of ${build.name} ended`);
          // Following has ended with the build; what is listed afterwards is not cancelled by that.
          await this.open(this.listing?.path ?? "", new AbortController().signal);
          onend(build);
          return;
        }
      } catch (error) {
        if (cancelled(error)) return;
        this.trouble = error;
      }
      timer = window.setTimeout(() => void look(), AGAIN);
    };
    timer = window.setTimeout(() => void look(), AGAIN);
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }

  start = (asked: BuildRequest): Promise<void> => this.#ask(() => api.startBuild(asked));
  resume = (name: string): Promise<void> => this.#ask(() => api.resumeBuild(name));
  cancel = (): Promise<void> => this.#ask(() => api.cancelBuild());
  discard = (name: string): Promise<void> =>
    this.#ask(async () => {
      await api.discardBuild(name);
      return null;
    });

  async #ask(work: () => Promise<BuildProgress | null>): Promise<void> {
    this.asking = true;
    this.trouble = null;
    try {
      const build = await work();
      // A build that runs is followed, which lists again when it ends.
      if (build?.state === "running") this.build = build;
      else await this.open(this.listing?.path ?? "", new AbortController().signal);
    } catch (error) {
      this.trouble = error;
    } finally {
      this.asking = false;
    }
  }
}
