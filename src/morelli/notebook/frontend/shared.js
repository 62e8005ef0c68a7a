// What all widgets share: numbers in words, small helpers for the page.

const rgbOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

const signed = (value, digits = 2) => {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
};
/** A probability with two digits; nothing is ever certain. */
const probabilityText = (p) => (p < 0.005 ? "< 0.01" : p >= 0.995 ? "> 0.99" : p.toFixed(2));

/** An element with attributes (`on…` are listeners), and children that are elements or text, never markup. */
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Is what lies behind `node` dark? By its colour, since every notebook names its themes differently. */
function isDark(node) {
  for (let at = node; at; at = at.parentElement ?? at.getRootNode().host ?? null) {
    const found = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [];
    const [r = 0, g = 0, b = 0, alpha = 1] = found;
    if (found.length >= 3 && alpha > 0.5) return 0.3 * r + 0.59 * g + 0.11 * b < 128;
  }
  return false;
}

/**
 * Keep `host` dark where what lies behind `behind` is, and tell `changed` of it; returns what ends that.
 *
 * A reader may choose another theme at any time. Jupyter, VS Code and Colab all say so by an attribute of the page,
 * and a browser by its own preference. Until it is laid out, a widget has nothing behind it.
 */
function followTheme(host, behind, changed) {
  const look = () => {
    const dark = isDark(behind);
    host.classList.toggle("dark", dark);
    changed(dark);
  };
  const laidOut = new ResizeObserver(look);
  const themed = new MutationObserver(look);
  const preference = matchMedia("(prefers-color-scheme: dark)");
  laidOut.observe(host);
  for (const page of [document.documentElement, document.body]) themed.observe(page, { attributes: true });
  preference.addEventListener("change", look);
  look();
  return () => {
    laidOut.disconnect();
    themed.disconnect();
    preference.removeEventListener("change", look);
  };
}

/** Numbers out of a buffer that may begin anywhere. */
const numbers = (view, Kind) => {
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  return new Kind(bytes);
};

const pictureOf = (view) => createImageBitmap(new Blob([view], { type: "image/jpeg" }));
