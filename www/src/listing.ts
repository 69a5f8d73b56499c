// Finds the list of an item's files without the whole NAR, and says how far it can be trusted.

import { get, hashPart, readLimited } from './cache';
import { bytes } from './dom';
import type { Item } from './item';
import { chunkIndex, outline, skim, treeOf, type Listing } from './part';
import { gatewaysFor } from './settings';
import { fromListing } from './tree';
import type { NarEntry } from './wasm';

const MAX_LISTING = 64 << 20;

export interface JudgedListing extends Listing {
  kind: 'good' | 'warn' | 'bad';
  /** Where the list comes from, and what was checked. */
  title: string;
  says: string;
}

interface ListingOptions {
  signal: AbortSignal;
  /** Called with a list; a better one may follow. */
  onListing(listing: JudgedListing): void;
  progress(text: string): void;
}

const NO_SIGNATURE = 'No signature covers this list. Only the whole NAR shows whether these files were signed.';

/**
 * Calls back with each list that it finds, the quickest source first. Returns false if there is
 * none.
 */
export async function listings(item: Item, options: ListingOptions): Promise<boolean> {
  const [root, index] = [treeOf(item), chunkIndex(item)];
  const asked = gatewaysFor(item.cache).length > 0;
  const cacheList = await fromCache(item, options.signal);
  if (cacheList) options.onListing({ entries: cacheList, cids: new Map(), kind: 'warn', title: 'This list of files comes from the cache.', says: NO_SIGNATURE });
  if (root && asked) {
    const tree = outline(item, root, options.signal, (count) => cacheList ?? options.progress(`Reading the tree on IPFS: ${count.toLocaleString('en')} entries`));
    const found = tree.then((listing) => options.onListing(judged(listing, cacheList)));
    if (cacheList) {
      // The check runs while the user reads the list. If it fails, the list stays.
      void found.catch(() => {});
      return true;
    }
    if (await found.then(() => true, () => false)) return true;
  }
  if (cacheList) return true;
  if (!index || !asked || options.signal.aborted) return false;
  try {
    const listing = await skim(item, index, options.signal, (done, total) => options.progress(`Reading file names from the pieces: ${bytes(done)} of ${bytes(total)}`));
    options.onListing({ ...listing, kind: 'warn', title: 'This list of files comes from the NAR’s pieces.', says: `Each piece has the hash that the chunk index names. ${NO_SIGNATURE}` });
    return true;
  } catch {
    // The NAR itself contains the list too.
    return false;
  }
}

/**
 * Compares the tree on IPFS with the cache's list. Only that list says which files are executable.
 */
function judged(tree: Listing, cacheList: NarEntry[] | undefined): JudgedListing {
  const listed = new Map((cacheList ?? []).map((entry) => [entry.path, entry]));
  const entries = tree.entries.map((entry) => {
    const other = listed.get(entry.path);
    return entry.type === 'regular' && other?.type === 'regular' ? { ...entry, executable: other.executable, narOffset: other.narOffset } : entry;
  });
  const same = !cacheList || (cacheList.length === entries.length && entries.every((entry) => alike(entry, listed.get(entry.path))));
  const says = `Every directory of the tree was checked against its CID. ${NO_SIGNATURE}`;
  if (same) return { entries, cids: tree.cids, kind: 'warn', title: 'This list of files comes from the item’s tree on IPFS.', says };
  return { entries, cids: tree.cids, kind: 'bad', title: 'The cache’s list of files differs from the item’s tree on IPFS.', says: `The files below are those of the tree. ${says}` };
}

function alike(one: NarEntry, other: NarEntry | undefined): boolean {
  if (one.type === 'regular') return other?.type === 'regular' && one.size === other.size;
  if (one.type === 'symlink') return other?.type === 'symlink' && one.target === other.target;
  return other?.type === 'directory';
}

/** Fetches the cache's own list. */
export async function fromCache(item: Item, signal: AbortSignal): Promise<NarEntry[] | undefined> {
  const hash = item.info && hashPart(item.info.storePath);
  if (!hash || !item.cache) return undefined;
  try {
    const response = await get(`${item.cache}${hash}.ls`, 'the list of files', signal);
    return response && fromListing(new TextDecoder().decode(await readLimited(response, MAX_LISTING)));
  } catch {
    return undefined;
  }
}
