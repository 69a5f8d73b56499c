// Compares two items: their files, and the blocks that they share.

import { leaves, distinctBytes, type Leaf } from '../blocks';
import { cacheUrl, hashPart, list, narinfo, UserError } from '../cache';
import { compare, contents, type Change } from '../diff';
import { bytes, h, name, problem, Progress, replace, s, announce, sized } from '../dom';
import { cid, isIpfs, load, type Item } from '../item';
import { listings } from '../listing';
import { go, link } from '../route';
import { caches, gatewaysFor } from '../settings';
import { verdict } from '../trust';
import { errorText, type NarEntry } from '../wasm';

const MAX_ROWS = 500;

/** The other item: its hash part, and its cache if that is another one. */
export interface Other {
  hash?: string | undefined;
  cache?: string | undefined;
}

type Address = (other: Other) => string;

const bare = (cache: string) => cache.replace(/\/$/, '');

export async function compareView(place: HTMLElement, item: Item, other: Other, address: Address, signal: AbortSignal): Promise<void> {
  const outcome = h('div', {});
  if (!item.cache || !item.info) {
    place.append(h('p', { class: 'note' }, 'This narinfo was pasted. Only items of a cache can be compared.'));
    return;
  }
  const cache = other.cache ?? item.cache;
  place.append(form(item.cache, { hash: other.hash, cache }, outcome, address), outcome);
  if (!other.hash) return suggest(outcome, item, cache, address);
  const info = await narinfo(cache, other.hash, signal);
  const newer: Item = { title: info.storePath.split('/').pop()?.slice(33) ?? '', cache, info, sources: info.entries };
  signal.addEventListener('abort', () => info.free());
  const shared = h('section', {});
  const files = h('section', {});
  replace(outcome, head(item, newer), shared, files);
  await Promise.all([showWhenDone(shared, blocks(item, newer, signal)), showWhenDone(files, differences(item, newer, signal))]);
  announce('Compared');
}

function form(own: string, other: Other, outcome: HTMLElement, address: Address): HTMLElement {
  const field = h('input', { id: 'other', type: 'text', spellcheck: 'false', value: other.hash ?? '' });
  const from = h('input', { id: 'other-cache', type: 'text', spellcheck: 'false', list: 'other-caches', value: bare(other.cache ?? own) });
  const known = [...new Set([own, ...caches()])].map((cache) => h('option', { value: bare(cache) }));
  return h('form', { class: 'pair', onsubmit: (event) => {
    event.preventDefault();
    try {
      const cache = cacheUrl(from.value.trim() || own);
      const hash = hashPart(field.value);
      if (field.value.trim() && !hash) throw new UserError('This isn’t a store item', 'Enter a store path, or the 32 characters of its hash.');
      go(address({ hash, cache: cache === own ? undefined : cache }));
    } catch (error) {
      replace(outcome, problem(error instanceof UserError ? error.title : 'Can’t compare these items', errorText(error)));
    }
  } }, h('div', {}, h('label', { for: 'other' }, 'The newer item: its store path or hash'), field),
  h('div', {}, h('label', { for: 'other-cache' }, 'In the cache'), from, h('datalist', { id: 'other-caches' }, ...known)), h('button', { type: 'submit' }, 'Compare'));
}

/** Names both items. If they are from two caches, shows whether their narinfos agree. */
function head(item: Item, newer: Item): HTMLElement {
  const { info, cache } = newer;
  const apart = cache !== item.cache;
  const hash = (info && hashPart(info.storePath)) ?? '';
  const says = h('p', {}, 'From ', h('strong', {}, name(item.title)), apart && h('span', { class: 'quiet' }, ' in ', name(bare(item.cache ?? ''))),
    ' to ', h('a', { href: link(['item', hash], { cache }) }, name(newer.title)), apart && h('span', { class: 'quiet' }, ' in ', name(bare(cache ?? ''))));
  if (!apart || !info || !item.info) return says;
  const { kind, title } = verdict(info);
  return h('div', {}, says, agreement(item, newer), h('p', { class: `note ${kind}` }, 'The item in the other cache: ', h('strong', {}, name(title))));
}

/** Shows whether two caches have the same NAR for one store path. */
function agreement({ info }: Item, newer: Item): HTMLElement | null {
  if (!info || info.storePath !== newer.info?.storePath) return null;
  const same = info.narHash === newer.info.narHash;
  return same ? h('p', { class: 'note good' }, h('strong', {}, 'Both caches have the same NAR for this store path.'), ' The NarHash is the same.')
    : h('p', { class: 'note bad', role: 'alert' }, h('strong', {}, 'The caches have different NARs for the same store path.'), ' Two builds had different results, or someone changed one of the NARs.');
}

async function showWhenDone(place: HTMLElement, work: Promise<HTMLElement>): Promise<void> {
  place.append(h('p', { class: 'quiet' }, 'Loading…'));
  try {
    replace(place, await work);
  } catch (error) {
    replace(place, problem(error instanceof UserError ? error.title : 'Can’t compare these items', errorText(error)));
  }
}

/** Suggests items with a similar name. */
async function suggest(place: HTMLElement, item: Item, cache: string, address: Address): Promise<void> {
  const stem = item.title.replace(/-?[0-9].*$/, '');
  const page = stem ? await list(cache, stem).catch(() => undefined) : undefined;
  const apart = cache !== item.cache;
  const own = item.info?.storePath.split('/').pop();
  const others = (page?.items ?? []).map(({ path }) => path.split('/').pop() ?? '').filter((base) => apart || base !== own);
  if (others.length === 0) return;
  const row = (base: string) => h('li', {}, h('a', { href: address({ hash: base.slice(0, 32), cache: apart ? cache : undefined }) }, name(base.slice(33))), h('span', { class: 'hash' }, ` ${base.slice(0, 8)}…`));
  replace(place, h('h2', {}, 'Items with a similar name', apart && h('span', { class: 'quiet' }, ' in ', name(bare(cache)))), h('ul', { class: 'rows' }, ...others.slice(0, 20).map(row)));
}

async function blocks(old: Item, newer: Item, signal: AbortSignal): Promise<HTMLElement> {
  const of = async (item: Item) => {
    const entry = item.sources.find(({ url }) => isIpfs(url));
    const root = entry && cid(entry.url);
    if (!root) throw new UserError('Blocks can’t be compared', `The narinfo of ${item.title} names no CID.`);
    return leaves(root, entry.fileSize, gatewaysFor(item.cache), signal);
  };
  const [before, after] = await Promise.all([of(old), of(newer)]);
  const had = new Set(before.map((leaf) => leaf.cid));
  const own = after.filter((leaf) => !had.has(leaf.cid));
  const [total, fresh] = [distinctBytes([after]), distinctBytes([own])];
  const has = new Set(after.map((leaf) => leaf.cid));
  return h('div', {}, h('h2', {}, 'Blocks'),
    h('p', { class: 'title' }, h('strong', {}, `An update transfers ${bytes(fresh)} of ${bytes(total)}.`), ` ${after.length - own.length} of ${after.length} blocks are shared.`),
    h('ul', { class: 'legend' }, h('li', {}, swatch('shared'), 'shared'), h('li', {}, swatch('own'), 'only in one item')),
    picture([[old.title, before, has], [newer.title, after, had]]));
}

const swatch = (kind: string) => s('svg', { width: 14, height: 14, 'aria-hidden': 'true' }, s('rect', { class: kind, width: 14, height: 14 }));

/** Draws each list of blocks as a band, with different colours for shared blocks and the others. */
function picture(bands: [string, Leaf[], Set<string>][]): HTMLElement {
  const longest = Math.max(1, ...bands.map(([, list]) => list.reduce((sum, { size }) => sum + size, 0)));
  const height = bands.length * 56;
  return sized(height, (width) => {
    const scale = width / longest;
    const rows = bands.flatMap(([title, list, other], row) => {
      let x = 0;
      const boxes = list.map(({ cid, size }) => {
        const at = x;
        x += size * scale;
        const shared = other.has(cid);
        // The user looks for blocks that are not shared, so even tiny ones must be visible.
        return { shared, shape: s('rect', { class: shared ? 'shared' : 'own', x: Math.min(at, width - 3), y: row * 56 + 20, width: Math.max(shared ? 0.5 : 3, size * scale - 0.5), height: 24 }, s('title', {}, `${bytes(size)}, ${shared ? 'shared' : 'only in this item'}`)) };
      });
      boxes.sort((a, b) => Number(b.shared) - Number(a.shared));
      return [s('text', { x: 0, y: row * 56 + 14 }, title), ...boxes.map(({ shape }) => shape)];
    });
    return s('svg', { class: 'plot', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': 'Blocks of both items. Shared blocks are pale, the others strong.' }, ...rows);
  });
}

/** Returns the first list of files that it finds, or that of the NAR itself. */
async function listing(item: Item, signal: AbortSignal): Promise<NarEntry[]> {
  const enough = new AbortController();
  let found: NarEntry[] | undefined = item.nar?.entries;
  if (!found) await listings(item, { signal: AbortSignal.any([signal, enough.signal]), onListing: ({ entries }) => (found ??= entries), progress() {} });
  enough.abort();
  return found ?? (item.nar ??= await load(item, { signal, progress() {} })).entries;
}

async function differences(old: Item, newer: Item, signal: AbortSignal): Promise<HTMLElement> {
  const [before, after] = await Promise.all([listing(old, signal), listing(newer, signal)]);
  const changes = compare(before, after);
  const rows = h('tbody', {});
  const summary = h('p', {});
  const show = (all: Change[]) => {
    const count = (kind: Change['kind']) => all.filter((change) => change.kind === kind).length;
    summary.textContent = `${count('added')} added, ${count('removed')} removed, ${count('changed')} changed${all.length > MAX_ROWS ? `; the first ${MAX_ROWS} are shown` : ''}.`;
    replace(rows, ...all.slice(0, MAX_ROWS).map(({ path, kind, what }) => h('tr', {}, h('td', {}, kind), h('td', { class: 'long' }, name(path || '/')), h('td', {}, name(what)))));
  };
  show(changes);
  const state = h('div', {}, h('p', { class: 'quiet' }, 'According to the caches’ lists. Files of the same size count as equal. ', h('button', { type: 'button', class: 'plain', onclick: () => void read() }, 'Compare the contents')));
  const read = async () => {
    const bar = new Progress('Reading both NARs');
    replace(state, bar.element);
    try {
      const watch = { signal, progress: (done: number, total: number | undefined) => bar.set(done, total) };
      const [one, other] = [(old.nar ??= await load(old, watch)), (newer.nar ??= await load(newer, watch))];
      const exact = compare(one.entries, other.entries);
      show([...exact, ...(await contents(one, other, exact, signal))].sort((a, b) => (a.path < b.path ? -1 : 1)));
      const right = one.right && other.right;
      replace(state, h('p', { class: `note ${right ? 'good' : 'bad'}` }, right ? 'Compared byte by byte; both NARs were verified by NarHash.' : 'Compared byte by byte, but one of the NARs is not the one that its narinfo names.'));
    } catch (error) {
      replace(state, problem('Can’t compare the contents', errorText(error)));
    }
  };
  return h('div', {}, h('h2', {}, 'Files'), summary, state, h('table', {}, h('caption', { class: 'unseen' }, 'Changes'), h('thead', {}, h('tr', {}, ...['Change', 'Path', 'Details'].map((title) => h('th', { scope: 'col' }, title)))), rows));
}
