/** Bulk data travels as Arrow; this file is the only one that knows the reader, and loads with the views that use it. */
import { tableFromIPC, type Table } from "@uwdata/flechette";

import { request } from "./client";

export type { Table };

export async function getTable(address: string, signal?: AbortSignal): Promise<Table> {
  const response = await request(address, signal ? { signal } : {});
  return tableFromIPC(new Uint8Array(await response.arrayBuffer()), { useProxy: true });
}
