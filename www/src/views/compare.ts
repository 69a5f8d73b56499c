// Two items side by side: their files, and the blocks that they share.

import { leaves, once, type Leaf } from '../blocks';
import { get, hashPart, limited, list, narinfo, Trouble } from '../cache';
import { compare, contents, type Change } from '../diff';
import { bytes, h, name, problem, Progress, replace, s, say } from '../dom';
import { cid, isIpfs, load, type Item } from '../item';
import { go, link } from '../route';
import { gatewaysFor } from '../state';
import { fromListing } from '../tree';
import { words, type NarEntry } from '../wasm';

const MAX_LISTING = 64 << 20;
const MAX_ROWS = 500;

export async function compareView(place: HTMLElement, item: Item, other: string | undefined, address: (other: string) => string, signal: AbortSignal): Promise<void> {
  const field = h('input', { id: 'other', type: 'text', spellcheck: 'false', value: other ?? '' });
  const outcome = h('div', {});
  place.append(h('form', { onsubmit: (event) => {
    event.preventDefault();
    const hash = hashPart(field.value);
    if (hash) go(address(hash));
    else replace(outcome, problem('This names no item', 'Give a store path, or the 32 characters of its hash.'));
  } }, h('label', { for: 'other' }, 'The newer item: its store path or hash'), h('div', { class: 'ask' }, field, h('button', { type: 'submit' }, 'Compare'))), outcome);
  if (!item.cache || !item.info) return replace(outcome, h('p', { class: 'note' }, 'Only items of a cache can be compared.'));
  if (!other) return suggest(outcome, item, address);
  const info = await narinfo(item.cache, other, signal);
  const newer: Item = { title: info.storePath.split('/').pop()?.slice(33) ?? '', cache: item.cache, info, sources: info.entries };
  signal.addEventListener('abort', () => info.free());
  replace(outcome, h('p', {}, 'From ', h('strong', {}, name(item.title)), ' to ', h('a', { href: link(['item', other], { cache: item.cache }) }, name(newer.title))));
  const shared = h('section', {});
  const files = h('section', {});
  outcome.append(shared, files);
  await Promise.all([tell(shared, blocks(item, newer, signal)), tell(files, differences(item, newer, signal))]);
  say('Compared');
}

async function tell(place: HTMLElement, work: Promise<HTMLElement>): Promise<void> {
  place.append(h('p', { class: 'quiet' }, 'Asking…'));
  try {
    replace(place, await work);
  } catch (error) {
    replace(place, problem(error instanceof Trouble ? error.title : 'This can’t be compared', words(error)));
  }
}

/** Other items of nearly this name. */
async function suggest(place: HTMLElement, item: Item, address: (other: string) => string): Promise<void> {
  const stem = item.title.replace(/-?[0-9].*$/, '');
  const page = item.cache && stem ? await list(item.cache, stem).catch(() => undefined) : undefined;
  const others = (page?.items ?? []).map(({ path }) => path.split('/').pop() ?? '').filter((base) => !item.info?.storePath.endsWith(`/${base}`));
  if (others.length === 0) return;
  replace(place, h('h2', {}, 'Items with a like name'), h('ul', { class: 'rows' }, ...others.slice(0, 20).map((base) => h('li', {}, h('a', { href: address(base.slice(0, 32)) }, name(base.slice(33))), h('span', { class: 'hash' }, ` ${base.slice(0, 8)}…`)))));
}

async function blocks(old: Item, newer: Item, signal: AbortSignal): Promise<HTMLElement> {
  const of = async (item: Item) => {
    const entry = item.sources.find(({ url }) => isIpfs(url));
    const root = entry && cid(entry.url);
    if (!root) throw new Trouble('Blocks can’t be compared', `${item.title} is not on IPFS, as far as its narinfo says.`);
    return leaves(root, entry.fileSize, gatewaysFor(item.cache), signal);
  };
  const [before, after] = await Promise.all([of(old), of(newer)]);
  const had = new Set(before.map((leaf) => leaf.cid));
  const own = after.filter((leaf) => !had.has(leaf.cid));
  const [total, fresh] = [once([after]), once([own])];
  const has = new Set(after.map((leaf) => leaf.cid));
  return h('div', {}, h('h2', {}, 'Blocks'),
    h('p', { class: 'title' }, h('strong', {}, `An update transfers ${bytes(fresh)} of ${bytes(total)}.`), ` ${after.length - own.length} of ${after.length} blocks are shared.`),
    picture([[old.title, before, has], [newer.title, after, had]]));
}

/** Each list of blocks as a band: shared ones in one colour, own ones in another. */
function picture(bands: [string, Leaf[], Set<string>][]): SVGElement {
  const longest = Math.max(1, ...bands.map(([, list]) => list.reduce((sum, { size }) => sum + size, 0)));
  const scale = 900 / longest;
  const rows = bands.flatMap(([title, list, other], row) => {
    let x = 0;
    return [s('text', { x: 0, y: row * 60 + 14 }, title), ...list.map(({ cid, size }) => {
      const at = x;
      x += size * scale;
      return s('rect', { class: other.has(cid) ? 'shared' : 'own', x: at, y: row * 60 + 20, width: Math.max(0.5, size * scale - 0.5), height: 26 });
    })];
  });
  return s('svg', { class: 'plot', viewBox: '0 0 900 112', role: 'img', 'aria-label': 'The blocks of both items; shared ones are pale, own ones strong' }, ...rows);
}

async function listing(item: Item, signal: AbortSignal): Promise<NarEntry[]> {
  const hash = item.info && hashPart(item.info.storePath);
  const response = await get(`${item.cache ?? ''}${hash ?? ''}.ls`, 'the list of files', signal);
  const found = response && fromListing(new TextDecoder().decode(await limited(response, MAX_LISTING)));
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
  const state = h('div', {}, h('p', { class: 'quiet' }, 'By the caches’ lists: files of the same size count as equal. ', h('button', { type: 'button', class: 'plain', onclick: () => void read() }, 'Compare the contents')));
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
      replace(state, problem('The contents can’t be compared', words(error)));
    }
  };
  return h('div', {}, h('h2', {}, 'Files'), summary, state, h('table', {}, h('caption', { class: 'unseen' }, 'Changes'), h('thead', {}, h('tr', {}, ...['Change', 'Path', 'What'].map((title) => h('th', { scope: 'col' }, title)))), rows));
}
