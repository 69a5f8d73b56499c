// The list of gateways.

import { h, problem, replace } from '../dom';
import { gateways, setGateways } from '../state';
import { Gateways, ready, words } from '../wasm';

/** Offered, never asked unless the user adds them. */
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
    h('p', {}, 'Where blocks are asked for, before the cache’s own server. None need be trusted: each block is checked against its CID.'), list);
}

function table(changed: () => void): HTMLElement {
  const mine = gateways();
  const said = h('div', {});
  const field = h('input', { id: 'gateway', type: 'text', spellcheck: 'false', placeholder: 'https://gateway.example.org' });
  const keep = (text: string) => {
    said.replaceChildren();
    // Nodes on one’s own machine have no certificate.
    const url = /^https?:\/\//i.test(text) ? text : `${/^(localhost|127\.|\[::1\])/.test(text) ? 'http' : 'https'}://${text}`;
    try {
      new Gateways([url]).free();
      setGateways([...new Set([...gateways(), url.replace(/\/$/, '')])]);
      changed();
    } catch (error) {
      said.append(problem('This is no gateway’s address', words(error)));
    }
  };
  const row = (url: string) => h('li', {}, h('code', {}, url), ' ', h('button', { type: 'button', class: 'plain', 'aria-label': `Remove ${url}`, onclick: () => {
    setGateways(gateways().filter((other) => other !== url));
    changed();
  } }, 'Remove'));
  const offers = KNOWN.filter(([url]) => !mine.includes(url)).map(([url, what]) => h('li', {}, h('code', {}, url), h('span', { class: 'quiet' }, ` ${what} `),
    h('button', { type: 'button', class: 'plain', 'aria-label': `Add ${url}`, onclick: () => keep(url) }, 'Add')));
  return h('div', {}, mine.length > 0 ? h('ul', { class: 'rows' }, ...mine.map(row)) : h('p', { class: 'note' }, 'None: the cache’s own server is asked alone.'),
    h('form', { onsubmit: (event) => {
      event.preventDefault();
      keep(field.value.trim());
    } }, h('label', { for: 'gateway' }, 'Address'), h('div', { class: 'ask' }, field, h('button', { type: 'submit' }, 'Add'))), said,
    offers.length > 0 && h('h2', {}, 'Known ones'), offers.length > 0 && h('ul', { class: 'rows' }, ...offers));
}
