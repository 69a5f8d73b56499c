// Gateway pools. A pool remembers what the package learned about each gateway: one that sent wrong
// data or doesn't answer is avoided in the next fetch too.

import { UserError } from './cache';
import { fetchBlock, Gateways, ready, errorText, type FetchOptions } from './wasm';

/** Longest wait for the next block of a request. */
const REQUEST_MS = 10_000;
/** Longest wait for gateways that are avoided at the moment. */
const PATIENCE_MS = 5_000;

const pools = new Map<string, Gateways>();

/** Returns the pool for these addresses; the same addresses share a pool. */
export function pool(gateways: string[]): Gateways {
  if (gateways.length === 0) throw new UserError('There is no gateway', 'Add one under Gateways.');
  const key = gateways.join(' ');
  const known = pools.get(key) ?? new Gateways(gateways);
  pools.set(key, known);
  return known;
}

/**
 * Options of every fetch. Redirects are off: a gateway must not send the browser to other hosts.
 */
export const options = (signal: AbortSignal): FetchOptions => ({ signal, redirect: 'manual', requestTimeoutMs: REQUEST_MS, patienceMs: PATIENCE_MS });

/** Fetches and verifies a block from any of the gateways. */
export async function block(cid: string, gateways: string[], signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  await ready();
  try {
    return new Uint8Array(await new Response(fetchBlock(cid, pool(gateways), options(signal))).arrayBuffer());
  } catch (error) {
    if (signal.aborted || error instanceof UserError) throw error;
    throw new UserError('No gateway sent this block', `${cid}: ${errorText(error)}`);
  }
}
