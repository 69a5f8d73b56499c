// The gateways that are asked, with what the package has learnt of each: one that lied or hangs stays put aside for what is fetched next.

import { Trouble } from './cache';
import { fetchBlock, Gateways, ready, words, type FetchOptions } from './wasm';

/** A request that brings no block for so long is given up. */
const REQUEST_MS = 10_000;
/** Gateways that are put aside are waited for no longer. */
const PATIENCE_MS = 5_000;

const pools = new Map<string, Gateways>();

/** The same ones for the same addresses. */
export function pool(gateways: string[]): Gateways {
  if (gateways.length === 0) throw new Trouble('No gateway to ask', 'Name one under Gateways.');
  const key = gateways.join(' ');
  const known = pools.get(key) ?? new Gateways(gateways);
  pools.set(key, known);
  return known;
}

/** How all here is fetched: a gateway may not lead to hosts that the user did not name. */
export const options = (signal: AbortSignal): FetchOptions => ({ signal, redirect: 'manual', requestTimeoutMs: REQUEST_MS, patienceMs: PATIENCE_MS });

/** A block from whichever gateway has it, verified. */
export async function block(cid: string, gateways: string[], signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  await ready();
  try {
    return new Uint8Array(await new Response(fetchBlock(cid, pool(gateways), options(signal))).arrayBuffer());
  } catch (error) {
    if (signal.aborted || error instanceof Trouble) throw error;
    throw new Trouble('No gateway gives this block', `${cid}: ${words(error)}`);
  }
}
