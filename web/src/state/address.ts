/** The form of an address of the app: `#/place/subject?key=value&…`. */

export const PLACES = ["check", "explore", "evaluate"] as const;
export type Place = (typeof PLACES)[number];

export interface Address {
  readonly place: Place;
  /** What the place is about: a case's id in Check, an atlas's name in Explore and Evaluate; may be empty. */
  readonly subject: string;
  readonly params: Readonly<Record<string, string>>;
}

export function parseAddress(hash: string): Address {
  const [path = "", query = ""] = split(hash.replace(/^#/, ""), "?");
  const [first = "", ...rest] = path.replace(/^\//, "").split("/");
  const place = PLACES.find((known) => known === first) ?? "check";
  const subject = rest.map(decode).join("/");
  return { place, subject, params: Object.fromEntries(new URLSearchParams(query)) };
}

export function formatAddress({ place, subject, params }: Address): string {
  // Sorted, so that one state has one address.
  const query = new URLSearchParams(Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1))).toString();
  return `#/${place}${subject && `/${encodeURIComponent(subject)}`}${query && `?${query}`}`;
}

function split(text: string, at: string): [string, string] {
  const i = text.indexOf(at);
  return i < 0 ? [text, ""] : [text.slice(0, i), text.slice(i + 1)];
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // an address typed by hand may hold a bare percent sign
  }
}
