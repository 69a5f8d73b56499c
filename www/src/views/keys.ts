// Edits the keys that the user trusts.

import { get, UserError, cacheUrl, readLimited } from '../cache';
import { h, problem, replace, announce } from '../dom';
import { add, caches, ownCache, keys, setKeys } from '../settings';
import { ready, TrustedKeys, errorText } from '../wasm';

const MAX_KEY = 1 << 20;

export async function keysView(main: HTMLElement): Promise<void> {
  await ready();
  const messages = h('div', {});
  const area = h('textarea', { id: 'key', rows: 5, spellcheck: 'false', placeholder: 'cache.example.org-1:…  or  (public-key …)  or  (acl …)' });
  const kept = h('div', {});
  const show = () => replace(kept, table(show));
  const take = () => {
    messages.replaceChildren();
    try {
      keep(area.value);
      area.value = '';
      announce('Key added');
    } catch (error) {
      messages.append(problem('This isn’t a key', `Can’t read a key from this text: ${errorText(error)}. Paste a Nix public key (name:base64), a Guix public key, or the text of /etc/guix/acl.`));
    }
    show();
  };
  show();
  replace(main, h('h1', {}, 'Keys that you trust'),
    h('p', {}, 'A narinfo counts as signed if one of these keys signed it. The keys stay in this browser.'),
    kept, h('h2', {}, 'Add a key'), h('label', { for: 'key' }, 'A Nix public key, a Guix public key or an ACL'), area,
    h('button', { type: 'button', onclick: take }, 'Trust it'), messages, fromCache(area));
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
  if (all.length === 0) return h('p', { class: 'note' }, 'None yet. Until you add one, every signature counts as one by an unknown key.');
  const row = (label: string, text: string) => h('tr', {}, h('td', {}, label), h('td', { class: 'long' }, h('code', {}, text.slice(0, 120))),
    h('td', {}, h('button', { type: 'button', class: 'plain', 'aria-label': `Remove ${label}`, onclick: () => {
      setKeys(keys().filter((key) => key.text !== text));
      changed();
    } }, 'Remove')));
  return h('table', {}, h('caption', { class: 'unseen' }, 'Keys'), h('tbody', {}, ...all.map(({ label, text }) => row(label, text))));
}

/** Fetches the key that a cache itself publishes. */
function fromCache(area: HTMLTextAreaElement): HTMLElement {
  const cache = h('input', { id: 'key-cache', type: 'text', spellcheck: 'false', value: caches()[0] ?? ownCache });
  const messages = h('div', {});
  const ask = async () => {
    messages.replaceChildren();
    try {
      const url = cacheUrl(cache.value.trim());
      const response = await get(`${url}signing-key.pub`, 'the signing key');
      if (!response) throw new UserError('The cache publishes no key', `${url}signing-key.pub doesn’t exist. Nix caches publish their key on their web page.`);
      area.value = new TextDecoder().decode(await readLimited(response, MAX_KEY)).trim();
      area.focus();
      messages.append(h('div', { class: 'note warn', role: 'alert' }, h('strong', {}, 'Only the cache itself says that this is its key.'),
        h('p', {}, `Whoever answers at ${url} could send any key, and sign with it. Before you press “Trust it”, compare the key with a copy from another source.`)));
    } catch (error) {
      messages.append(problem(error instanceof UserError ? error.title : 'Can’t fetch the key', errorText(error)));
    }
  };
  return h('section', {}, h('h2', {}, 'Fetch the key of a cache'), h('label', { for: 'key-cache' }, 'Address of the cache'),
    h('div', { class: 'ask' }, cache, h('button', { type: 'button', onclick: ask }, 'Fetch')), messages);
}
