// Checks whether each source has the NAR, and what the gateways can do. Also runs a race between
// them.

import { chunksOf } from '../cache';
import { check, http, QUESTIONS, type Answer } from '../checks';
import { bytes, h, name, problem, Progress, replace, visible } from '../dom';
import { cid, isIpfs, type Item } from '../item';
import { timeline, type Mark } from '../race';
import { gatewaysFor } from '../settings';
import { fetchIpfs, Gateways, errorText } from '../wasm';

export function sourcesView(place: HTMLElement, item: Item, signal: AbortSignal): void {
  const url = item.sources.map((entry) => entry.url).find(isIpfs) ?? item.sources.map((entry) => entry.url).find(cid);
  const gateways = gatewaysFor(item.cache);
  const plain = item.sources.filter((entry) => !isIpfs(entry.url) && !gatewayOf(entry.url));
  // Gateways that the narinfo names are checked too. The race is only between the user's gateways.
  const named = item.sources.flatMap((entry) => gatewayOf(entry.url) ?? []).filter((gateway) => !gateways.includes(gateway));
  if (url) place.append(...byGateways(item, url, gateways, [...new Set(named)], signal));
  else place.append(h('p', { class: 'note' }, 'This narinfo names no CID. The NAR is available only by HTTP.'));
  if (plain.length > 0) place.append(byHttp(item, plain, signal));
}

/** Returns the gateway of an entry like `http://127.0.0.1:8080/ipfs/<cid>`. */
function gatewayOf(url: string): string | undefined {
  return /^(https?:\/\/.*)\/ipfs\/[a-zA-Z0-9]{46,}/i.exec(url)?.[1];
}

function byGateways(item: Item, url: string, gateways: string[], named: string[], signal: AbortSignal): Node[] {
  const edit = h('p', {}, h('a', { href: '#/gateways' }, 'Edit the list of gateways'));
  if (gateways.length + named.length === 0) return [h('p', { class: 'note warn' }, 'There is no gateway to check.'), edit];
  const rows = [...gateways, ...named].map((gateway) => ({ gateway, cells: QUESTIONS.map((title) => h('td', { 'data-of': title }, 'checking…')) }));
  const table = h('table', { class: 'stack' }, h('caption', {}, 'Gateways, checked just now with ', h('code', {}, name(cid(url) ?? url))),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Gateway'), ...QUESTIONS.map((title) => h('th', { scope: 'col' }, title)))),
    h('tbody', {}, ...rows.map(({ gateway, cells }) => h('tr', {}, h('th', { scope: 'row', class: 'long' }, name(gateway), named.includes(gateway) && h('span', { class: 'quiet' }, ' named by the narinfo')), ...cells))));
  for (const { gateway, cells } of rows) {
    void check(gateway, url, signal, (question, answer) => {
      const cell = cells[question];
      if (cell) showAnswer(cell, answer);
    });
  }
  const explain = h('p', { class: 'quiet' }, 'Correct data: the inspector fetched the first byte of the file from this gateway alone. Each block on the path to it has the hash in its CID.');
  return gateways.length > 0 ? [table, explain, edit, race(item, url, gateways, signal)] : [table, explain, edit];
}

function showAnswer(cell: HTMLElement, { kind, text }: Answer): void {
  cell.className = kind;
  cell.textContent = visible(text);
}

function byHttp(item: Item, entries: Item['sources'], signal: AbortSignal): HTMLElement {
  const rows = entries.map((entry) => {
    const cell = h('td', { 'data-of': 'State' }, 'checking…');
    void http(new URL(entry.url, item.cache ?? location.href).href, signal).then((answer) => showAnswer(cell, answer));
    return h('tr', {}, h('th', { scope: 'row', class: 'long' }, name(entry.url)), h('td', { 'data-of': 'Compression' }, entry.compression), cell);
  });
  return h('table', { class: 'stack' }, h('caption', {}, 'HTTP sources'), h('thead', {}, h('tr', {}, ...['Address', 'Compression', 'State'].map((title) => h('th', { scope: 'col' }, title)))), h('tbody', {}, ...rows));
}

function race(item: Item, url: string, gateways: string[], signal: AbortSignal): HTMLElement {
  const outcome = h('div', {});
  const size = item.sources.find((entry) => entry.url === url)?.fileSize;
  const start = h('button', { type: 'button', onclick: async () => {
    start.disabled = true;
    await run(outcome, url, gateways, size, signal);
    start.disabled = false;
  } }, `Start${size === undefined ? '' : `: fetches ${bytes(size)}`}`);
  return h('section', {}, h('h2', {}, 'Race'), h('p', {}, 'Fetches the whole file from these gateways as a client does, and shows which gateway sends which block, and when.'), start, outcome);
}

async function run(place: HTMLElement, url: string, list: string[], size: number | undefined, signal: AbortSignal): Promise<void> {
  const marks: Mark[] = [];
  const bar = new Progress('Race');
  const began = performance.now();
  const now = () => performance.now() - began;
  replace(place, bar.element);
  const gateways = new Gateways(list);
  const note = (gateway: string, mark: Omit<Mark, 'gateway' | 'at'>) => marks.push({ gateway: gateway.replace(/\/$/, ''), at: now(), ...mark });
  let failed: unknown;
  try {
    const stream = fetchIpfs(url, gateways, { signal, redirect: 'manual', onEvent: (event) => {
      if (event.type === 'progress') {
        if (event.gateway) note(event.gateway, { block: event.block });
        bar.set(event.bytes, size);
      } else if (event.type === 'fault') note(event.gateway, { block: 0, fault: errorText(event.error) });
    } });
    for await (const _ of chunksOf(stream));
  } catch (error) {
    failed = error;
  } finally {
    gateways.free();
  }
  if (signal.aborted) return;
  const faults = marks.filter((mark) => mark.fault).map((mark) => h('li', { class: 'bad' }, visible(`${mark.gateway}: ${mark.fault}`)));
  replace(place, failed !== undefined && problem('The gateways didn’t send the whole file', errorText(failed)), h('p', {}, `${bytes(marks.reduce((sum, mark) => sum + mark.block, 0))} in ${Math.round(now())} ms; every block verified.`),
    timeline(list, marks, now()), faults.length > 0 && h('ul', {}, ...faults.slice(0, 20)));
}
