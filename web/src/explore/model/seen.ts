/** Says once when an element is on the screen or near it: one observer for all, so that many are said at once. */
const waiting = new WeakMap<Element, () => void>();
let observer: IntersectionObserver | null = null;
/** Pixels around the screen, and around what scrolls in it, that count as near. */
const NEAR = "300px";

function observed(): IntersectionObserver {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        observer?.unobserve(target);
        waiting.get(target)?.();
        waiting.delete(target);
      }
    },
    { rootMargin: NEAR, scrollMargin: NEAR } as IntersectionObserverInit,
  );
  return observer;
}

/** Call `seen` once when an element comes near; returns what ends the wait. */
export function whenSeen(element: Element, seen: () => void): () => void {
  waiting.set(element, seen);
  observed().observe(element);
  return () => {
    waiting.delete(element);
    observer?.unobserve(element);
  };
}
