// One file out of a deduplicating NAR: the chunk index tells which pieces have its bytes, and only their blocks are fetched.

import { block } from './blocks';
import { lines } from './fields';
import type { Item } from './item';
import { gatewaysFor } from './state';
import { blockLinks, ChunkIndex, ready, type NarEntry } from './wasm';

/** Larger files are read with the whole NAR, which is one stream. */
const MAX_FILE = 64 << 20;

/** The CID of the chunk index that the narinfo names. */
export function chunkIndex(item: Item): string | undefined {
  return item.info && lines(item.info.toString()).find(([key]) => key === 'ChunkIndex')?.[1];
}

export interface Part {
  blob: Blob;
  /** Bytes of the blocks that were fetched. */
  fetched: number;
  blocks: number;
}

/** Fetches a file. Throws if it can’t be had this way. */
export async function part(item: Item, root: string, entry: NarEntry & { type: 'regular' }, signal: AbortSignal): Promise<Part> {
  await ready();
  if (entry.size > MAX_FILE || entry.narOffset === 0) throw new Error('not this way');
  const gateways = gatewaysFor(item.cache);
  const [from, to] = [entry.narOffset, entry.narOffset + entry.size];
  const seen = { fetched: 0, blocks: 0 };
  const fetch = <T>(cid: string, read: (bytes: Uint8Array) => T) => block(cid, gateways, signal, (bytes) => {
    const value = read(bytes);
    seen.fetched += bytes.length;
    seen.blocks += 1;
    return value;
  });
  const index = await fetch(root, (bytes) => ChunkIndex.parse(root, bytes));
  try {
    for (const cid of index.missing(from, to)) await fetch(cid, (bytes) => index.add(cid, bytes));
    const parts: BlobPart[] = [];
    for (const { offset, length, leaves } of index.pieces(from, to)) {
      const bytes = await Promise.all(leaves.map((cid) => fetch(cid, (bytes) => {
        blockLinks(cid, bytes);
        return bytes as Uint8Array<ArrayBuffer>;
      })));
      const plain = index.decode(offset, new Uint8Array(await new Blob(bytes).arrayBuffer())) as Uint8Array<ArrayBuffer>;
      parts.push(plain.subarray(Math.max(0, from - offset), Math.min(length, to - offset)));
    }
    const blob = new Blob(parts);
    if (blob.size !== entry.size) throw new Error('the chunk index has not all of the file');
    return { blob, ...seen };
  } finally {
    index.free();
  }
}
