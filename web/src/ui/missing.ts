/**
 * Pictures that could not be loaded, marked as `missing` for as long as that is so.
 *
 * A browser draws a torn page where a picture did not come; the style sheet hides what is marked, and whoever wants
 * to say something writes it beside the picture (see `.missing` in base.css).
 */
export function markMissing(node: HTMLElement): () => void {
  // Neither event bubbles, but both can be caught on their way down.
  const failed = (event: Event): void => {
    if (event.target instanceof HTMLImageElement) event.target.classList.add("missing");
  };
  const loaded = (event: Event): void => {
    if (event.target instanceof HTMLImageElement) event.target.classList.remove("missing");
  };
  node.addEventListener("error", failed, true);
  node.addEventListener("load", loaded, true);
  return () => {
    node.removeEventListener("error", failed, true);
    node.removeEventListener("load", loaded, true);
  };
}
