// Parts of an item without the rest of it: its list of files, and one file. By the tree on IPFS that its narinfo names, or by the chunk index of its
// deduplicating NAR. Both are hints that nobody signed: what comes by them is what their CID stands for, and only the whole NAR tells whether that is
// what was signed.

import { pieces, Trouble } from './cache';
import { lines } from './fields';
import { block, options, pool } from './gateways';
import type { Item } from './item';
import { gatewaysFor } from './state';
import { ChunkIndex, fetchIpfs, fetchOutline, NarSkim, ready, type NarEntry } from './wasm';

/** Larger files are read with the whole NAR, which is one stream. */
const MAX_FILE = 64 << 20;
/** Of the folders of a tree. */
const MAX_NODES = 20_000;

export interface Part {
  blob: Blob;
  /** Bytes of the blocks that were fetched. */
  fetched: number;
  blocks: number;
}

type File = NarEntry & { type: 'regular' };

const field = (item: Item, name: string) => item.info && lines(item.info.toString()).find(([key]) => key === name)?.[1];
/** The CID of the chunk index that the narinfo names. */
export const chunkIndex = (item: Item): string | undefined => field(item, 'ChunkIndex');
/** The CID of the item’s files as a folder on IPFS. */
export const treeOf = (item: Item): string | undefined => field(item, 'Tree');

/** A list of an item’s files, and what each of them is on IPFS, where that is known. */
export interface Listing {
  entries: NarEntry[];
  cids: Map<string, string>;
}

/** What is in the tree, by the blocks of its folders alone. Which files may be run it does not say. */
export async function outline(item: Item, root: string, signal: AbortSignal, told: (entries: number) => void): Promise<Listing> {
  await ready();
  const cids = new Map<string, string>();
  const entries: NarEntry[] = [];
  const reader = fetchOutline(`ipfs://${root}`, pool(gatewaysFor(item.cache)), { ...options(signal), maxBlocks: MAX_NODES, inFlight: 12 }).getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    const { path, cid, ...what } = next.value;
    cids.set(path, cid);
    if (what.type === 'file') entries.push({ type: 'regular', path, executable: false, size: what.size, narOffset: 0 });
    else entries.push(what.type === 'symlink' ? { type: 'symlink', path, target: what.target } : { type: 'directory', path });
    told(entries.length);
  }
  return { entries: sorted(entries), cids };
}

/** Depth first, each folder before what is in it. */
function sorted(entries: NarEntry[]): NarEntry[] {
  // The slash comes before all that a name may have.
  const key = (path: string) => path.replaceAll('/', '\0');
  const keyed = entries.map((entry) => [key(entry.path), entry] as const);
  keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return keyed.map(([, entry]) => entry);
}

/** A file of the tree, by its own CID. */
export async function fromTree(item: Item, cid: string, entry: File, signal: AbortSignal): Promise<Part> {
  await ready();
  if (entry.size > MAX_FILE) throw new Error('not this way');
  const seen = { fetched: 0, blocks: 0 };
  const stream = fetchIpfs(`ipfs://${cid}`, pool(gatewaysFor(item.cache)), { ...options(signal), maxBytes: entry.size, onEvent: (event) => {
    if (event.type === 'done') [seen.fetched, seen.blocks] = [event.networkBytes, event.blocks];
  } });
  const parts: BlobPart[] = [];
  for await (const piece of pieces(stream)) parts.push(piece);
  const blob = new Blob(parts);
  if (blob.size !== entry.size) throw new Error('the list of files says another size');
  return { blob, ...seen };
}

/** The pieces of a deduplicating NAR. */
class Pieces {
  readonly seen = { fetched: 0, blocks: 0 };

  private constructor(private readonly index: ChunkIndex, private readonly gateways: string[], private readonly signal: AbortSignal) {}

  static async open(item: Item, root: string, signal: AbortSignal): Promise<Pieces> {
    await ready();
    const gateways = gatewaysFor(item.cache);
    const bytes = await block(root, gateways, signal);
    const opened = new Pieces(ChunkIndex.parse(root, bytes), gateways, signal);
    opened.count(bytes);
    return opened;
  }

  get narSize(): number {
    return this.index.narSize;
  }

  free(): void {
    this.index.free();
  }

  /** The pieces that have these bytes of the NAR, one after the other, each with where it starts. */
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
    this.seen.fetched += bytes.length;
    this.seen.blocks += 1;
    return bytes;
  }
}

/** The list of files out of the pieces that have framing; contents between are passed over. */
export async function skim(item: Item, root: string, signal: AbortSignal, told: (done: number, total: number) => void): Promise<Listing> {
  const nar = await Pieces.open(item, root, signal);
  const found = new NarSkim();
  try {
    const size = item.info?.narSize ?? 0;
    if (nar.narSize !== size) throw new Trouble('The chunk index is of another NAR', 'It says another size.');
    while (!found.done) {
      const at = found.position;
      if (at >= size) throw new Trouble('The chunk index is of another NAR', 'It goes on behind its end.');
      for await (const [offset, bytes] of nar.between(at, at + 1)) found.push(bytes.subarray(at - offset));
      if (found.position === at) throw new Trouble('The chunk index has gaps', `Byte ${at} is in none of its pieces.`);
      told(found.position, size);
    }
    return { entries: found.entries(), cids: new Map() };
  } finally {
    nar.free();
    found.free();
  }
}

/** A file by its pieces. */
export async function fromPieces(item: Item, root: string, entry: File, signal: AbortSignal): Promise<Part> {
  if (entry.size > MAX_FILE || entry.narOffset === 0) throw new Error('not this way');
  const [from, to] = [entry.narOffset, entry.narOffset + entry.size];
  const nar = await Pieces.open(item, root, signal);
  try {
    const parts: BlobPart[] = [];
    if (entry.size > 0) for await (const [offset, plain] of nar.between(from, to)) parts.push(plain.subarray(Math.max(0, from - offset), to - offset));
    const blob = new Blob(parts);
    if (blob.size !== entry.size) throw new Error('the chunk index has not all of the file');
    return { blob, ...nar.seen };
  } finally {
    nar.free();
  }
}
