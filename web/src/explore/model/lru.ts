/** A map that forgets what has not been asked for longest, once the sizes of its values exceed `capacity`. */
export class Lru<V> {
  readonly #items = new Map<string, { value: V; size: number }>();
  #size = 0;

  constructor(
    readonly capacity: number,
    readonly dispose: (value: V) => void = () => undefined,
  ) {}

  get size(): number {
    return this.#size;
  }

  get count(): number {
    return this.#items.size;
  }

  get(key: string): V | undefined {
    const item = this.#items.get(key);
    if (!item) return undefined;
    this.#items.delete(key);
    this.#items.set(key, item);
    return item.value;
  }

  /** As `get`, without counting as a use. */
  peek(key: string): V | undefined {
    return this.#items.get(key)?.value;
  }

  set(key: string, value: V, size = 1): void {
    this.delete(key);
    this.#items.set(key, { value, size });
    this.#size += size;
    for (const [old] of this.#items) {
      if (this.#size <= this.capacity || old === key) break;
      this.delete(old);
    }
  }

  delete(key: string): void {
    const item = this.#items.get(key);
    if (!item) return;
    this.#items.delete(key);
    this.#size -= item.size;
    this.dispose(item.value);
  }

  clear(): void {
    for (const key of [...this.#items.keys()]) this.delete(key);
  }
}
