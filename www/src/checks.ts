// Checks what a gateway can do. Each question has its own request, and an answer as text.

import { cid as cidOf, isIpfs } from './item';
import { fetchIpfs, Gateways, errorText, errorCode } from './wasm';
import { chunksOf } from './cache';

/** Longest wait for a gateway's answer. */
const TIMEOUT_MS = 8_000;

export interface Answer {
  kind: 'good' | 'warn' | 'bad';
  text: string;
}

/** The questions, in the order of the table's columns. */
export const QUESTIONS = ['Raw block', 'CAR', 'Range', 'Correct data'] as const;

/** Asks all questions, and calls `onAnswer` with each answer. */
export async function check(gateway: string, url: string, signal: AbortSignal, onAnswer: (question: number, answer: Answer) => void): Promise<void> {
  const root = cidOf(url) ?? '';
  const at = `${gateway}/ipfs/${root}`;
  const asks = [
    () => ask(`${at}?format=raw`, 'application/vnd.ipld.raw', undefined, signal),
    () => ask(`${at}?format=car&dag-scope=block`, 'application/vnd.ipld.car', undefined, signal),
    () => ask(at, '*/*', 'bytes=0-0', signal),
    () => checkData(gateway, isIpfs(url) ? url : `ipfs://${root}`, signal),
  ];
  await Promise.all(asks.map(async (work, question) => onAnswer(question, await work())));
}

async function ask(url: string, accept: string, range: string | undefined, signal: AbortSignal): Promise<Answer> {
  const late = AbortSignal.timeout(TIMEOUT_MS);
  const start = performance.now();
  try {
    const headers: Record<string, string> = { Accept: accept };
    if (range) headers.Range = range;
    const response = await fetch(url, { headers, signal: AbortSignal.any([signal, late]), cache: 'no-store', credentials: 'omit', redirect: 'manual' });
    const ms = Math.round(performance.now() - start);
    await response.body?.cancel();
    return judge(response, accept, range, ms);
  } catch {
    return late.aborted ? { kind: 'bad', text: `no answer within ${TIMEOUT_MS / 1000} s` } : { kind: 'bad', text: 'can’t be reached, or forbids web pages' };
  }
}

function judge(response: Response, accept: string, range: string | undefined, ms: number): Answer {
  if (response.type === 'opaqueredirect') return { kind: 'warn', text: 'redirects to another address' };
  if (response.status === 404 || response.status === 410) return { kind: 'warn', text: `not found, ${ms} ms` };
  if (!response.ok) return { kind: 'bad', text: `status ${response.status}` };
  const type = response.headers.get('content-type') ?? '';
  if (accept !== '*/*' && !type.startsWith(accept)) return { kind: 'bad', text: `wrong Content-Type: ${type.slice(0, 40) || 'none'}` };
  if (range && response.status !== 206) return { kind: 'warn', text: 'ignores ranges, sends the whole file' };
  return { kind: 'good', text: `${ms} ms` };
}

/**
 * Fetches the first byte of the file from this gateway alone, and checks every block on the path to
 * it.
 */
async function checkData(gateway: string, url: string, signal: AbortSignal): Promise<Answer> {
  const late = AbortSignal.timeout(2 * TIMEOUT_MS);
  const gateways = new Gateways([gateway]);
  try {
    let blocks = 0;
    let fault: unknown;
    const stream = fetchIpfs(url, gateways, {
      range: { from: 0, to: 0 }, signal: AbortSignal.any([signal, late]), requestTimeoutMs: TIMEOUT_MS, patienceMs: 0, redirect: 'manual',
      onEvent: (event) => {
        if (event.type === 'progress') blocks = event.blocks;
        if (event.type === 'fault' && WRONG_DATA.has(errorCode(event.error))) fault ??= event.error;
      },
    });
    for await (const _ of chunksOf(stream));
    if (fault) return { kind: 'bad', text: `no, ${errorText(fault)}` };
    return { kind: 'good', text: `yes, ${blocks} ${blocks === 1 ? 'block' : 'blocks'} verified` };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    if (WRONG_DATA.has(errorCode(cause))) return { kind: 'bad', text: `no, ${errorText(cause)}` };
    return { kind: 'warn', text: late.aborted ? 'unknown: no answer' : 'unknown: it sent nothing' };
  } finally {
    gateways.free();
  }
}

/** Codes of errors that mean the gateway sent wrong data. */
const WRONG_DATA = new Set(['GATEWAY_WRONG_HASH', 'GATEWAY_NOT_CAR', 'GATEWAY_NOT_BLOCK', 'GATEWAY_UNASKED', 'GATEWAY_TOO_LARGE']);

/** Checks by a HEAD request whether an HTTP source has the file. */
export async function http(url: string, signal: AbortSignal): Promise<Answer> {
  const late = AbortSignal.timeout(TIMEOUT_MS);
  const start = performance.now();
  try {
    const response = await fetch(url, { method: 'HEAD', signal: AbortSignal.any([signal, late]), cache: 'no-store', credentials: 'omit' });
    const ms = Math.round(performance.now() - start);
    return response.ok ? { kind: 'good', text: `available, ${ms} ms` } : { kind: 'bad', text: `status ${response.status}` };
  } catch {
    return late.aborted ? { kind: 'bad', text: `no answer within ${TIMEOUT_MS / 1000} s` } : { kind: 'bad', text: 'can’t be reached, or forbids web pages' };
  }
}
