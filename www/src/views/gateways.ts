// Edits the list of gateways.

import { h, problem, replace } from '../dom';
import { gateways, setGateways } from '../settings';
import { Gateways, ready, errorText } from '../wasm';

/** Suggestions. The inspector contacts them only if the user adds them. */
const KNOWN: [string, string][] = [
  ['http://127.0.0.1:8080', 'a Kubo node on this machine'],
  ['https://trustless-gateway.link', 'run by the IPFS Foundation'],
  ['https://ipfs.io', 'run by the IPFS Foundation'],
];

export async function gatewaysView(main: HTMLElement): Promise<void> {
  await ready();
  const list = h('div', {});
  const show = () => replace(list, table(show));
  show();
  replace(main, h('h1', {}, 'Gateways'),
    h('p', {}, 'The inspector fetches blocks from these gateways first, and from the cache’s own server last. You don’t have to trust them: each block is checked against its CID.'), list);
}

function table(changed: () => void): HTMLElement {
  const mine = gateways();
  const messages = h('div', {});
  const field = h('input', { id: 'gateway', type: 'text', spellcheck: 'false', placeholder: 'https://gateway.example.org' });
  const keep = (text: string) => {
    messages.replaceChildren();
    // A node on this machine has no certificate.
    const url = /^https?:\/\//i.test(text) ? text : `${/^(localhost|127\.|\[::1\])/.test(text) ? 'http' : 'https'}://${text}`;
    try {
      new Gateways([url]).free();
      setGateways([...new Set([...gateways(), url.replace(/\/$/, '')])]);
      changed();
    } catch (error) {
      messages.append(problem('This isn’t the address of a gateway', errorText(error)));
    }
  };
  const row = (url: string) => h('li', {}, h('code', {}, url), ' ', h('button', { type: 'button', class: 'plain', 'aria-label': `Remove ${url}`, onclick: () => {
    setGateways(gateways().filter((other) => other !== url));
    changed();
  } }, 'Remove'));
  const offers = KNOWN.filter(([url]) => !mine.includes(url)).map(([url, what]) => h('li', {}, h('code', {}, url), h('span', { class: 'quiet' }, ` ${what} `),
    h('button', { type: 'button', class: 'plain', 'aria-label': `Add ${url}`, onclick: () => keep(url) }, 'Add')));
  return h('div', {}, mine.length > 0 ? h('ul', { class: 'rows' }, ...mine.map(row)) : h('p', { class: 'note' }, 'None. The inspector fetches blocks only from the cache’s own server.'),
    h('form', { onsubmit: (event) => {
      event.preventDefault();
      keep(field.value.trim());
    } }, h('label', { for: 'gateway' }, 'Address'), h('div', { class: 'ask' }, field, h('button', { type: 'submit' }, 'Add'))), messages,
    offers.length > 0 && h('h2', {}, 'Known gateways'), offers.length > 0 && h('ul', { class: 'rows' }, ...offers));
}
