// The blocks that a file on IPFS is made of, read from its inner nodes alone. Each of those is checked against its CID; what the leaves weigh is what the
// nodes say.

import { Trouble } from './cache';
import { block } from './gateways';
import { blockLinks } from './wasm';

/** Of one file: 174 leaves each, so some 700 GB. */
const MAX_NODES = 4_096;

export interface Leaf {
  cid: string;
  size: number;
}

/** The leaves in their order. */
export async function leaves(root: string, size: number | undefined, gateways: string[], signal: AbortSignal): Promise<Leaf[]> {
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
    open.push(...blockLinks(next.cid, await block(next.cid, gateways, signal)).reverse());
  }
  return found;
}

/** Bytes of blocks, each counted once. */
export function once(lists: Leaf[][]): number {
  const sizes = new Map(lists.flat().map(({ cid, size }) => [cid, size]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
