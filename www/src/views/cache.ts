// The items of a cache: a search by name if the cache can list its items, otherwise by hash part.

import { hashPart, list, storeDir, UserError, type ItemPage } from '../cache';
import { bytes, h, name, problem, replace, announce } from '../dom';
import { go, link } from '../route';
import { remember } from '../settings';

/** Most requests of one search, so that a search without results ends. */
const MAX_PAGES = 20;

export async function cacheView(main: HTMLElement, cache: string, wanted: string, signal: AbortSignal): Promise<void> {
  const field = h('input', { id: 'find', type: 'search', autocomplete: 'off', spellcheck: 'false', value: wanted });
  const form = h('form', { class: 'ask', role: 'search', onsubmit: (event) => {
    event.preventDefault();
    const hash = hashPart(field.value);
    go(hash ? link(['item', hash], { cache }) : link(['cache'], { cache, name: field.value.trim() }));
  } }, field, h('button', { type: 'submit' }, 'Find'));
  const found = h('div', { 'aria-busy': 'true' });
  replace(main, h('h1', {}, name(cache.replace(/\/$/, ''))), h('p', { class: 'tabs' }, h('a', { href: link(['health'], { cache }) }, 'Health')),
    h('label', { for: 'find' }, 'Name, store path or hash'), form, found);
  const dir = await storeDir(cache);
  if (signal.aborted) return;
  if (dir === undefined) throw new UserError('This isn’t a binary cache', `${cache} has no nix-cache-info with a store directory.`);
  remember(cache);
  await fill(found, cache, wanted, signal);
  found.removeAttribute('aria-busy');
}

async function fill(place: HTMLElement, cache: string, wanted: string, signal: AbortSignal): Promise<void> {
  const rows = h('tbody', {});
  const more = h('p', {});
  const table = h('table', {}, h('caption', {}, wanted ? 'Items with this name' : 'Items'),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Item'), h('th', { scope: 'col', class: 'number' }, 'Size'), h('th', { scope: 'col', class: 'number' }, 'References'), h('th', { scope: 'col' }, 'Baked'))), rows);
  const extend = async (from: string | undefined): Promise<void> => {
    let after = from;
    const before = rows.childElementCount;
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const page: ItemPage | undefined = await list(cache, wanted, after);
      if (signal.aborted) return;
      if (!page) {
        replace(place, h('p', { class: 'note' }, 'This cache can’t list its items. Enter a store path, or the 32 characters of its hash.'));
        return;
      }
      for (const item of page.items) rows.append(row(cache, item));
      after = page.next;
      if (after === undefined || rows.childElementCount >= before + 100) break;
    }
    const next = after;
    more.replaceChildren();
    if (next !== undefined) more.append(h('button', { type: 'button', onclick: () => extend(next).catch((error) => more.append(problem('Can’t load more items', String(error)))) }, 'Show more'));
    else if (rows.childElementCount === 0) more.append(wanted ? 'No item has this name.' : 'The cache has no items.');
    announce(`${rows.childElementCount} items`);
  };
  replace(place, table, more);
  await extend(undefined);
}

function row(cache: string, item: ItemPage['items'][number]): HTMLElement {
  const base = item.path.split('/').pop() ?? '';
  const address = link(['item', base.slice(0, 32)], { cache });
  return h('tr', {}, h('td', {}, h('a', { href: address }, name(base.slice(33))), h('span', { class: 'hash' }, ` ${base.slice(0, 8)}…`)),
    h('td', { class: 'number' }, bytes(item.narSize)), h('td', { class: 'number' }, item.references), h('td', {}, item.baked ? 'yes' : 'not yet'));
}
