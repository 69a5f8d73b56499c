// Lists the blocks of a file on IPFS. It reads only the inner nodes, and checks each against its
// CID. The sizes of the leaves are those that the nodes state.

import { UserError } from './cache';
import { block } from './gateways';
import { blockLinks } from './wasm';

/** Most inner nodes of one file. Each has up to 174 leaves, so this is enough for about 700 GB. */
const MAX_NODES = 4_096;

export interface Leaf {
  cid: string;
  size: number;
}

/** Returns the leaves in file order. */
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
    if (nodes > MAX_NODES) throw new UserError('Too many blocks', `The file has more than ${MAX_NODES} inner nodes.`);
    open.push(...blockLinks(next.cid, await block(next.cid, gateways, signal)).reverse());
  }
  return found;
}

/** Sums the bytes of all blocks, and counts each block once. */
export function distinctBytes(lists: Leaf[][]): number {
  const sizes = new Map(lists.flat().map(({ cid, size }) => [cid, size]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
