/** What the widget around the page offers it: answers of the kernel, and what Python shares with the reader. */
import { decodeSpec, type Spec } from "../explore/model/spec";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
}

export interface Host {
  /** Name of the atlas. */
  readonly atlas: string;
  readonly request: (method: string, path: string, body: string | null) => Promise<Answer>;
  /** The selection and the colour as Python has them. */
  readonly state: () => { readonly selection: unknown; readonly colour: string };
  readonly change: (change: { readonly selection?: Spec; readonly colour?: string }) => void;
  /** Call `changed` whenever Python changes either; returns what ends that. */
  readonly follow: (changed: () => void) => () => void;
  /** Call `shown` now and whenever the notebook becomes dark or light; returns what ends that. */
  readonly theme: (shown: (dark: boolean) => void) => () => void;
}

/** A selection document of Python's, in the form that addresses have. */
export function specOf(document: unknown): Spec {
  const conjunction = typeof document === "object" && document !== null && "and" in document ? document : { and: [document] };
  return decodeSpec(JSON.stringify(conjunction));
}

/** The address of a request relative to the interface, as a response of the page's own kind. */
export async function answered(host: Host, address: string, init: RequestInit): Promise<Response> {
  const { body, method = "GET", signal } = init;
  if (body !== undefined && body !== null && typeof body !== "string") throw new TypeError("A notebook takes no uploads.");
  const { status, headers, body: bytes } = await host.request(method, address, body ?? null);
  if (signal?.aborted) throw new DOMException("Nobody waits for this answer any more.", "AbortError");
  return new Response(status === 204 || status === 304 ? null : bytes, { status, headers: { ...headers } });
}
