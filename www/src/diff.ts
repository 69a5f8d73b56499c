// Finds the differences between two lists of files.

import { content, type Nar } from './item';
import type { NarEntry } from './wasm';

export interface Change {
  path: string;
  kind: 'added' | 'removed' | 'changed';
  what: string;
}

/** Compares the entries only: two files of the same size count as equal. */
export function compare(old: NarEntry[], other: NarEntry[]): Change[] {
  const before = new Map(old.map((entry) => [entry.path, entry]));
  const after = new Map(other.map((entry) => [entry.path, entry]));
  const changes: Change[] = [];
  for (const [path, entry] of before) {
    const now = after.get(path);
    if (!now) changes.push({ path, kind: 'removed', what: describe(entry) });
    else if (describe(entry) !== describe(now)) changes.push({ path, kind: 'changed', what: `${describe(entry)} → ${describe(now)}` });
  }
  for (const [path, entry] of after) if (!before.has(path)) changes.push({ path, kind: 'added', what: describe(entry) });
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function describe(entry: NarEntry): string {
  if (entry.type === 'directory') return 'folder';
  if (entry.type === 'symlink') return `link to ${entry.target}`;
  return `${entry.size} bytes${entry.executable ? ', executable' : ''}`;
}

/** Bytes to compare at a time. */
const MAX_PIECE = 4 << 20;

/** Finds files whose entries are equal, but whose content differs. */
export async function contents(old: Nar, other: Nar, changes: Change[], signal: AbortSignal): Promise<Change[]> {
  const known = new Set(changes.map(({ path }) => path));
  const after = new Map(other.entries.map((entry) => [entry.path, entry]));
  const found: Change[] = [];
  for (const entry of old.entries) {
    const now = after.get(entry.path);
    if (signal.aborted) break;
    if (entry.type !== 'regular' || now?.type !== 'regular' || known.has(entry.path)) continue;
    if (!(await equal(content(old, entry), content(other, now)))) found.push({ path: entry.path, kind: 'changed', what: `different content, same size (${entry.size} bytes)` });
  }
  return found;
}

async function equal(one: Blob, other: Blob): Promise<boolean> {
  for (let at = 0; at < one.size; at += MAX_PIECE) {
    const [a, b] = await Promise.all([one, other].map(async (blob) => new Uint8Array(await blob.slice(at, at + MAX_PIECE).arrayBuffer())));
    if (!a || !b || a.some((byte, index) => byte !== b[index])) return false;
  }
  return true;
}
