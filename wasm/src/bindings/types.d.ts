/** The error that every function of this package throws, and with which every stream fails. */
export interface InterplanarError extends Error {
  /** The format and the fault: `NAR_TRUNCATED`, `FETCH_NOT_FOUND`, `GATEWAY_WRONG_HASH`. */
  code: string;
  /** Byte of the input, or line of a narinfo, if it is known. */
  at?: number;
  /** The error that caused this one. */
  cause?: InterplanarError;
}

/**
 * A store of verified blocks. A fetch reads blocks from it, and writes the blocks that it fetched.
 */
export interface Blocks {
  /** Returns the bytes of a block. The fetch verifies them again. */
  get(cid: string): Promise<Uint8Array | null | undefined> | Uint8Array | null | undefined;
  /** Stores a block. After an error, this fetch stores no more blocks. */
  put(cid: string, bytes: Uint8Array): Promise<void> | void;
}

export interface FetchOptions {
  /** Bytes to fetch, including `to`. */
  range?: { from: number; to?: number };
  /** Aborts the fetch; the stream fails with the signal's reason. */
  signal?: AbortSignal;
  /** Called with progress and with errors of gateways. */
  onEvent?: (event: FetchEvent) => void;
  blocks?: Blocks;
  /** Most bytes of content; a longer content is an error. */
  maxBytes?: number;
  /** Most blocks, including inner nodes. */
  maxBlocks?: number;
  /** Most entries of a tree, and shards of its directories. Default: 1048576. */
  maxEntries?: number;
  /** Most bytes of all paths and link targets of a tree. Default: 268435456. */
  maxNames?: number;
  /** Most bytes of blocks that wait in memory. */
  maxBuffer?: number;
  /** Most block requests at the same time. */
  inFlight?: number;
  /** Asks a second gateway too if the first has sent nothing for this long. */
  raceAfterMs?: number;
  /** Asks a second gateway too if the first has stopped sending for this long. */
  stallMs?: number;
  /** Aborts a request that completes no block for this long. */
  requestTimeoutMs?: number;
  /** Longest wait for a gateway to become usable again, if all are avoided at the moment. */
  patienceMs?: number;
  /** Whether to follow redirects. `"manual"` contacts no other hosts. Default: `"follow"`. */
  redirect?: "follow" | "manual";
}

export type FetchEvent =
  /** The URL's path was resolved to this CID. */
  | { type: "resolved"; cid: string }
  /** Size of the file. It is verified only with the last byte. */
  | { type: "size"; bytes: number }
  /** A block was verified and used; `gateway` is null if it comes from `blocks`. */
  | { type: "progress"; gateway: string | null; block: number; blocks: number; bytes: number }
  /** A gateway failed, or sent wrong data. */
  | { type: "fault"; gateway: string; error: InterplanarError }
  | { type: "done"; bytes: number; blocks: number; localBlocks: number; networkBytes: number };

export interface GatewayReport {
  url: string;
  requests: number;
  bytes: number;
  faults: number;
  lastFault?: InterplanarError;
  /** Time until the gateway is used again, if it is avoided at the moment. */
  backoffMs?: number;
  latencyMs?: number;
  /** Bytes per second. */
  rate?: number;
}
