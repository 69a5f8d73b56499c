// The first tab of an item: its signature, its fields, and its sources.

import { bytes, command, copy, h, name, visible } from '../dom';
import { cut, FIELDS, lines } from '../fields';
import { cid, type Item } from '../item';
import { link } from '../route';
import { verdict } from '../trust';
import type { NarInfo } from '../wasm';

/** Shows the verdict in large letters; `brief` leaves out its reasons. */
export function badge(info: NarInfo, brief: boolean): HTMLElement {
  const { kind, title, detail, each } = verdict(info);
  return h('section', { class: `verdict ${kind}`, 'aria-label': 'Signature' },
    h('p', { class: 'title' }, visible(title)), !brief && h('p', {}, detail),
    !brief && each.length > 1 && h('ul', {}, ...each.map(({ kind, text }) => h('li', { class: kind }, visible(text)))),
    !brief && kind !== 'good' && h('p', {}, h('a', { href: '#/keys' }, 'Keys that you trust')));
}

export function narinfoView(place: HTMLElement, item: Item, info: NarInfo): void {
  const text = info.toString();
  place.append(entries(item), commands(item, info), h('h2', {}, 'Every field'), fields(item, text),
    h('details', {}, h('summary', {}, 'The original text'), copy(text, 'the narinfo'), h('pre', { tabindex: 0, 'aria-label': 'Text of the narinfo' }, text.split('\n').map(visible).join('\n'))));
}

function entries(item: Item): HTMLElement {
  const rows = item.sources.map((entry) => {
    const found = cid(entry.url);
    return h('tr', {}, h('td', {}, found ? 'IPFS' : 'HTTP'),
      h('td', { class: 'long' }, name(found ?? entry.url)),
      h('td', { 'data-of': 'Compression' }, entry.compression), h('td', { class: 'number', 'data-of': 'Download' }, entry.fileSize === undefined ? 'unknown' : bytes(entry.fileSize)),
      h('td', {}, copy(entry.url, found ? 'the CID’s URL' : 'the URL')));
  });
  const head = [['Protocol', ''], ['Address', ''], ['Compression', ''], ['Download', 'number']];
  return h('table', { class: 'stack' }, h('caption', {}, 'Where to download the NAR'),
    h('thead', {}, h('tr', {}, ...head.map(([title, kind]) => h('th', { scope: 'col', class: kind || undefined }, title)), h('td', {}))),
    h('tbody', {}, ...rows));
}

function commands(item: Item, info: NarInfo): HTMLElement {
  const cache = item.cache?.replace(/\/$/, '');
  const ipfs = item.sources.map((entry) => cid(entry.url)).find(Boolean);
  const list: [string, string][] = [];
  if (cache && info.dialect === 'guix') list.push(['Install it with Guix', `guix build ${info.storePath} --substitute-urls=${cache}`]);
  if (cache && info.dialect === 'nix') list.push(['Copy it with Nix', `nix copy --from ${cache} ${info.storePath}`]);
  if (cache) list.push(['Fetch and verify it with Interplanar', `interplanar get ${info.storePath} --upstream ${cache}`]);
  if (ipfs) list.push(['Fetch the compressed NAR with Kubo', `ipfs get ${ipfs}`]);
  return h('section', {}, h('h2', {}, 'Commands'), ...list.map(([what, text]) => h('div', {}, h('p', { class: 'quiet' }, what), command(text, what))));
}

function fields(item: Item, text: string): HTMLElement {
  // Explains a field at its first line only.
  const explained = new Set<string>();
  const rows = lines(text).map(([key, value]) => {
    const known = explained.has(key);
    explained.add(key);
    const size = /Size$/.test(key) && /^\d+$/.test(value) && Number(value) >= 1024 ? h('span', { class: 'quiet' }, ` ${bytes(Number(value))}`) : null;
    return h('div', { class: 'field' }, h('dt', {}, name(key)),
      h('dd', {}, key === 'References' ? references(item, value) : h('code', {}, name(cut(value))), size,
        !known && h('p', { class: 'quiet' }, FIELDS[key] ?? 'The inspector doesn’t know this field; clients ignore it.')));
  });
  return h('dl', { class: 'fields' }, ...rows);
}

function references(item: Item, value: string): HTMLElement {
  const all = value.split(/\s+/).filter(Boolean);
  if (all.length === 0) return h('p', {}, 'none');
  const one = (base: string) => h('li', {}, item.cache
    ? h('a', { href: link(['item', base.slice(0, 32)], { cache: item.cache }) }, name(base.slice(33)))
    : name(base));
  return h('ul', { class: 'inline' }, ...all.map(one));
}
