// Files that were dropped: a narinfo, a NAR in any compression, or a CAR with one. They stay in this page and are sent nowhere.

import { pieces, Trouble } from './cache';
import { anyCompression, type Item } from './item';
import { go } from './route';
import { openNarinfo } from './views/open';
import { CarReader, code, ready, words } from './wasm';

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
  if (file.name.endsWith('.car')) {
    held = await car(file);
    return go(address());
  }
  const found = compression(new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  if (!found) throw new Trouble('This is no NAR', 'It begins neither like a NAR nor like zstd, gzip, xz or lzip.');
  held = { title: file.name, file, sources: [{ url: file.name, compression: found as 'none', fileSize: file.size }] };
  go(address());
}

/** Takes files that are dropped anywhere on the page; without that the browser would leave the page for them. */
export function takeDrops(failed: (error: unknown) => void): void {
  const over = (yes: boolean) => document.body.classList.toggle('dropping', yes);
  addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    over(true);
  });
  addEventListener('dragleave', (event) => event.relatedTarget === null && over(false));
  addEventListener('drop', (event) => {
    const file = event.dataTransfer?.files[0];
    over(false);
    if (!file) return;
    event.preventDefault();
    openFile(file).catch(failed);
  });
}

let count = 0;

/** Another one for each file, so that a second one is another view. */
function address(): string {
  count += 1;
  return `#/file/${count}`;
}

/** Bytes of a CAR; its blocks are kept as blobs, which the browser may put on its disk. */
const MAX_CAR = 1 << 30;

async function car(file: File): Promise<Item> {
  if (file.size > MAX_CAR) throw new Trouble('This CAR is too large', 'No more than 1 GiB is read here.');
  const reader = new CarReader();
  const blocks = new Map<string, Blob>();
  try {
    for await (const piece of pieces(file.stream())) for (const [cid, bytes] of reader.push(piece)) blocks.set(cid, new Blob([bytes]));
    reader.finish();
    const [root] = reader.roots;
    if (!root) throw new Trouble('This CAR names no root', 'Nothing says which of its blocks is the beginning.');
    return { title: file.name, blocks, sources: anyCompression(root) };
  } catch (error) {
    if (error instanceof Trouble) throw error;
    throw new Trouble(code(error).startsWith('CID') ? 'A block of this CAR is wrong' : 'This is no CAR', words(error));
  } finally {
    reader.free();
  }
}
