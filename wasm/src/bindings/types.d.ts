/** What every function here throws, and every stream fails with. */
export interface InterplanarError extends Error {
  /** The format and what is wrong with it: `NAR_TRUNCATED`, `FETCH_NOT_FOUND`, `GATEWAY_WRONG_HASH`. */
  code: string;
  /** The byte of the input, or the line of a narinfo, where it is known. */
  at?: number;
  /** The error behind it. */
  cause?: InterplanarError;
}

/** A store of verified blocks: what is found there is not fetched, what was fetched is put there. */
export interface Blocks {
  /** The block's bytes; they are verified again. */
  get(cid: string): Promise<Uint8Array | null | undefined> | Uint8Array | null | undefined;
  /** Keeps a block. After an error no more are offered in this fetch. */
  put(cid: string, bytes: Uint8Array): Promise<void> | void;
}

export interface FetchOptions {
  /** Only these bytes; `to` is the last one. */
  range?: { from: number; to?: number };
  /** Stops everything; the stream fails with its reason. */
  signal?: AbortSignal;
  /** Hears of progress and of gateways' faults. */
  onEvent?: (event: FetchEvent) => void;
  blocks?: Blocks;
  /** Most bytes of content. */
  maxBytes?: number;
  /** Most blocks, inner nodes too. */
  maxBlocks?: number;
  /** Bytes of blocks that may wait in memory. */
  maxBuffer?: number;
  /** Block requests at the same time. */
  inFlight?: number;
  /** Another gateway is asked as well when the first has sent nothing for so long. */
  raceAfterMs?: number;
  /** And when it has stopped sending for so long. */
  stallMs?: number;
  /** A request that brings no block for so long is given up. */
  requestTimeoutMs?: number;
  /** How long to wait for gateways that are put aside when there is no other. */
  patienceMs?: number;
  /** Whether gateways may redirect; `"manual"` for whoever must not be led to other hosts. Default: `"follow"`. */
  redirect?: "follow" | "manual";
}

export type FetchEvent =
  /** The URL's path leads to this CID. */
  | { type: "resolved"; cid: string }
  /** The file has so many bytes; not verified before its last byte. */
  | { type: "size"; bytes: number }
  /** A block was verified and used; `gateway` is null for one of `blocks`. */
  | { type: "progress"; gateway: string | null; block: number; blocks: number; bytes: number }
  /** A gateway did something wrong. */
  | { type: "fault"; gateway: string; error: InterplanarError }
  | { type: "done"; bytes: number; blocks: number; localBlocks: number; networkBytes: number };

export interface GatewayReport {
  url: string;
  requests: number;
  bytes: number;
  faults: number;
  lastFault?: InterplanarError;
  /** It is put aside for so long. */
  backoffMs?: number;
  latencyMs?: number;
  /** Bytes per second. */
  rate?: number;
}
