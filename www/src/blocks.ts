// The blocks that a file on IPFS is made of, read from its inner nodes alone. Each of those is checked against its CID; what the leaves weigh is
// what the nodes say.

import { limited, Trouble } from './cache';
import { blockLinks, ready } from './wasm';

/** Of one file: 174 leaves each, so some 700 GB. */
const MAX_NODES = 4_096;
const MAX_BLOCK = 2 << 20;
const PATIENCE_MS = 10_000;

export interface Leaf {
  cid: string;
  size: number;
}

/** The leaves in their order. */
export async function leaves(root: string, size: number | undefined, gateways: string[], signal: AbortSignal): Promise<Leaf[]> {
  await ready();
  const found: Leaf[] = [];
  const open: (Leaf & { leaf: boolean })[] = [{ cid: root, size: size ?? 0, leaf: root.startsWith('bafkrei') }];
  let nodes = 0;
  for (let next = open.pop(); next; next = open.pop()) {
    if (next.leaf) {
      found.push({ cid: next.cid, size: next.size });
      continue;
    }
    nodes += 1;
    if (nodes > MAX_NODES) throw new Trouble('Too many blocks', `More than ${MAX_NODES} inner nodes.`);
    open.push(...(await links(next.cid, gateways, signal)).reverse());
  }
  return found;
}

async function links(cid: string, gateways: string[], signal: AbortSignal) {
  let last: unknown = new Error('there is no gateway');
  for (const gateway of gateways) {
    try {
      const late = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
      const response = await fetch(`${gateway}/ipfs/${cid}?format=raw`, { headers: { Accept: 'application/vnd.ipld.raw' }, signal: late, credentials: 'omit', redirect: 'manual' });
      if (!response.ok) throw new Error(`${gateway} answers ${response.status}`);
      return blockLinks(cid, await limited(response, MAX_BLOCK));
    } catch (error) {
      if (signal.aborted) throw error;
      last = error;
    }
  }
  throw new Trouble('No gateway gives this block', `${cid}: ${last instanceof Error ? last.message : String(last)}`);
}

/** Bytes of blocks, each counted once. */
export function once(lists: Leaf[][]): number {
  const sizes = new Map(lists.flat().map(({ cid, size }) => [cid, size]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
