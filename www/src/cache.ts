// What is asked of a cache. Every failure is a `Trouble` that says what to do.

import { ready, words, NarInfo } from './wasm';

/** As `core::narinfo` has it. */
const MAX_NARINFO = 1 << 20;
/** A cache that says nothing for so long is given up. */
export const PATIENCE_MS = 15_000;
/** Nix's base 32, 32 characters. */
const HASH = /^[0-9abcdfghijklmnpqrsvwxyz]{32}/;

/** A failure, told to people. */
export class Trouble extends Error {
  constructor(readonly title: string, detail: string) {
    super(detail);
  }
}

/** A cache's URL with its slash; throws for what is none. */
export function cacheUrl(text: string): string {
  const full = /^https?:\/\//i.test(text) ? text : `https://${text}`;
  let url: URL;
  try {
    url = new URL(full);
  } catch {
    throw new Trouble('This is no address', `“${text}” can’t be read as a URL. Write it like https://cache.example.org`);
  }
  url.hash = url.search = '';
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

/** The 32 characters that an item is asked by, out of a store path, a base name, a narinfo’s name or the characters themselves. */
export function hashPart(text: string): string | undefined {
  const base = text.trim().split('/').pop() ?? '';
  const found = HASH.exec(base)?.[0];
  return found && (base.length === 32 || /^[-.]/.test(base.slice(32))) ? found : undefined;
}

/** The answer to a GET; `undefined` of a 404. */
export async function get(url: string, what: string, signal?: AbortSignal): Promise<Response | undefined> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  const host = new URL(url).host;
  let response: Response;
  try {
    response = await fetch(url, { signal: signal ? AbortSignal.any([late, signal]) : late, credentials: 'omit' });
  } catch (error) {
    if (late.aborted) throw new Trouble(`${host} hangs`, `It took the request for ${what} and gave no answer within ${PATIENCE_MS / 1000} seconds.`);
    if (signal?.aborted) throw error;
    throw new Trouble(
      `${host} can’t be asked`,
      'It is not there, or it forbids web pages to read what it says (no Access-Control-Allow-Origin). interplanar publish allows it; for others an interplanar proxy on your machine helps.',
    );
  }
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Trouble(`${host} answers ${response.status}`, `Asked for ${what}.`);
  return response;
}

/** A narinfo; nothing that it says is verified yet. */
export async function narinfo(cache: string, hash: string, signal?: AbortSignal): Promise<NarInfo> {
  await ready();
  const response = await get(`${cache}${hash}.narinfo`, 'a narinfo', signal);
  if (!response) throw new Trouble('The cache does not have this item', `${cache} has no narinfo for ${hash}. It may have another cache’s items only, or have let it go.`);
  const info = parse(await limited(response, MAX_NARINFO));
  // A signed narinfo of another item would be right in all but that.
  if (hashPart(info.storePath) !== hash) {
    const other = info.storePath;
    info.free();
    throw new Trouble('The cache gives another item', `Asked for ${hash}, it gives the narinfo of ${other}. Don’t trust what it says.`);
  }
  return info;
}

/** Reads a narinfo’s text. */
export function parse(text: Uint8Array): NarInfo {
  try {
    return NarInfo.parse(text);
  } catch (error) {
    throw new Trouble('This is no narinfo', words(error));
  }
}

/** A body, unless it is longer than it may be. */
export async function limited(response: Response, max: number): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const part of pieces(response.body ?? new Blob([]).stream())) {
    length += part.length;
    if (length > max) throw new Trouble('The answer is too long', `More than ${max} bytes.`);
    parts.push(part);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** The pieces of a stream; leaving the loop lets go of it. */
export async function* pieces(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
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

export interface Listed {
  path: string;
  narSize: number;
  references: number;
  baked: boolean;
}

export interface Page {
  items: Listed[];
  next?: string;
}

/** A page of what a cache has; `undefined` if it can’t list. */
export async function list(cache: string, name: string, after?: string): Promise<Page | undefined> {
  const query = new URLSearchParams({ name, limit: '100' });
  if (after) query.set('after', after);
  const response = await get(`${cache}items.json?${query}`, 'its items');
  if (!response) return undefined;
  try {
    return (await response.json()) as Page;
  } catch {
    return undefined;
  }
}

/** The store directory of a cache; `undefined` if there is no cache. */
export async function storeDir(cache: string): Promise<string | undefined> {
  const response = await get(`${cache}nix-cache-info`, 'nix-cache-info');
  return response && /^StoreDir:\s*(\/\S+)/m.exec(await response.text())?.[1];
}
