// What a gateway can do, found by asking it: each question has its own request, and an answer in words.

import { cid as cidOf, isIpfs } from './item';
import { fetchIpfs, Gateways, words, code } from './wasm';
import { pieces } from './cache';

/** A gateway that says nothing for so long hangs. */
const PATIENCE_MS = 8_000;

export interface Answer {
  kind: 'good' | 'warn' | 'bad';
  text: string;
}

/** The questions, in the order of the table’s columns. */
export const QUESTIONS = ['Raw block', 'CAR', 'Range', 'Honest'] as const;

/** Asks all of them; `told` hears of each answer as it comes. */
export async function check(gateway: string, url: string, signal: AbortSignal, told: (question: number, answer: Answer) => void): Promise<void> {
  const root = cidOf(url) ?? '';
  const at = `${gateway}/ipfs/${root}`;
  const asks = [
    () => ask(`${at}?format=raw`, 'application/vnd.ipld.raw', undefined, signal),
    () => ask(`${at}?format=car&dag-scope=block`, 'application/vnd.ipld.car', undefined, signal),
    () => ask(at, '*/*', 'bytes=0-0', signal),
    () => honest(gateway, isIpfs(url) ? url : `ipfs://${root}`, signal),
  ];
  await Promise.all(asks.map(async (work, question) => told(question, await work())));
}

async function ask(url: string, accept: string, range: string | undefined, signal: AbortSignal): Promise<Answer> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  const start = performance.now();
  try {
    const headers: Record<string, string> = { Accept: accept };
    if (range) headers.Range = range;
    const response = await fetch(url, { headers, signal: AbortSignal.any([signal, late]), cache: 'no-store', credentials: 'omit', redirect: 'manual' });
    const ms = Math.round(performance.now() - start);
    await response.body?.cancel();
    return judge(response, accept, range, ms);
  } catch {
    return late.aborted ? { kind: 'bad', text: `hangs: no answer in ${PATIENCE_MS / 1000} s` } : { kind: 'bad', text: 'can’t be reached, or forbids web pages' };
  }
}

function judge(response: Response, accept: string, range: string | undefined, ms: number): Answer {
  if (response.type === 'opaqueredirect') return { kind: 'warn', text: 'leads elsewhere' };
  if (response.status === 404 || response.status === 410) return { kind: 'warn', text: `not found, ${ms} ms` };
  if (!response.ok) return { kind: 'bad', text: `answers ${response.status}` };
  const type = response.headers.get('content-type') ?? '';
  if (accept !== '*/*' && !type.startsWith(accept)) return { kind: 'bad', text: `another format: ${type.slice(0, 40) || 'none said'}` };
  if (range && response.status !== 206) return { kind: 'warn', text: 'sends the whole' };
  return { kind: 'good', text: `${ms} ms` };
}

/** Fetches the beginning of the file from this gateway alone, with all that leads to it, and checks every block. */
async function honest(gateway: string, url: string, signal: AbortSignal): Promise<Answer> {
  const late = AbortSignal.timeout(2 * PATIENCE_MS);
  const gateways = new Gateways([gateway]);
  try {
    let blocks = 0;
    let fault: unknown;
    const stream = fetchIpfs(url, gateways, {
      range: { from: 0, to: 0 }, signal: AbortSignal.any([signal, late]), requestTimeoutMs: PATIENCE_MS, patienceMs: 0, redirect: 'manual',
      onEvent: (event) => {
        if (event.type === 'progress') blocks = event.blocks;
        if (event.type === 'fault' && LIES.has(code(event.error))) fault ??= event.error;
      },
    });
    for await (const _ of pieces(stream));
    if (fault) return { kind: 'bad', text: `lied: ${words(fault)}` };
    return { kind: 'good', text: `yes, ${blocks} ${blocks === 1 ? 'block' : 'blocks'} verified` };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    if (LIES.has(code(cause))) return { kind: 'bad', text: `lied: ${words(cause)}` };
    return { kind: 'warn', text: late.aborted ? 'not known: it hangs' : 'not known: nothing came' };
  } finally {
    gateways.free();
  }
}

/** What only a gateway does that is broken or lies. */
const LIES = new Set(['GATEWAY_WRONG_HASH', 'GATEWAY_NOT_CAR', 'GATEWAY_NOT_BLOCK', 'GATEWAY_UNASKED', 'GATEWAY_TOO_LARGE']);

/** Asks an HTTP source for its size. */
export async function http(url: string, signal: AbortSignal): Promise<Answer> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  const start = performance.now();
  try {
    const response = await fetch(url, { method: 'HEAD', signal: AbortSignal.any([signal, late]), cache: 'no-store', credentials: 'omit' });
    const ms = Math.round(performance.now() - start);
    return response.ok ? { kind: 'good', text: `there, ${ms} ms` } : { kind: 'bad', text: `answers ${response.status}` };
  } catch {
    return late.aborted ? { kind: 'bad', text: `hangs: no answer in ${PATIENCE_MS / 1000} s` } : { kind: 'bad', text: 'can’t be reached, or forbids web pages' };
  }
}
