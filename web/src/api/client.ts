/** The one way from the app to the server: typed, cancellable, and with the server's own words when it fails. */
import type {
  Archive,
  AtlasInfo,
  Atlases,
  BankPicture,
  BuildAnswer,
  BuildProgress,
  BuildRequest,
  Case,
  CaseOptions,
  Collections,
  Detected,
  Evidence,
  FeedbackAnswer,
  FeedbackRequest,
  Neighbours,
  Problem,
  Question,
  ServerInfo,
  WhatIf,
} from "./types";

/** Relative to the page, so that the app also works behind a path prefix. */
const BASE = "api/v1";

/** How requests reach the server and how its pictures reach the page. */
export interface Transport {
  readonly fetch: (address: string, init: RequestInit) => Promise<Response>;
  /** What an `img` is given for the address of a picture. */
  readonly picture: (address: string) => string;
  /** Whether the page is one atlas inside a notebook: no uploads, no downloads and no other places. */
  readonly embedded: boolean;
}

let transport: Transport = { fetch: (address, init) => fetch(address, init), picture: (address) => address, embedded: false };

/** Reach the server in another way from now on. */
export function reachBy(other: Transport): void {
  transport = other;
}

export const picture = (address: string): string => transport.picture(address);

export const embedded = (): boolean => transport.embedded;

export class ApiError extends Error {
  readonly status: number;
  /** What the user can do, in the server's words; empty when it said nothing. */
  readonly next: string;
  /** Seconds after which the server wants to be asked again; 0 when asking again is of no use. */
  readonly retryAfter: number;
  /** The problem in the server's stable word, such as `truncated`; empty where it said none. */
  readonly reason: string;

  constructor(status: number, message: string, next = "", retryAfter = 0, reason = "") {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.next = next;
    this.retryAfter = retryAfter;
    this.reason = reason;
  }
}

/** Was this thrown because the caller cancelled? Then there is nothing to tell anybody. */
export function cancelled(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

type Query = Record<string, string | number | boolean | readonly (string | number)[] | null | undefined>;

/** Address of a resource, e.g. `url("cases", id, "image")`; undefined, null and empty values are left out. */
export function url(parts: readonly (string | number)[], query: Query = {}): string {
  const path = [BASE, ...parts.map((part) => encodeURIComponent(String(part)))].join("/");
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    if (Array.isArray(value)) {
      if (value.length > 0) search.set(key, value.join(","));
    } else search.set(key, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

/** Fetch, or throw an ApiError that says what was wrong and what to do. */
export async function request(address: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await transport.fetch(address, init);
  } catch (error) {
    if (cancelled(error)) throw error;
    if (embedded()) throw new ApiError(0, "The notebook’s kernel does not answer.", "Run the cell again.");
    throw new ApiError(0, "The Morelli server does not answer.", "Start it again with: morelli serve");
  }
  if (response.ok) return response;
  let problem: Partial<Problem> = {};
  try {
    problem = (await response.json()) as Partial<Problem>;
  } catch {
    // A proxy in between may answer in HTML; the status is all there is then.
  }
  const message = problem.detail ?? problem.title ?? `The server answered ${String(response.status)}.`;
  // Only "busy" passes by itself: an encoder that could not be loaded also answers 503.
  const busy = problem.type?.endsWith(":busy") ?? false;
  const wait = busy ? Number(response.headers.get("retry-after") ?? 0) : 0;
  const reason = problem.type?.split(":").at(-1)?.replaceAll("-", "_");
  throw new ApiError(response.status, message, problem.next, wait, reason);
}

export async function getJson<T>(address: string, signal?: AbortSignal): Promise<T> {
  const response = await request(address, signal ? { signal } : {});
  return (await response.json()) as T;
}

export async function sendJson<T>(
  method: "POST" | "PUT" | "PATCH" | "DELETE",
  address: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "content-type": "application/json" };
  }
  if (signal) init.signal = signal;
  const response = await request(address, init);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export const api = {
  info: (signal?: AbortSignal) => getJson<ServerInfo>(url(["info"]), signal),

  async detect(files: readonly File[], signal?: AbortSignal): Promise<Detected> {
    const body = new FormData();
    for (const file of files) body.append("file", file, file.name);
    const init: RequestInit = { method: "POST", body };
    if (signal) init.signal = signal;
    const response = await request(url(["detect"]), init);
    return (await response.json()) as Detected;
  },

  /** Open a zip or tar on the server; its members are judged one by one. */
  async openArchive(file: File, signal?: AbortSignal): Promise<Archive> {
    const body = new FormData();
    body.append("file", file, file.name);
    const init: RequestInit = { method: "POST", body };
    if (signal) init.signal = signal;
    const response = await request(url(["archives"]), init);
    return (await response.json()) as Archive;
  },
  judgeMember: (id: string, index: number) => sendJson<Case>("POST", url(["archives", id, "members", index])),
  closeArchive: (id: string) => sendJson("DELETE", url(["archives", id])),

  case: (id: string, options: CaseOptions = {}, signal?: AbortSignal) =>
    getJson<Case>(url(["cases", id], { ...options }), signal),
  /** What the encoder saw, or the whole picture with its longest side at most `size`. */
  caseImage: (id: string, view: "judged" | "whole" = "judged", size = 1024) =>
    url(["cases", id, "image"], view === "whole" ? { view, size } : {}),
  neighbours: (id: string, signal?: AbortSignal) => getJson<Neighbours>(url(["cases", id, "neighbors"]), signal),
  /** Which of the detector's known images can be shown, and why the others cannot. */
  bankPictures: (ids: readonly string[], signal?: AbortSignal) => getJson<BankPicture[]>(url(["bank", "pictures"], { ids }), signal),
  bankPicture: (id: string, size: number) => url(["bank", "picture"], { id, size }),
  /** The logit that decided, by where the encoder read it. */
  reading: (id: string, signal?: AbortSignal) => getJson<Evidence>(url(["cases", id, "reading"]), signal),
  report: (id: string, format: "html" | "json", base_rate: number | null) =>
    url(["cases", id, "report"], { format, base_rate, download: true }),

  /**
   * A map of the patches, (g, g) row by row: `decision` is what each adds to the logit that decided, signed; a
   * dimension's number or `logit` is of the other reader, not negative.
   */
  async relevance(id: string, dimension: Looked, signal?: AbortSignal): Promise<Grid> {
    const response = await request(url(["cases", id, "relevance"], { dimension }), signal ? { signal } : {});
    const values = new Float32Array(await response.arrayBuffer());
    const shape = (response.headers.get("x-shape") ?? "").match(/\d+/g)?.map(Number) ?? [];
    const [rows = Math.sqrt(values.length), columns = rows] = shape;
    return { rows, columns, values };
  },

  whatIf: (id: string, question: Question, signal?: AbortSignal) =>
    sendJson<WhatIf>("POST", url(["cases", id, "whatif"]), question, signal),

  feedback: (body: FeedbackRequest) => sendJson<FeedbackAnswer>("POST", url(["feedback"]), body),

  atlases: (signal?: AbortSignal) => getJson<Atlases>(url(["atlases"]), signal),
  atlas: (name: string, signal?: AbortSignal) => getJson<AtlasInfo>(url(["atlases", name]), signal),

  collections: (path: string, signal?: AbortSignal) => getJson<Collections>(url(["collections"], { path }), signal),
  build: (signal?: AbortSignal) => getJson<BuildAnswer>(url(["collections", "build"]), signal),
  startBuild: (body: BuildRequest) => sendJson<BuildProgress>("POST", url(["collections", "build"]), body),
  resumeBuild: (name: string) => sendJson<BuildProgress>("POST", url(["collections", "build", "resume"]), { name }),
  cancelBuild: () => sendJson<BuildProgress>("POST", url(["collections", "build", "cancel"])),
  discardBuild: (name: string) => sendJson("POST", url(["collections", "build", "discard"]), { name }),
} as const;

/** What a map is of. */
export type Looked = number | "logit" | "decision";

export interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}
