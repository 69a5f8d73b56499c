// An item: its heading with the verdict, and its tabs. The tabs share their fetched data until
// another item is opened.

import { narinfo, parse, UserError } from '../cache';
import { droppedItem } from '../dropped';
import { bytes, h, name, replace } from '../dom';
import { anyCompression, type Item } from '../item';
import { link, type Route } from '../route';
import { verdict } from '../trust';
import { ready } from '../wasm';
import { compareView } from './compare';
import { closeFiles, filesView } from './files';
import { badge, narinfoView } from './narinfo';
import { referencesView } from './references';
import { sourcesView } from './sources';

let current: { key: string; item: Item } | undefined;

const TABS = [['', 'Narinfo'], ['files', 'Files'], ['sources', 'Sources'], ['references', 'References'], ['compare', 'Compare']] as const;

/** Opens the item of an address, or returns the one that is open already. */
async function find(route: Route, signal: AbortSignal): Promise<Item> {
  const [kind, id = ''] = route.parts;
  const cache = route.query.get('cache') ?? undefined;
  const text = route.query.get('narinfo') ?? undefined;
  const key = JSON.stringify([kind, id, cache, text]);
  if (current?.key === key) return current.item;
  await ready();
  const item = await make(kind, id, cache, text, signal);
  if (signal.aborted) {
    item.info?.free();
    throw new Error('another view is shown');
  }
  if (current?.item !== item) close();
  current = { key, item };
  return item;
}

async function make(kind: string | undefined, id: string, cache: string | undefined, text: string | undefined, signal: AbortSignal): Promise<Item> {
  if (kind === 'file') {
    const item = droppedItem();
    if (!item) throw new UserError('No file is open', 'The inspector forgets a dropped file when the page reloads. Drop it again on the first page.');
    return item;
  }
  const from = cache ? { cache } : {};
  if (kind === 'ipfs') return { title: id, sources: anyCompression(id), ...from };
  const info = text ? parse(new TextEncoder().encode(text)) : await narinfo(cache ?? '', id, signal);
  const title = info.storePath.split('/').pop()?.slice(33) ?? info.storePath;
  return { title, info, sources: info.entries, ...from };
}

/** Closes the open item, and frees its memory. */
export function close(): void {
  closeFiles();
  current?.item.info?.free();
  current = undefined;
}

export async function itemView(main: HTMLElement, route: Route, signal: AbortSignal): Promise<void> {
  const item = await find(route, signal);
  if (signal.aborted) return;
  const { info } = item;
  const whole = info !== undefined;
  const base = route.parts.slice(0, 2);
  const tab = route.parts[base.length] ?? (whole ? '' : 'files');
  const query = { cache: route.query.get('cache') ?? undefined, narinfo: route.query.get('narinfo') ?? undefined };
  const tabs = TABS.filter(([id]) => whole || id === 'files' || (id === 'sources' && route.parts[0] === 'ipfs'));
  const panel = h('div', { class: 'panel' });
  const nav = h('nav', { class: 'tabs', 'aria-label': 'Item' }, ...tabs.map(([id, title]) =>
    h('a', { href: link(id ? [...base, id] : base, query), 'aria-current': id === tab && 'page' }, title)));
  replace(main, h('h1', {}, name(item.title)),
    info && h('p', { class: 'path' }, name(info.storePath)),
    info && h('p', { class: 'quiet' }, `${bytes(info.narSize)} unpacked, ${info.references.length} ${info.references.length === 1 ? 'reference' : 'references'}`, item.cache ? h('span', {}, ', from ', h('a', { href: link(['cache'], { cache: item.cache }) }, name(item.cache.replace(/\/$/, '')))) : ', pasted'),
    info ? badge(info, tab !== '' && verdict(info).kind !== 'bad') : h('p', { class: 'note' }, 'No narinfo: nobody has signed which NAR this is. Blocks from IPFS or from a CAR are checked against their CIDs.'),
    nav, panel);
  const at = (more: Record<string, string | undefined>, to = tab) => link(to ? [...base, to] : base, { ...query, ...more });
  if (tab === 'files') await filesView(panel, item, route.query.get('path') ?? undefined, (path) => at({ path }, 'files'), signal);
  else if (tab === 'sources') sourcesView(panel, item, signal);
  else if (tab === 'references') await referencesView(panel, item, signal);
  else if (tab === 'compare') await compareView(panel, item, { hash: route.query.get('with') ?? undefined, cache: route.query.get('in') ?? undefined }, (other) => at({ with: other.hash, in: other.cache }, 'compare'), signal);
  else if (info) narinfoView(panel, item, info);
}
