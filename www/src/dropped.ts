// Files that were dropped: a narinfo, or a NAR in any compression. They stay in this page and are sent nowhere.

import { Trouble } from './cache';
import type { Item } from './item';
import { go } from './route';
import { openNarinfo } from './views/open';
import { ready } from './wasm';

let held: Item | undefined;

/** The file that is open. */
export const droppedItem = (): Item | undefined => held;

/** How formats begin. */
const MAGIC: [string, number[]][] = [
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['lzip', [0x4c, 0x5a, 0x49, 0x50]],
  ['none', [0x0d, 0, 0, 0, 0, 0, 0, 0, 0x6e, 0x69, 0x78, 0x2d]],
];

/** The compression of a NAR, by its first bytes. */
export function compression(start: Uint8Array): string | undefined {
  return MAGIC.find(([, magic]) => magic.every((byte, index) => start[index] === byte))?.[0];
}

/** Opens a file. */
export async function openFile(file: File): Promise<void> {
  await ready();
  if (file.name.endsWith('.narinfo')) return openNarinfo(new Uint8Array(await file.slice(0, 1 << 20).arrayBuffer()));
  const found = compression(new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  if (!found) throw new Trouble('This is no NAR', 'It begins neither like a NAR nor like zstd, gzip, xz or lzip.');
  held = { title: file.name, file, sources: [{ url: file.name, compression: found as 'none', fileSize: file.size }] };
  go('#/file');
}
