// Opens dropped files: a narinfo, a NAR in any compression, or a CAR that contains one. They stay
// in this page; nothing is uploaded.

import { chunksOf, UserError } from './cache';
import { anyCompression, type Item } from './item';
import { go } from './route';
import { openNarinfo } from './views/open';
import { CarReader, errorCode, ready, errorText } from './wasm';

let openItem: Item | undefined;

/** Returns the open file. */
export const droppedItem = (): Item | undefined => openItem;

/** First bytes of each format. */
const MAGIC: [string, number[]][] = [
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['lzip', [0x4c, 0x5a, 0x49, 0x50]],
  ['none', [0x0d, 0, 0, 0, 0, 0, 0, 0, 0x6e, 0x69, 0x78, 0x2d]],
];

/** Recognises the compression of a NAR by its first bytes. */
export function compression(start: Uint8Array): string | undefined {
  return MAGIC.find(([, magic]) => magic.every((byte, index) => start[index] === byte))?.[0];
}

/** Opens a file. */
export async function openFile(file: File): Promise<void> {
  await ready();
  if (file.name.endsWith('.narinfo')) return openNarinfo(new Uint8Array(await file.slice(0, 1 << 20).arrayBuffer()));
  if (file.name.endsWith('.car')) {
    openItem = await car(file);
    return go(address());
  }
  const found = compression(new Uint8Array(await file.slice(0, 16).arrayBuffer()));
  if (!found) throw new UserError('This isn’t a NAR', 'The file starts neither like a NAR nor like a zstd, gzip, xz or lzip file.');
  openItem = { title: file.name, file, sources: [{ url: file.name, compression: found as 'none', fileSize: file.size }] };
  go(address());
}

/**
 * Opens files that are dropped anywhere on the page. Without it, the browser would leave the page.
 */
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

/** Returns a new address for each file, so that a second file opens a second view. */
function address(): string {
  count += 1;
  return `#/file/${count}`;
}

/** Largest CAR in bytes. Its blocks are blobs, which the browser may move to disk. */
const MAX_CAR = 1 << 30;

async function car(file: File): Promise<Item> {
  if (file.size > MAX_CAR) throw new UserError('This CAR is too large', 'The inspector reads CARs of at most 1 GiB.');
  const reader = new CarReader();
  const blocks = new Map<string, Blob>();
  try {
    for await (const chunk of chunksOf(file.stream())) for (const [cid, bytes] of reader.push(chunk)) blocks.set(cid, new Blob([bytes]));
    reader.finish();
    const [root] = reader.roots;
    if (!root) throw new UserError('This CAR names no root', 'The header of a CAR must name the block at which the file starts.');
    return { title: file.name, blocks, sources: anyCompression(root) };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(errorCode(error).startsWith('CID') ? 'A block of this CAR is wrong' : 'This isn’t a CAR', errorText(error));
  } finally {
    reader.free();
  }
}
