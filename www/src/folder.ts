// Shows a folder of an item as a treemap and as a table, largest first.

import { bytes, h, name, sized } from './dom';
import type { Node } from './tree';
import { inside, treemap } from './treemap';

/** Height of the treemap in pixels. */
const HEIGHT = 380;
/** Rows of the table. The tree beside it shows all entries. */
const MAX_ROWS = 30;

export function folder(nodes: Node[], index: number, title: string, address: (path: string | undefined) => string, go: (address: string) => void): HTMLElement {
  const node = nodes[index] as Node;
  const at = (one: Node) => address(one.entry.path || undefined);
  const all = inside(nodes, index).sort((a, b) => (nodes[b]?.size ?? 0) - (nodes[a]?.size ?? 0));
  const rows = all.slice(0, MAX_ROWS).flatMap((child) => {
    const one = nodes[child];
    if (!one) return [];
    const folder = one.entry.type === 'directory';
    const share = node.size > 0 ? percent(one.size / node.size) : '';
    return [h('tr', {}, h('td', { class: 'long' }, h('a', { href: at(one) }, name(one.name + (folder ? '/' : '')))), h('td', { class: 'number' }, folder ? one.files.toLocaleString('en') : ''),
      h('td', { class: 'number' }, one.entry.type === 'symlink' ? 'link' : bytes(one.size)), h('td', { class: 'number' }, share))];
  });
  const head = [['Name', ''], ['Files', 'number'], ['Size', 'number'], ['Share', 'number']];
  return h('div', {}, trail(nodes, index, title, at),
    h('p', { class: 'quiet' }, `${node.files.toLocaleString('en')} ${node.files === 1 ? 'file' : 'files'}, ${bytes(node.size)}`),
    node.size > 0 && sized(HEIGHT, (width) => treemap(nodes, index, width, HEIGHT, (one) => go(at(one)))),
    rows.length > 0 && h('table', {}, h('caption', {}, all.length > MAX_ROWS ? `The ${MAX_ROWS} largest of ${all.length.toLocaleString('en')} entries` : 'By size'),
      h('thead', {}, h('tr', {}, ...head.map(([title, kind]) => h('th', { scope: 'col', class: kind || undefined }, title)))), h('tbody', {}, ...rows)));
}

/** Formats a share as a percentage. */
function percent(share: number): string {
  if (share > 0 && share < 0.0005) return '< 0.1 %';
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

/** Shows the path of an entry. Each folder above it is a link. */
export function trail(nodes: Node[], index: number, title: string, at: (node: Node) => string): HTMLElement {
  const above: Node[] = [];
  for (let up = nodes[index]?.parent ?? -1; up >= 0; up = nodes[up]?.parent ?? -1) above.unshift(nodes[up] as Node);
  const label = (node: Node) => name(node.depth === 0 ? title : node.name);
  return h('h2', { class: 'trail' }, ...above.flatMap((node) => [h('a', { href: at(node) }, label(node)), ' / ']), label(nodes[index] as Node));
}
