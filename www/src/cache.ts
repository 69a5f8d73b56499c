// Requests to a cache. Every failure is a `UserError` that says what to do next.

import { ready, errorText, NarInfo } from './wasm';

/** Longest narinfo in bytes; the same limit as in `core::narinfo`. */
const MAX_NARINFO = 1 << 20;
/** Longest wait for a cache's answer. */
export const TIMEOUT_MS = 15_000;
/** A hash part: 32 characters in Nix's base 32. */
const HASH = /^[0-9abcdfghijklmnpqrsvwxyz]{32}/;

/** An error with a title and a text for the user. */
export class UserError extends Error {
  constructor(readonly title: string, detail: string) {
    super(detail);
  }
}

/** Returns the URL of a cache, with a slash at the end. Throws if the text isn't a URL. */
export function cacheUrl(text: string): string {
  const full = /^https?:\/\//i.test(text) ? text : `https://${text}`;
  let url: URL;
  try {
    url = new URL(full);
  } catch {
    throw new UserError('This isn’t a URL', `Can’t read “${text}” as a URL. Write it like https://cache.example.org`);
  }
  url.hash = url.search = '';
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

/**
 * Finds the hash part in a store path, a base name, a narinfo's file name or the hash part itself.
 */
export function hashPart(text: string): string | undefined {
  const base = text.trim().split('/').pop() ?? '';
  const found = HASH.exec(base)?.[0];
  return found && (base.length === 32 || /^[-.]/.test(base.slice(32))) ? found : undefined;
}

/** Sends a GET request; `what` names its object in errors. Returns `undefined` for status 404. */
export async function get(url: string, what: string, signal?: AbortSignal): Promise<Response | undefined> {
  const late = AbortSignal.timeout(TIMEOUT_MS);
  const host = new URL(url).host;
  let response: Response;
  try {
    response = await fetch(url, { signal: signal ? AbortSignal.any([late, signal]) : late, credentials: 'omit' });
  } catch (error) {
    if (late.aborted) throw new UserError(`${host} doesn’t answer`, `It sent no answer to the request for ${what} within ${TIMEOUT_MS / 1000} seconds.`);
    if (signal?.aborted) throw error;
    throw new UserError(
      `Can’t reach ${host}`,
      'The server is down, or it forbids web pages to read its answers (no Access-Control-Allow-Origin). interplanar publish allows it. For other caches, run interplanar proxy on your machine, and open the proxy here.',
    );
  }
  if (response.status === 404) return undefined;
  if (!response.ok) throw new UserError(`${host} answered with status ${response.status}`, `The request was for ${what}.`);
  return response;
}

/** Fetches and parses a narinfo. Nothing in it is verified yet. */
export async function narinfo(cache: string, hash: string, signal?: AbortSignal): Promise<NarInfo> {
  await ready();
  const response = await get(`${cache}${hash}.narinfo`, 'a narinfo', signal);
  if (!response) throw new UserError('The cache does not have this item', `${cache} has no narinfo for ${hash}. Perhaps another cache has the item, or this one has deleted it.`);
  const info = parse(await readLimited(response, MAX_NARINFO));
  // The signature of another item's narinfo is valid too, so the store path is compared.
  if (hashPart(info.storePath) !== hash) {
    const other = info.storePath;
    info.free();
    throw new UserError('The cache sent another item', `For ${hash} it sent the narinfo of ${other}. Don’t trust this answer.`);
  }
  return info;
}

/** Parses the text of a narinfo. */
export function parse(text: Uint8Array): NarInfo {
  try {
    return NarInfo.parse(text);
  } catch (error) {
    throw new UserError('This isn’t a narinfo', errorText(error));
  }
}

/** Reads the body of a response. Throws if it is longer than `max` bytes. */
export async function readLimited(response: Response, max: number): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of chunksOf(response.body ?? new Blob([]).stream())) {
    length += chunk.length;
    if (length > max) throw new UserError('The answer is too long', `It has more than ${max} bytes.`);
    parts.push(chunk);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** Yields the chunks of a stream. Leaving the loop cancels the stream. */
export async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      ended = done;
      if (done) return;
      yield value as Uint8Array<ArrayBuffer>;
    }
  } catch (error) {
    ended = true;
    throw error;
  } finally {
    if (!ended) await reader.cancel().catch(() => {});
  }
}

export interface ListedItem {
  path: string;
  narSize: number;
  references: number;
  baked: boolean;
}

export interface ItemPage {
  items: ListedItem[];
  next?: string;
}

/** Fetches one page of the list of items. Returns `undefined` if the cache has no such list. */
export async function list(cache: string, name: string, after?: string): Promise<ItemPage | undefined> {
  const query = new URLSearchParams({ name, limit: '100' });
  if (after) query.set('after', after);
  const response = await get(`${cache}items.json?${query}`, 'the list of items');
  if (!response) return undefined;
  try {
    return (await response.json()) as ItemPage;
  } catch {
    return undefined;
  }
}

/** Fetches the store directory of a cache. Returns `undefined` if the server is no cache. */
export async function storeDir(cache: string): Promise<string | undefined> {
  const response = await get(`${cache}nix-cache-info`, 'nix-cache-info');
  return response && /^StoreDir:\s*(\/\S+)/m.exec(await response.text())?.[1];
}
