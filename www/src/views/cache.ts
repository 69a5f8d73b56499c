// What a cache has: a search by name where it can list, by hash elsewhere.

import { hashPart, list, storeDir, Trouble, type Page } from '../cache';
import { bytes, h, name, problem, replace, say } from '../dom';
import { go, link } from '../route';
import { remember } from '../state';

/** Requests of one search, so that a name that nobody has ends some time without a click. */
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
  if (dir === undefined) throw new Trouble('This is no binary cache', `${cache} has no nix-cache-info that names a store directory.`);
  remember(cache);
  await fill(found, cache, wanted, signal);
  found.removeAttribute('aria-busy');
}

async function fill(place: HTMLElement, cache: string, wanted: string, signal: AbortSignal): Promise<void> {
  const rows = h('tbody', {});
  const more = h('p', {});
  const table = h('table', {}, h('caption', {}, wanted ? 'Items with this name' : 'Items'),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Item'), h('th', { scope: 'col', class: 'number' }, 'Size'), h('th', { scope: 'col', class: 'number' }, 'References'), h('th', { scope: 'col' }, 'On IPFS'))), rows);
  const extend = async (from: string | undefined): Promise<void> => {
    let after = from;
    const before = rows.childElementCount;
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const page: Page | undefined = await list(cache, wanted, after);
      if (signal.aborted) return;
      if (!page) {
        replace(place, h('p', { class: 'note' }, 'This cache can’t list what it has. Give a store path, or the hash at its beginning.'));
        return;
      }
      for (const item of page.items) rows.append(row(cache, item));
      after = page.next;
      if (after === undefined || rows.childElementCount >= before + 100) break;
    }
    const next = after;
    more.replaceChildren();
    if (next !== undefined) more.append(h('button', { type: 'button', onclick: () => extend(next).catch((error) => more.append(problem('The list ends here', String(error)))) }, 'More'));
    else if (rows.childElementCount === 0) more.append(wanted ? 'Nothing has this name.' : 'It has no items.');
    say(`${rows.childElementCount} items`);
  };
  replace(place, table, more);
  await extend(undefined);
}

function row(cache: string, item: Page['items'][number]): HTMLElement {
  const base = item.path.split('/').pop() ?? '';
  const address = link(['item', base.slice(0, 32)], { cache });
  return h('tr', {}, h('td', {}, h('a', { href: address }, name(base.slice(33))), h('span', { class: 'hash' }, ` ${base.slice(0, 8)}…`)),
    h('td', { class: 'number' }, bytes(item.narSize)), h('td', { class: 'number' }, item.references), h('td', {}, item.baked ? 'baked' : 'not yet'));
}
