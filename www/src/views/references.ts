// The closure of an item: a picture, a table and totals.

import { leaves, distinctBytes } from '../blocks';
import { UserError } from '../cache';
import { closure, MAX_ITEMS, type Closure, type Member } from '../closure';
import { bytes, h, name, problem, replace, announce } from '../dom';
import { graph } from '../graph';
import type { Item } from '../item';
import { link } from '../route';
import { gatewaysFor } from '../settings';
import { errorText } from '../wasm';

export async function referencesView(place: HTMLElement, item: Item, signal: AbortSignal): Promise<void> {
  const { cache, info } = item;
  if (!cache || !info) {
    place.append(h('p', { class: 'note' }, 'This narinfo was pasted, so there is no cache to ask for its references.'));
    return;
  }
  const state = h('p', { class: 'quiet', role: 'status' }, 'Fetching narinfos…');
  place.append(state);
  const found = await closure(cache, info, signal, (done, known) => (state.textContent = `${done} of at least ${known} narinfos`));
  if (signal.aborted) return;
  const address = (base: string) => link(['item', base.slice(0, 32)], { cache });
  replace(place, sums(found, cache, signal), graph(found.members, address), table(found.members, address));
  announce(`Closure of ${found.members.length} items`);
}

function sums({ members, more }: Closure, cache: string, signal: AbortSignal): HTMLElement {
  const total = members.reduce((sum, { narSize }) => sum + narSize, 0);
  const count = (wanted: (member: Member) => boolean) => members.filter(wanted).length;
  const [bad, unsigned, onIpfs] = [count(({ verdict }) => verdict === 'bad'), count(({ verdict }) => verdict === 'warn'), members.flatMap(({ ipfs }) => ipfs ?? [])];
  const distinct = new Map(onIpfs.map(({ cid, size }) => [cid, size ?? 0]));
  const transfer = [...distinct.values()].reduce((sum, size) => sum + size, 0);
  const outcome = h('p', {});
  const exact = h('button', { type: 'button', class: 'plain', onclick: async () => {
    exact.disabled = true;
    outcome.textContent = 'Reading the lists of blocks…';
    try {
      const lists = await Promise.all([...distinct].map(([cid, size]) => leaves(cid, size, gatewaysFor(cache), signal)));
      outcome.textContent = `${bytes(distinctBytes(lists))} if each block is counted once.`;
    } catch (error) {
      replace(outcome, problem(error instanceof UserError ? error.title : 'Can’t count the blocks', errorText(error)));
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
    h('td', {}, h('a', { href: address(member.base) }, name(member.base.slice(33)))), h('td', { class: 'number', 'data-of': 'Size' }, member.verdict === 'bad' && member.narSize === 0 ? '' : bytes(member.narSize)),
    h('td', { class: 'number', 'data-of': 'References' }, member.references.length), h('td', { class: 'number', 'data-of': 'Steps away' }, member.depth), h('td', { class: member.verdict }, name(member.signature)), h('td', { 'data-of': 'On IPFS' }, member.ipfs ? 'yes' : 'no')));
  const head = [['Item', ''], ['Size', 'number'], ['References', 'number'], ['Steps away', 'number'], ['Signature', ''], ['On IPFS', '']];
  return h('table', { class: 'stack' }, h('caption', {}, 'Closure, the largest first'), h('thead', {}, h('tr', {}, ...head.map(([title, kind]) => h('th', { scope: 'col', class: kind || undefined }, title)))), h('tbody', {}, ...rows));
}
