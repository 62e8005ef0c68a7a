// What all widgets share: numbers in words, the one scale of colours, small helpers for the page.

const STOPS = {
  light: ["#0a5470", "#2f92b4", "#93c3d4", "#e4e4e0", "#eab98a", "#cf741d", "#8a3f04"],
  dark: ["#a5e3f7", "#41a9cb", "#265e73", "#34383c", "#7c4a1d", "#dd8431", "#ffd3a3"],
};
const INKS = {
  light: { real: "#1b87ab", fake: "#d06f14", unknown: "#8a8f93", ink: "#191b1d", paper: "#fafaf7", muted: "#d9dad6" },
  dark: { real: "#3aa3c6", fake: "#e58a34", unknown: "#7c8389", ink: "#f4f5f5", paper: "#121416", muted: "#33383c" },
};

const rgbOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const cssOf = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
const mixed = (a, b, share) => a.map((value, i) => Math.round(value + (b[i] - value) * share));

/** Colour of `t`: -1 surely real (blue-teal), 0 grey, 1 surely generated (orange). */
function tone(t, dark) {
  const stops = STOPS[dark ? "dark" : "light"];
  const at = ((Math.min(1, Math.max(-1, Number.isFinite(t) ? t : 0)) + 1) / 2) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(at));
  return mixed(rgbOf(stops[low]), rgbOf(stops[low + 1]), at - low);
}

/** The square root lifts quiet impacts above the grey. */
const impactTone = (impact, full) => {
  const t = Math.max(-1, Math.min(1, impact / full));
  return Math.sign(t) * Math.sqrt(Math.abs(t));
};

const signed = (value, digits = 2) => {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
};
const percent = (p) => {
  if (p > 0 && p < 0.01) return "under 1 %";
  if (p < 1 && p > 0.99) return "over 99 %";
  return `${(100 * p).toFixed(0)} %`;
};
/** A probability with two digits; nothing is ever certain. */
const probabilityText = (p) => (p < 0.005 ? "< 0.01" : p >= 0.995 ? "> 0.99" : p.toFixed(2));
const thousands = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");
const plural = (n, one) => `${thousands(n)} ${one}${n === 1 ? "" : "s"}`;

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
