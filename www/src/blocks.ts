// Blocks from gateways, one by one; and those that a file on IPFS is made of, read from its inner nodes alone. Each of those is checked against its CID; what the leaves weigh is
// what the nodes say.

import { limited, Trouble } from './cache';
import { blockLinks, ready } from './wasm';

/** Of one file: 174 leaves each, so some 700 GB. */
const MAX_NODES = 4_096;
const MAX_BLOCK = 2 << 20;
const PATIENCE_MS = 10_000;
const RACE_AFTER_MS = 1_000;

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

const links = (cid: string, gateways: string[], signal: AbortSignal) => block(cid, gateways, signal, (bytes) => blockLinks(cid, bytes));

/** How often each gateway failed: those that did are asked last. */
const faults = new Map<string, number>();

/** A block from a gateway that has it; `read` throws for wrong bytes. The next gateway is asked when one fails, or says nothing for a while. */
export async function block<T>(cid: string, gateways: string[], signal: AbortSignal, read: (bytes: Uint8Array) => T): Promise<T> {
  const won = new AbortController();
  const stop = AbortSignal.any([signal, won.signal]);
  const order = [...gateways].sort((a, b) => (faults.get(a) ?? 0) - (faults.get(b) ?? 0));
  let turn: Promise<unknown> = Promise.resolve();
  const tries = order.map((gateway) => {
    const mine = turn;
    const attempt = mine.then(() => ask(gateway, cid, stop, read));
    const failed = new Promise<void>((done) => attempt.catch(() => done()));
    turn = Promise.race([failed, mine.then(() => new Promise((done) => setTimeout(done, RACE_AFTER_MS)))]);
    return attempt;
  });
  try {
    return await Promise.any(tries);
  } catch (error) {
    const last: unknown = error instanceof AggregateError ? error.errors.at(-1) : error;
    throw new Trouble('No gateway gives this block', `${cid}: ${last instanceof Error ? last.message : 'there is no gateway'}`);
  } finally {
    won.abort();
  }
}

async function ask<T>(gateway: string, cid: string, stop: AbortSignal, read: (bytes: Uint8Array) => T): Promise<T> {
  stop.throwIfAborted();
  const began = performance.now();
  try {
    const late = AbortSignal.any([stop, AbortSignal.timeout(PATIENCE_MS)]);
    const response = await fetch(`${gateway}/ipfs/${cid}?format=raw`, { headers: { Accept: 'application/vnd.ipld.raw' }, signal: late, credentials: 'omit', redirect: 'manual' });
    if (!response.ok) throw new Error(`${gateway} answers ${response.status}`);
    return read(await limited(response, MAX_BLOCK));
  } catch (error) {
    // Whoever lost a race by little did nothing wrong.
    if (!stop.aborted || performance.now() - began > RACE_AFTER_MS) faults.set(gateway, (faults.get(gateway) ?? 0) + 1);
    throw error;
  }
}

/** Bytes of blocks, each counted once. */
export function once(lists: Leaf[][]): number {
  const sizes = new Map(lists.flat().map(({ cid, size }) => [cid, size]));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
