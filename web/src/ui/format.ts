/** Numbers and sizes as people read them. A minus is a minus sign, and no probability is ever certain. */

const MINUS = "−";

/** A probability with two digits; what rounds to 0 or 1 is said as a bound, since nothing here is certain. */
export function probability(p: number): string {
  if (!Number.isFinite(p)) return "unknown";
  if (p < 0.005) return "< 0.01";
  if (p >= 0.995) return "> 0.99";
  return p.toFixed(2);
}

/** The same as a percentage: "93 %", "under 1 %", "over 99 %". */
export function percent(p: number, digits = 0): string {
  if (!Number.isFinite(p)) return "unknown";
  const least = 10 ** -digits / 100;
  if (p > 0 && p < least) return `under ${(100 * least).toFixed(digits)} %`;
  if (p < 1 && p > 1 - least) return `over ${(100 * (1 - least)).toFixed(digits)} %`;
  return `${(100 * p).toFixed(digits)} %`;
}

/** A signed amount: "+1.20", "−0.35", "0.00". */
export function signed(value: number, digits = 2): string {
  if (!Number.isFinite(value)) return "unknown";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${value < 0 ? MINUS : "+"}${text}`;
}

export function number(value: number, digits = 2): string {
  if (!Number.isFinite(value)) return "unknown";
  return value.toFixed(digits).replace("-", MINUS);
}

/** A sentence of the server with a minus sign where it has a hyphen before a number, and a space that does not break before "%". */
export function typeset(sentence: string): string {
  return sentence.replace(/(^|[\s(])-(?=\d)/g, `$1${MINUS}`).replace(/(\d)%/g, "$1\u00a0%");
}

export function count(n: number): string {
  return n.toLocaleString("en").replaceAll(",", "\u202f");
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

export function bytes(n: number): string {
  if (n < 1000) return `${String(n)} B`;
  if (n < 1e6) return `${(n / 1e3).toFixed(0)} kB`;
  return `${(n / 1e6).toFixed(1)} MB`;
}
