// One item that is open: its narinfo, its tree, and how much of it was verified. The NAR itself is kept as a `Blob`, which the browser may put
// on its disk; files are slices of it.

import { get, pieces, Trouble } from './cache';
import { options as fetching, pool } from './gateways';
import { gatewaysFor } from './state';
import { DecompressStream, fetchIpfs, Gateways, NarReader, ready, words, code } from './wasm';
import type { Blocks, FetchEvent, NarEntry, NarInfo, NarInfoEntry } from './wasm';

/** The largest NAR that is read here. */
const MAX_NAR = 8 * 2 ** 30;
/** Pieces are made one blob when they have so many bytes, so that they leave the memory of the page. */
const BATCH = 8 << 20;

/** A NAR that was read to its end. */
export interface Nar {
  entries: NarEntry[];
  blob: Blob;
  /** How it was checked, in words. */
  checks: string[];
  /** Whether it is the NAR that the narinfo promises; `undefined` without one. */
  right?: boolean;
  /** Why it is not. */
  wrong?: string;
}

export interface Item {
  title: string;
  cache?: string;
  info?: NarInfo;
  /** Where its bytes are. */
  sources: NarInfoEntry[];
  /** A dropped file. */
  file?: Blob;
  /** The blocks of a dropped CAR. */
  blocks?: Map<string, Blob>;
  nar?: Nar;
}

export const READABLE = new Set(['none', 'gzip', 'zstd', 'lzip', 'xz']);

/** Sources in the order that they are tried in: those that check themselves, then the smallest. */
export function ordered(item: Item): NarInfoEntry[] {
  const rank = (entry: NarInfoEntry) => (isIpfs(entry.url) ? 0 : 1);
  const readable = item.sources.filter((entry) => READABLE.has(entry.compression));
  return readable.sort((a, b) => rank(a) - rank(b) || (a.fileSize ?? Infinity) - (b.fileSize ?? Infinity));
}

/** The CID of an entry: of `ipfs:` URLs, and of gateways' addresses. */
export function cid(url: string): string | undefined {
  return /^ipfs:(?:\/\/)?([a-zA-Z0-9]+)/.exec(url)?.[1] ?? /\/ipfs\/([a-zA-Z0-9]{46,})/.exec(url)?.[1];
}

export const isIpfs = (url: string): boolean => url.startsWith('ipfs:');

/** Bytes of a source as it stands, compressed. */
export async function open(item: Item, source: NarInfoEntry, signal: AbortSignal, onEvent?: (event: FetchEvent) => void): Promise<ReadableStream<Uint8Array>> {
  await ready();
  if (item.file) return item.file.stream();
  if (item.blocks) return fetchIpfs(source.url, new Gateways([]), { signal, blocks: held(item.blocks) });
  if (isIpfs(source.url)) {
    const options = { ...fetching(signal), requestTimeoutMs: 30_000 };
    return fetchIpfs(source.url, pool(gatewaysFor(item.cache)), onEvent ? { ...options, onEvent } : options);
  }
  const response = await get(new URL(source.url, item.cache ?? location.href).href, 'the NAR', signal);
  if (!response?.body) throw new Trouble('The NAR is not there', `${source.url} answers 404. The cache may be making it at this moment: try again.`);
  return response.body;
}

/** Blocks that are here, as a fetch takes them. */
function held(blocks: Map<string, Blob>): Blocks {
  return {
    async get(cid) {
      const found = blocks.get(cid);
      return found && new Uint8Array(await found.arrayBuffer());
    },
    put() {},
  };
}

/** The entries of a CID of which nobody has said how its content is compressed. */
export const anyCompression = (cid: string): NarInfoEntry[] => (['none', 'zstd', 'gzip', 'lzip', 'xz'] as const).map((compression) => ({ url: `ipfs://${cid}`, compression }));

export interface Watch {
  signal: AbortSignal;
  progress(done: number, total: number | undefined): void;
  event?(event: FetchEvent): void;
}

/** Reads a NAR, from the first source that gives it. */
export async function load(item: Item, watch: Watch): Promise<Nar> {
  const failed: string[] = [];
  const unavailable = new Set<string>();
  for (const source of ordered(item)) {
    // Where its compression is tried out, it is asked for once all the same.
    if (unavailable.has(source.url)) continue;
    try {
      return await read(item, source, watch);
    } catch (error) {
      if (watch.signal.aborted) throw error;
      failed.push(`${source.url}: ${words(error)}`);
      if (code(error)?.startsWith('FETCH_')) unavailable.add(source.url);
    }
  }
  if (failed.length === 0) throw new Trouble('No form that can be read here', 'The narinfo names no entry in none, gzip, zstd, lzip or xz.');
  throw new Trouble('No source gives this NAR', failed.join('\n'));
}

async function read(item: Item, source: NarInfoEntry, watch: Watch): Promise<Nar> {
  const stream = await open(item, source, watch.signal, watch.event?.bind(watch));
  const size = item.info?.narSize;
  const plain = stream.pipeThrough(new DecompressStream(source.compression, size ?? MAX_NAR) as unknown as ReadableWritablePair<Uint8Array, Uint8Array>);
  const reader = new NarReader();
  try {
    const blobs: Blob[] = [];
    let batch: Uint8Array<ArrayBuffer>[] = [];
    let held = 0;
    let done = 0;
    for await (const piece of pieces(plain)) {
      reader.push(piece);
      batch.push(piece);
      held += piece.length;
      done += piece.length;
      if (held >= BATCH) {
        blobs.push(new Blob(batch));
        batch = [];
        held = 0;
      }
      watch.progress(done, size);
    }
    reader.finish();
    const blob = new Blob([...blobs, ...batch]);
    return checked({ entries: reader.entries(), blob, checks: [] }, item, source, reader);
  } finally {
    reader.free();
  }
}

function checked(nar: Nar, item: Item, source: NarInfoEntry, reader: NarReader): Nar {
  if (item.file) nar.checks.push('Read from a file of yours.');
  else if (isIpfs(source.url)) nar.checks.push('Every block was checked against its CID, and the blocks against the CID of the whole.');
  else nar.checks.push('It came by HTTP, which proves nothing by itself.');
  if (!item.info) {
    nar.checks.push('No narinfo says which NAR it should be.');
    return nar;
  }
  try {
    reader.verify(item.info);
    nar.right = true;
    nar.checks.push('The whole NAR has the NarHash and NarSize of the narinfo.');
  } catch (error) {
    nar.right = false;
    nar.wrong = words(error);
    nar.checks.push(`It is NOT the NAR of the narinfo (${code(error)}).`);
  }
  return nar;
}

/** The content of a file, once the NAR is here. */
export function content(nar: Nar, entry: NarEntry): Blob {
  if (entry.type !== 'regular') return new Blob([]);
  return nar.blob.slice(entry.narOffset, entry.narOffset + entry.size);
}
