/** Pictures that come with the kernel's messages: an address is asked for once and becomes one of this page. */
import { SvelteMap } from "svelte/reactivity";

/** Shown until the picture is there. */
const BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
/** No picture: the browser says so to whoever listens. */
const NONE = "data:,";
/** Addresses that are kept; each holds some kilobytes. */
const KEPT = 2000;

export class KernelPictures {
  readonly #shown = new SvelteMap<string, string>();
  #asked: readonly string[] = [];

  constructor(readonly load: (address: string) => Promise<Response>) {}

  /** What an `img` shows for the address now; whoever read it in an effect reads it again when that changes. */
  readonly address = (address: string): string => {
    const known = this.#shown.get(address);
    if (known !== undefined) return known;
    if (!this.#asked.includes(address)) {
      this.#asked = [...this.#asked, address];
      void this.#fetch(address);
    }
    return BLANK;
  };

  async #fetch(address: string): Promise<void> {
    let shown = NONE;
    try {
      const response = await this.load(address);
      if (response.ok) shown = URL.createObjectURL(await response.blob());
    } catch {
      // The place stays empty and says so, as for a picture that the server does not have.
    }
    this.#asked = this.#asked.filter((other) => other !== address);
    this.#shown.set(address, shown);
    for (const [old, url] of [...this.#shown].slice(0, Math.max(0, this.#shown.size - KEPT))) {
      this.#shown.delete(old);
      if (url !== NONE) URL.revokeObjectURL(url);
    }
  }
}
