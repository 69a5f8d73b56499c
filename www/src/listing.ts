// The list of an item’s files, from whoever can tell it without the whole NAR, and how much that is worth.

import { get, hashPart, limited } from './cache';
import { bytes } from './dom';
import type { Item } from './item';
import { chunkIndex, outline, skim, treeOf, type Listing } from './part';
import { gatewaysFor } from './state';
import { fromListing } from './tree';
import type { NarEntry } from './wasm';

const MAX_LISTING = 64 << 20;

export interface Told extends Listing {
  kind: 'good' | 'warn' | 'bad';
  /** Who says so, and what was checked. */
  title: string;
  says: string;
}

interface Hear {
  signal: AbortSignal;
  /** A list is there; a better one may follow. */
  planted(told: Told): void;
  progress(text: string): void;
}

const NO_SIGNATURE = 'No signature covers it: only the whole NAR shows whether it is what was signed.';

/** Tells lists as they come, what is quick first. False if nobody has one. */
export async function listings(item: Item, hear: Hear): Promise<boolean> {
  const [root, index] = [treeOf(item), chunkIndex(item)];
  const asked = gatewaysFor(item.cache).length > 0;
  const word = await fromCache(item, hear.signal);
  if (word) hear.planted({ entries: word, cids: new Map(), kind: 'warn', title: 'The list of files is the cache’s word.', says: NO_SIGNATURE });
  if (root && asked) {
    const tree = outline(item, root, hear.signal, (count) => word ?? hear.progress(`Reading the folders on IPFS: ${count.toLocaleString('en')} entries`));
    const found = tree.then((listing) => hear.planted(judged(listing, word)));
    if (word) {
      // It is checked while it is looked at; a gateway that fails here takes nothing away.
      void found.catch(() => {});
      return true;
    }
    if (await found.then(() => true, () => false)) return true;
  }
  if (word) return true;
  if (!index || !asked || hear.signal.aborted) return false;
  try {
    const listing = await skim(item, index, hear.signal, (done, total) => hear.progress(`Reading what is between the files: ${bytes(done)} of ${bytes(total)}`));
    hear.planted({ ...listing, kind: 'warn', title: 'The list of files comes out of the NAR’s pieces.', says: `Each has the hash that the chunk index says. ${NO_SIGNATURE}` });
    return true;
  } catch {
    // The NAR itself says it as well.
    return false;
  }
}

/** What a folder on IPFS says, with who may be run from the cache’s list, which is the only one to say that. */
function judged(tree: Listing, word: NarEntry[] | undefined): Told {
  const told = new Map((word ?? []).map((entry) => [entry.path, entry]));
  const entries = tree.entries.map((entry) => {
    const other = told.get(entry.path);
    return entry.type === 'regular' && other?.type === 'regular' ? { ...entry, executable: other.executable, narOffset: other.narOffset } : entry;
  });
  const same = !word || (word.length === entries.length && entries.every((entry) => alike(entry, told.get(entry.path))));
  const says = `Every folder of it was fetched and checked against its CID. ${NO_SIGNATURE}`;
  if (same) return { entries, cids: tree.cids, kind: 'warn', title: 'The list of files is that of the item’s folder on IPFS.', says };
  return { entries, cids: tree.cids, kind: 'bad', title: 'The cache’s list of files is not that of its folder on IPFS.', says: `Shown is the folder. ${says}` };
}

function alike(one: NarEntry, other: NarEntry | undefined): boolean {
  if (one.type === 'regular') return other?.type === 'regular' && one.size === other.size;
  if (one.type === 'symlink') return other?.type === 'symlink' && one.target === other.target;
  return other?.type === 'directory';
}

/** The cache’s own list. */
export async function fromCache(item: Item, signal: AbortSignal): Promise<NarEntry[] | undefined> {
  const hash = item.info && hashPart(item.info.storePath);
  if (!hash || !item.cache) return undefined;
  try {
    const response = await get(`${item.cache}${hash}.ls`, 'the list of files', signal);
    return response && fromListing(new TextDecoder().decode(await limited(response, MAX_LISTING)));
  } catch {
    return undefined;
  }
}
