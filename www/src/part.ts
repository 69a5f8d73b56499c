// Fetches parts of an item: its list of files, or one file. They come from the tree on IPFS that
// the narinfo names, or from the pieces in the chunk index. Both are hints that no signature
// covers. The blocks match their CIDs, but only the whole NAR shows whether the files were signed.

import { chunksOf, UserError } from './cache';
import { lines } from './fields';
import { block, options, pool } from './gateways';
import type { Item } from './item';
import { gatewaysFor } from './settings';
import { ChunkIndex, fetchIpfs, fetchOutline, NarSkim, ready, type NarEntry } from './wasm';

/** Largest file in bytes that is fetched alone. Larger files need the whole NAR. */
const MAX_FILE = 64 << 20;
/** Most blocks of the directories of a tree. */
const MAX_NODES = 20_000;

export interface FetchedFile {
  blob: Blob;
  /** Bytes of the blocks that were fetched. */
  fetched: number;
  blocks: number;
}

type File = NarEntry & { type: 'regular' };

const field = (item: Item, name: string) => item.info && lines(item.info.toString()).find(([key]) => key === name)?.[1];
/** Returns the CID of the chunk index that the narinfo names. */
export const chunkIndex = (item: Item): string | undefined => field(item, 'ChunkIndex');
/** Returns the CID of the item's tree on IPFS. */
export const treeOf = (item: Item): string | undefined => field(item, 'Tree');

/** The list of an item's files, and their CIDs by path where they are known. */
export interface Listing {
  entries: NarEntry[];
  cids: Map<string, string>;
}

/**
 * Lists the tree; it fetches only the directories. The result doesn't say which files are
 * executable.
 */
export async function outline(item: Item, root: string, signal: AbortSignal, onProgress: (entries: number) => void): Promise<Listing> {
  await ready();
  const cids = new Map<string, string>();
  const entries: NarEntry[] = [];
  const reader = fetchOutline(`ipfs://${root}`, pool(gatewaysFor(item.cache)), { ...options(signal), maxBlocks: MAX_NODES, inFlight: 12 }).getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    const { path, cid, ...what } = next.value;
    cids.set(path, cid);
    if (what.type === 'file') entries.push({ type: 'regular', path, executable: false, size: what.size, narOffset: 0 });
    else entries.push(what.type === 'symlink' ? { type: 'symlink', path, target: what.target } : { type: 'directory', path });
    onProgress(entries.length);
  }
  return { entries: sorted(entries), cids };
}

/** Sorts depth first, each folder before its entries. */
function sorted(entries: NarEntry[]): NarEntry[] {
  // The separator must sort before every character of a name.
  const key = (path: string) => path.replaceAll('/', '\0');
  const keyed = entries.map((entry) => [key(entry.path), entry] as const);
  keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return keyed.map(([, entry]) => entry);
}

/** Fetches a file of the tree by its CID. */
export async function fromTree(item: Item, cid: string, entry: File, signal: AbortSignal): Promise<FetchedFile> {
  await ready();
  if (entry.size > MAX_FILE) throw new Error('the file is too large to be fetched alone');
  const fetchStats = { fetched: 0, blocks: 0 };
  const stream = fetchIpfs(`ipfs://${cid}`, pool(gatewaysFor(item.cache)), { ...options(signal), maxBytes: entry.size, onEvent: (event) => {
    if (event.type === 'done') [fetchStats.fetched, fetchStats.blocks] = [event.networkBytes, event.blocks];
  } });
  const parts: BlobPart[] = [];
  for await (const chunk of chunksOf(stream)) parts.push(chunk);
  const blob = new Blob(parts);
  if (blob.size !== entry.size) throw new Error('the file doesn’t have the size in the list of files');
  return { blob, ...fetchStats };
}

/** Reads a NAR by its pieces. */
class PieceReader {
  readonly fetchStats = { fetched: 0, blocks: 0 };

  private constructor(private readonly index: ChunkIndex, private readonly gateways: string[], private readonly signal: AbortSignal) {}

  static async open(item: Item, root: string, signal: AbortSignal): Promise<PieceReader> {
    await ready();
    const gateways = gatewaysFor(item.cache);
    const bytes = await block(root, gateways, signal);
    const opened = new PieceReader(ChunkIndex.parse(root, bytes), gateways, signal);
    opened.count(bytes);
    return opened;
  }

  get narSize(): number {
    return this.index.narSize;
  }

  free(): void {
    this.index.free();
  }

  /** Yields the pieces that contain these bytes of the NAR, each with its offset in the NAR. */
  async *between(from: number, to: number): AsyncGenerator<[number, Uint8Array<ArrayBuffer>]> {
    for (const cid of this.index.missing(from, to)) this.index.add(cid, await this.fetch(cid));
    for (const { offset, leaves } of this.index.pieces(from, to)) {
      const bytes = await Promise.all(leaves.map((cid) => this.fetch(cid)));
      yield [offset, this.index.decode(offset, new Uint8Array(await new Blob(bytes).arrayBuffer())) as Uint8Array<ArrayBuffer>];
    }
  }

  private async fetch(cid: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.count(await block(cid, this.gateways, this.signal));
  }

  private count(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    this.fetchStats.fetched += bytes.length;
    this.fetchStats.blocks += 1;
    return bytes;
  }
}

/**
 * Lists the files; it fetches only the pieces that contain names and sizes, and skips file
 * contents.
 */
export async function skim(item: Item, root: string, signal: AbortSignal, onProgress: (done: number, total: number) => void): Promise<Listing> {
  const nar = await PieceReader.open(item, root, signal);
  const found = new NarSkim();
  try {
    const size = item.info?.narSize ?? 0;
    if (nar.narSize !== size) throw new UserError('The chunk index describes another NAR', 'Its size isn’t the NarSize of the narinfo.');
    while (!found.done) {
      const at = found.position;
      if (at >= size) throw new UserError('The chunk index describes another NAR', 'The files in it continue after the end of the NAR.');
      for await (const [offset, bytes] of nar.between(at, at + 1)) found.push(bytes.subarray(at - offset));
      if (found.position === at) throw new UserError('The chunk index has gaps', `None of its pieces contains byte ${at}.`);
      onProgress(found.position, size);
    }
    return { entries: found.entries(), cids: new Map() };
  } finally {
    nar.free();
    found.free();
  }
}

/** Fetches a file by its pieces. */
export async function fromPieces(item: Item, root: string, entry: File, signal: AbortSignal): Promise<FetchedFile> {
  if (entry.size > MAX_FILE || entry.narOffset === 0) throw new Error('the file can’t be fetched by its pieces');
  const [from, to] = [entry.narOffset, entry.narOffset + entry.size];
  const nar = await PieceReader.open(item, root, signal);
  try {
    const parts: BlobPart[] = [];
    if (entry.size > 0) for await (const [offset, plain] of nar.between(from, to)) parts.push(plain.subarray(Math.max(0, from - offset), to - offset));
    const blob = new Blob(parts);
    if (blob.size !== entry.size) throw new Error('the pieces don’t contain the whole file');
    return { blob, ...nar.fetchStats };
  } finally {
    nar.free();
  }
}
