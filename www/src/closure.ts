// Fetches the closure of an item: the item, its references, their references, and so on.

import { hashPart, narinfo, UserError } from './cache';
import { cid, isIpfs } from './item';
import { verdict, type Verdict } from './trust';
import type { NarInfo } from './wasm';

/** Most items to fetch. Of a larger closure only a part is shown. */
export const MAX_ITEMS = 500;
/** Requests at the same time. */
const AT_ONCE = 6;

export interface Member {
  /** Base name. */
  base: string;
  /** Steps from the item that was opened. */
  depth: number;
  narSize: number;
  references: string[];
  verdict: Verdict['kind'];
  /** Title of the verdict. */
  signature: string;
  ipfs?: { cid: string; size: number | undefined };
}

export interface Closure {
  members: Member[];
  /** Whether the closure has more items than were fetched. */
  more: boolean;
}

/** Fetches the narinfos level by level. */
export async function closure(cache: string, info: NarInfo, signal: AbortSignal, onProgress: (done: number, known: number) => void): Promise<Closure> {
  const root = info.storePath.split('/').pop() ?? '';
  const members = new Map([[root, member(root, 0, info)]]);
  let level = [root];
  for (let depth = 1; level.length > 0 && members.size < MAX_ITEMS; depth += 1) {
    const next = [...new Set(level.flatMap((base) => members.get(base)?.references ?? []))].filter((base) => !members.has(base)).slice(0, MAX_ITEMS - members.size);
    const open = [...next];
    const work = async () => {
      for (let base = open.shift(); base !== undefined; base = open.shift()) {
        members.set(base, await ask(cache, base, depth, signal));
        onProgress(members.size, members.size + open.length);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    level = next;
  }
  const all = [...members.values()];
  return { members: all, more: all.some(({ references }) => references.some((base) => !members.has(base))) };
}

async function ask(cache: string, base: string, depth: number, signal: AbortSignal): Promise<Member> {
  let info: NarInfo | undefined;
  try {
    info = await narinfo(cache, hashPart(base) ?? '', signal);
    if (info.storePath.split('/').pop() !== base) throw new UserError('The cache sent another item', info.storePath);
    return member(base, depth, info);
  } catch (error) {
    if (signal.aborted) throw error;
    return { base, depth, narSize: 0, references: [], verdict: 'bad', signature: error instanceof UserError ? error.title : String(error) };
  } finally {
    info?.free();
  }
}

function member(base: string, depth: number, info: NarInfo): Member {
  const { kind, title } = verdict(info);
  const entry = info.entries.find(({ url }) => isIpfs(url));
  const found = entry && cid(entry.url);
  return {
    base, depth, narSize: info.narSize, references: info.references, verdict: kind, signature: title,
    ...(found ? { ipfs: { cid: found, size: entry.fileSize } } : {}),
  };
}
