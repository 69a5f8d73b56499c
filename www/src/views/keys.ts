// The keys that the user trusts.

import { get, Trouble, cacheUrl, limited } from '../cache';
import { h, problem, replace, say } from '../dom';
import { add, caches, home, keys, setKeys } from '../state';
import { ready, TrustedKeys, words } from '../wasm';

const MAX_KEY = 1 << 20;

export async function keysView(main: HTMLElement): Promise<void> {
  await ready();
  const said = h('div', {});
  const area = h('textarea', { id: 'key', rows: 5, spellcheck: 'false', placeholder: 'cache.example.org-1:…  or  (public-key …)  or  (acl …)' });
  const kept = h('div', {});
  const show = () => replace(kept, table(show));
  const take = () => {
    said.replaceChildren();
    try {
      keep(area.value);
      area.value = '';
      say('Key added');
    } catch (error) {
      said.append(problem('This is no key', `${words(error)}. Paste a Nix public key (name:base64), a Guix public key, or the text of /etc/guix/acl.`));
    }
    show();
  };
  show();
  replace(main, h('h1', {}, 'Keys that you trust'),
    h('p', {}, 'A narinfo counts as signed if one of these keys signed it. They are kept in this browser and sent nowhere.'),
    kept, h('h2', {}, 'Add a key'), h('label', { for: 'key' }, 'A Nix public key, a Guix public key or an ACL'), area,
    h('button', { type: 'button', onclick: take }, 'Trust it'), said, fromCache(area));
}

function keep(text: string): void {
  const trusted = new TrustedKeys();
  try {
    const label = add(trusted, text);
    setKeys([...keys().filter((key) => key.text !== text.trim()), { label, text: text.trim() }]);
  } finally {
    trusted.free();
  }
}

function table(changed: () => void): HTMLElement {
  const all = keys();
  if (all.length === 0) return h('p', { class: 'note' }, 'None yet. Every narinfo is shown as signed by an unknown key until you add one.');
  const row = (label: string, text: string) => h('tr', {}, h('td', {}, label), h('td', { class: 'long' }, h('code', {}, text.slice(0, 120))),
    h('td', {}, h('button', { type: 'button', class: 'plain', 'aria-label': `Remove ${label}`, onclick: () => {
      setKeys(keys().filter((key) => key.text !== text));
      changed();
    } }, 'Remove')));
  return h('table', {}, h('caption', { class: 'unseen' }, 'Keys'), h('tbody', {}, ...all.map(({ label, text }) => row(label, text))));
}

/** A cache’s own word for its key. */
function fromCache(area: HTMLTextAreaElement): HTMLElement {
  const cache = h('input', { id: 'key-cache', type: 'text', spellcheck: 'false', value: caches()[0] ?? home });
  const said = h('div', {});
  const ask = async () => {
    said.replaceChildren();
    try {
      const url = cacheUrl(cache.value.trim());
      const response = await get(`${url}signing-key.pub`, 'its key');
      if (!response) throw new Trouble('It has no key', `${url}signing-key.pub is not there. Nix caches write their key on their web page.`);
      area.value = new TextDecoder().decode(await limited(response, MAX_KEY)).trim();
      area.focus();
      said.append(h('div', { class: 'note warn', role: 'alert' }, h('strong', {}, 'This is the cache’s own word.'),
        h('p', {}, `Whoever answers at ${url} could give any key, and sign with it. Compare it with one that you got another way, before you press “Trust it”.`)));
    } catch (error) {
      said.append(problem(error instanceof Trouble ? error.title : 'No key', words(error)));
    }
  };
  return h('section', {}, h('h2', {}, 'Ask a cache for its key'), h('label', { for: 'key-cache' }, 'Address of the cache'),
    h('div', { class: 'ask' }, cache, h('button', { type: 'button', onclick: ask }, 'Ask')), said);
}
