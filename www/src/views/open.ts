// The first view: a field for an address, the caches that were used before, and a place to drop
// files.

import { cacheUrl, hashPart, parse, storeDir, UserError } from '../cache';
import { append, h, problem, replace, type Child } from '../dom';
import { openFile } from '../dropped';
import { go, link } from '../route';
import { caches, forget, ownCache } from '../settings';
import { ready } from '../wasm';

export function openView(main: HTMLElement): void {
  const messages = h('div', {});
  const field = h('input', {
    id: 'what', type: 'text', autocomplete: 'off', spellcheck: 'false', autofocus: true,
    placeholder: 'https://cache.example.org',
    'aria-describedby': 'what-help',
  });
  const form = h('form', { class: 'ask', role: 'search', onsubmit: (event) => {
    event.preventDefault();
    run(messages, () => take(field.value));
  } }, field, h('button', { type: 'submit' }, 'Open'));
  const known = h('div', {});
  replace(
    main,
    h('h1', {}, 'What is in this cache, and who signed it?'),
    h('label', { for: 'what' }, 'A cache’s address, a store path or hash, or an ipfs: CID'),
    form,
    h('p', { id: 'what-help', class: 'quiet' }, 'The inspector looks for a store path in the cache that you used last. It contacts only servers that you name.'),
    messages,
    known,
    pasted(messages),
    dropped(messages),
  );
  list(known);
}

async function run(messages: HTMLElement, work: () => unknown): Promise<void> {
  messages.replaceChildren();
  try {
    await work();
  } catch (error) {
    const title = error instanceof UserError ? error.title : 'Can’t open this';
    messages.append(problem(title, error instanceof Error ? error.message : String(error)));
  }
}

/** Opens what the text names. */
function take(text: string): void {
  const value = text.trim();
  if (!value) return;
  const found = /^(?:ipfs:\/*|\/ipfs\/)([a-zA-Z0-9]+)/.exec(value)?.[1] ?? /^((?:baf|Qm)[a-zA-Z0-9]{40,})$/.exec(value)?.[1];
  if (found) return go(link(['ipfs', found]));
  const hash = hashPart(value);
  if (hash && !/^https?:/i.test(value)) {
    const cache = caches()[0] ?? ownCache;
    return go(link(['item', hash], { cache }));
  }
  const narinfo = /^(https?:\/\/.*\/)([^/]+)\.narinfo$/i.exec(value);
  if (narinfo?.[1] && narinfo[2]) return go(link(['item', narinfo[2]], { cache: cacheUrl(narinfo[1]) }));
  go(link(['cache'], { cache: cacheUrl(value) }));
}

function pasted(messages: HTMLElement): HTMLElement {
  const area = h('textarea', { id: 'narinfo', rows: 5, spellcheck: 'false', placeholder: 'StorePath: /gnu/store/…' });
  const open = async () => {
    await ready();
    openNarinfo(new TextEncoder().encode(`${area.value.trim()}\n`));
  };
  return h('details', {}, h('summary', {}, 'Paste a narinfo'), h('label', { for: 'narinfo' }, 'The text of a narinfo'), area,
    h('button', { type: 'button', onclick: () => run(messages, open) }, 'Read it'));
}

/** Opens the view of a narinfo's text. */
export function openNarinfo(text: Uint8Array): void {
  const info = parse(text);
  const hash = hashPart(info.storePath) ?? '';
  info.free();
  go(link(['item', hash], { narinfo: new TextDecoder().decode(text) }));
}

function dropped(messages: HTMLElement): HTMLElement {
  const input = h('input', { id: 'file', type: 'file', accept: '.narinfo,.nar,.zst,.gz,.xz,.lz,.zstd,.car' });
  const take = (file: File | undefined) => file && run(messages, () => openFile(file));
  input.addEventListener('change', () => take(input.files?.[0]));
  return h('div', { class: 'drop' }, h('label', { for: 'file' }, 'A .narinfo, .nar (compressed or not) or .car file: choose one, or drop it anywhere on this page'), input);
}

/** Lists the caches that were used before, and the one that served this page. */
async function list(place: HTMLElement): Promise<void> {
  const row = (cache: string, note: Child, removable: boolean) => h('li', {},
    h('a', { href: link(['cache'], { cache }) }, cache.replace(/\/$/, '')), ' ', h('span', { class: 'quiet' }, note), ' ',
    removable && h('button', { type: 'button', class: 'plain', 'aria-label': `Forget ${cache}`, onclick: () => {
      forget(cache);
      place.replaceChildren();
      list(place);
    } }, 'Forget'));
  const rows = caches().filter((cache) => cache !== ownCache).map((cache) => row(cache, '', true));
  const own = location.protocol.startsWith('http') ? row(ownCache, 'this server…', false) : undefined;
  const all = h('ul', { class: 'rows' }, own, ...rows);
  if (all.childElementCount === 0) return;
  // The row is on the page from the start, so that nothing moves when the answer arrives.
  const part = h('div', {}, h('h2', {}, 'Caches'), all);
  append(place, [part]);
  const dir = own && (await storeDir(ownCache).catch(() => undefined));
  if (dir) own?.replaceWith(row(ownCache, `this server, ${dir}`, false));
  else own?.remove();
  if (all.childElementCount === 0) part.remove();
}
