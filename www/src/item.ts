// The open item: its narinfo, its files, and the result of the checks. The NAR is a `Blob`, which
// the browser may move to disk; files are slices of it.

import { get, chunksOf, UserError } from './cache';
import { options as fetching, pool } from './gateways';
import { gatewaysFor } from './settings';
import { DecompressStream, fetchIpfs, Gateways, NarReader, ready, errorText, errorCode } from './wasm';
import type { Blocks, FetchEvent, NarEntry, NarInfo, NarInfoEntry } from './wasm';

/** Largest NAR in bytes that the inspector reads. */
const MAX_NAR = 8 * 2 ** 30;
/** Chunks are joined into a blob at this many bytes, so that they leave the page's memory. */
const BATCH = 8 << 20;

/** A NAR that was read completely. */
export interface Nar {
  entries: NarEntry[];
  blob: Blob;
  /** Texts that say how it was checked. */
  checks: string[];
  /** Whether it is the NAR of the narinfo; `undefined` without a narinfo. */
  right?: boolean;
}

export interface Item {
  title: string;
  cache?: string;
  info?: NarInfo;
  /** Where to fetch its bytes. */
  sources: NarInfoEntry[];
  /** A dropped file. */
  file?: Blob;
  /** The blocks of a dropped CAR. */
  blocks?: Map<string, Blob>;
  nar?: Nar;
}

export const READABLE = new Set(['none', 'gzip', 'zstd', 'lzip', 'xz']);

/** Sorts the sources: first those with a CID, which verifies itself, then by size. */
export function ordered(item: Item): NarInfoEntry[] {
  const rank = (entry: NarInfoEntry) => (isIpfs(entry.url) ? 0 : 1);
  const readable = item.sources.filter((entry) => READABLE.has(entry.compression));
  return readable.sort((a, b) => rank(a) - rank(b) || (a.fileSize ?? Infinity) - (b.fileSize ?? Infinity));
}

/** Finds the CID in an `ipfs:` URL or in a gateway's address. */
export function cid(url: string): string | undefined {
  return /^ipfs:(?:\/\/)?([a-zA-Z0-9]+)/.exec(url)?.[1] ?? /\/ipfs\/([a-zA-Z0-9]{46,})/.exec(url)?.[1];
}

export const isIpfs = (url: string): boolean => url.startsWith('ipfs:');

/** Opens the compressed bytes of a source. */
export async function open(item: Item, source: NarInfoEntry, signal: AbortSignal, onEvent?: (event: FetchEvent) => void): Promise<ReadableStream<Uint8Array>> {
  await ready();
  if (item.file) return item.file.stream();
  if (item.blocks) return fetchIpfs(source.url, new Gateways([]), { signal, blocks: localBlocks(item.blocks) });
  if (isIpfs(source.url)) {
    const options = { ...fetching(signal), requestTimeoutMs: 30_000 };
    return fetchIpfs(source.url, pool(gatewaysFor(item.cache)), onEvent ? { ...options, onEvent } : options);
  }
  const response = await get(new URL(source.url, item.cache ?? location.href).href, 'the NAR', signal);
  if (!response?.body) throw new UserError('The NAR isn’t available', `${source.url} answered with status 404. Perhaps the cache is still compressing it: try again.`);
  return response.body;
}

/** Wraps the blocks of a CAR as a block store for a fetch. */
function localBlocks(blocks: Map<string, Blob>): Blocks {
  return {
    async get(cid) {
      const found = blocks.get(cid);
      return found && new Uint8Array(await found.arrayBuffer());
    },
    put() {},
  };
}

/** Returns an entry for each compression, because a bare CID doesn't say which one it has. */
export const anyCompression = (cid: string): NarInfoEntry[] => (['none', 'zstd', 'gzip', 'lzip', 'xz'] as const).map((compression) => ({ url: `ipfs://${cid}`, compression }));

export interface LoadOptions {
  signal: AbortSignal;
  progress(done: number, total: number | undefined): void;
  event?(event: FetchEvent): void;
}

/** Reads a NAR from the first source that has it. */
export async function load(item: Item, watch: LoadOptions): Promise<Nar> {
  const failed: string[] = [];
  const unavailable = new Set<string>();
  for (const source of ordered(item)) {
    // A CID without a known compression has several entries; it is fetched only once.
    if (unavailable.has(source.url)) continue;
    try {
      return await read(item, source, watch);
    } catch (error) {
      if (watch.signal.aborted) throw error;
      failed.push(`${source.url}: ${errorText(error)}`);
      if (errorCode(error)?.startsWith('FETCH_')) unavailable.add(source.url);
    }
  }
  if (failed.length === 0) throw new UserError('The inspector can’t read this NAR', 'The narinfo has no entry with the compression none, gzip, zstd, lzip or xz.');
  throw new UserError('No source has this NAR', failed.join('\n'));
}

async function read(item: Item, source: NarInfoEntry, watch: LoadOptions): Promise<Nar> {
  const stream = await open(item, source, watch.signal, watch.event?.bind(watch));
  const size = item.info?.narSize;
  const plain = stream.pipeThrough(new DecompressStream(source.compression, size ?? MAX_NAR) as unknown as ReadableWritablePair<Uint8Array, Uint8Array>);
  const reader = new NarReader();
  try {
    const blobs: Blob[] = [];
    let batch: Uint8Array<ArrayBuffer>[] = [];
    let batched = 0;
    let done = 0;
    for await (const chunk of chunksOf(plain)) {
      reader.push(chunk);
      batch.push(chunk);
      batched += chunk.length;
      done += chunk.length;
      if (batched >= BATCH) {
        blobs.push(new Blob(batch));
        batch = [];
        batched = 0;
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
  if (item.file) nar.checks.push('Read from your file.');
  else if (isIpfs(source.url)) nar.checks.push('Every block was checked against its CID, from the root of the file down.');
  else nar.checks.push('Downloaded by HTTP, which proves nothing by itself.');
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
    nar.checks.push(`This is NOT the NAR of the narinfo: ${errorText(error)} (${errorCode(error)}).`);
  }
  return nar;
}

/** Returns the content of a file from a NAR. */
export function content(nar: Nar, entry: NarEntry): Blob {
  if (entry.type !== 'regular') return new Blob([]);
  return nar.blob.slice(entry.narOffset, entry.narOffset + entry.size);
}
