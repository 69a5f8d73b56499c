// The closure of an item: picture, table and sums.

import { leaves, once } from '../blocks';
import { Trouble } from '../cache';
import { closure, MAX_ITEMS, type Closure, type Member } from '../closure';
import { bytes, h, name, problem, replace, say } from '../dom';
import { graph } from '../graph';
import type { Item } from '../item';
import { link } from '../route';
import { gatewaysFor } from '../state';
import { words } from '../wasm';

export async function referencesView(place: HTMLElement, item: Item, signal: AbortSignal): Promise<void> {
  const { cache, info } = item;
  if (!cache || !info) {
    place.append(h('p', { class: 'note' }, 'A pasted narinfo has no cache that could be asked for what it refers to.'));
    return;
  }
  const state = h('p', { class: 'quiet', role: 'status' }, 'Asking the cache…');
  place.append(state);
  const found = await closure(cache, info, signal, (done, known) => (state.textContent = `${done} of ${known} or more narinfos`));
  if (signal.aborted) return;
  const address = (base: string) => link(['item', base.slice(0, 32)], { cache });
  replace(place, sums(found, cache, signal), graph(found.members, address), table(found.members, address));
  say(`Closure of ${found.members.length} items`);
}

function sums({ members, more }: Closure, cache: string, signal: AbortSignal): HTMLElement {
  const total = members.reduce((sum, { narSize }) => sum + narSize, 0);
  const count = (wanted: (member: Member) => boolean) => members.filter(wanted).length;
  const [bad, unsigned, onIpfs] = [count(({ state }) => state === 'bad'), count(({ state }) => state === 'warn'), members.flatMap(({ ipfs }) => ipfs ?? [])];
  const distinct = new Map(onIpfs.map(({ cid, size }) => [cid, size ?? 0]));
  const transfer = [...distinct.values()].reduce((sum, size) => sum + size, 0);
  const outcome = h('p', {});
  const exact = h('button', { type: 'button', class: 'plain', onclick: async () => {
    exact.disabled = true;
    outcome.textContent = 'Reading the lists of blocks…';
    try {
      const lists = await Promise.all([...distinct].map(([cid, size]) => leaves(cid, size, gatewaysFor(cache), signal)));
      outcome.textContent = `${bytes(once(lists))}, each of the blocks counted once.`;
    } catch (error) {
      replace(outcome, problem(error instanceof Trouble ? error.title : 'The blocks can’t be counted', words(error)));
    }
  } }, 'Count shared blocks once');
  return h('div', {},
    h('p', { class: 'title' }, h('strong', {}, `${members.length} items, ${bytes(total)} unpacked`), more ? ` (the first ${MAX_ITEMS} items)` : ''),
    h('p', {}, `Over IPFS: ${onIpfs.length} of them, ${bytes(transfer)} to transfer. `, onIpfs.length > 0 && exact), outcome,
    bad > 0 && h('p', { class: 'note bad', role: 'alert' }, `Missing or badly signed: ${bad}.`),
    unsigned > 0 && h('p', { class: 'note warn' }, `Signed by no key that you trust: ${unsigned}.`));
}

function table(members: Member[], address: (base: string) => string): HTMLElement {
  const rows = [...members].sort((a, b) => b.narSize - a.narSize).map((member) => h('tr', {},
    h('td', {}, h('a', { href: address(member.base) }, name(member.base.slice(33)))), h('td', { class: 'number', 'data-of': 'Size' }, member.state === 'bad' && member.narSize === 0 ? '' : bytes(member.narSize)),
    h('td', { class: 'number', 'data-of': 'References' }, member.references.length), h('td', { class: 'number', 'data-of': 'Steps away' }, member.depth), h('td', { class: member.state }, name(member.says)), h('td', { 'data-of': 'On IPFS' }, member.ipfs ? 'yes' : 'no')));
  const head = [['Item', ''], ['Size', 'number'], ['References', 'number'], ['Steps away', 'number'], ['Signature', ''], ['On IPFS', '']];
  return h('table', { class: 'stack' }, h('caption', {}, 'Closure, the largest first'), h('thead', {}, h('tr', {}, ...head.map(([title, kind]) => h('th', { scope: 'col', class: kind || undefined }, title)))), h('tbody', {}, ...rows));
}
