// Shows a tree of any length as a list. Only the visible rows are elements. Keys and roles follow
// the ARIA tree pattern.

import { bytes, h, visible } from './dom';
import type { Node } from './tree';

/** Pixels. */
const ROW = 28;
const MAX_HEIGHT = 520;
/** Extra rows above and below the visible ones. */
const SPARE = 12;

export class TreeList {
  readonly element: HTMLElement;
  private readonly space: HTMLElement;
  private readonly open = new Set<number>();
  private rows: number[] = [];
  private at = 0;
  private filter = '';
  private drawn = '';
  private scrolled = 0;

  constructor(private readonly nodes: Node[], label: string, private readonly chosen: (node: Node) => void) {
    this.space = h('div', { role: 'none' });
    this.element = h('div', { class: 'tree', role: 'tree', tabindex: 0, 'aria-label': label }, this.space);
    this.element.addEventListener('scroll', () => {
      this.scrolled = this.element.scrollTop;
      this.draw();
    }, { passive: true });
    this.element.addEventListener('keydown', (event) => this.key(event));
    this.element.addEventListener('click', (event) => this.click(event));
    new ResizeObserver(() => this.draw()).observe(this.element);
    // Opens the root, and each folder that is the only entry of its parent.
    for (let index = 0; nodes[index]?.entry.type === 'directory'; index += 1) {
      this.open.add(index);
      const first = nodes[index + 1];
      if (first?.end !== nodes[index]?.end) break;
    }
    this.layout();
  }

  /** Number of rows. */
  get length(): number {
    return this.rows.length;
  }

  /** Restores the scroll position, which an element loses when it moves within the page. */
  restore(): void {
    this.element.scrollTop = this.scrolled;
  }

  /** Shows only entries with this text in their path, and the folders above them. */
  find(text: string): void {
    this.filter = text.toLowerCase();
    this.at = 0;
    this.element.scrollTop = 0;
    this.layout();
  }

  /** Selects a path, and opens the folders above it. */
  select(path: string): Node | undefined {
    const index = this.nodes.findIndex((node) => node.entry.path === path);
    const node = this.nodes[index];
    if (!node) return undefined;
    for (let up = node.entry.type === 'directory' ? index : node.parent; up >= 0; up = this.nodes[up]?.parent ?? -1) this.open.add(up);
    this.layout();
    this.move(this.rows.indexOf(index));
    return node;
  }

  private layout(): void {
    const rows: number[] = [];
    if (this.filter) {
      const kept = new Set<number>();
      this.nodes.forEach((node, index) => {
        if (!node.entry.path.toLowerCase().includes(this.filter)) return;
        for (let up = index; up >= 0 && !kept.has(up); up = this.nodes[up]?.parent ?? -1) kept.add(up);
      });
      rows.push(...[...kept].sort((a, b) => a - b));
    } else {
      for (let index = 0; index < this.nodes.length; ) {
        const node = this.nodes[index];
        if (!node) break;
        rows.push(index);
        index = node.entry.type === 'directory' && !this.open.has(index) ? node.end : index + 1;
      }
    }
    this.rows = rows;
    this.space.style.height = `${rows.length * ROW}px`;
    this.element.style.height = `${Math.min(MAX_HEIGHT, Math.max(6, rows.length) * ROW + 2)}px`;
    this.drawn = '';
    this.draw();
  }

  private draw(): void {
    const height = this.element.clientHeight || MAX_HEIGHT;
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((this.element.scrollTop + height) / ROW) + SPARE);
    const drawn = `${first} ${last} ${this.at}`;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const rows = [];
    for (let row = first; row < last; row += 1) rows.push(this.row(row));
    this.space.replaceChildren(...rows);
    const here = this.at >= first && this.at < last ? `row-${this.at}` : '';
    if (here) this.element.setAttribute('aria-activedescendant', here);
    else this.element.removeAttribute('aria-activedescendant');
  }

  private row(row: number): HTMLElement {
    const index = this.rows[row] ?? 0;
    const node = this.nodes[index] as Node;
    const { entry } = node;
    const folder = entry.type === 'directory';
    const opened = folder && (this.filter !== '' || this.open.has(index));
    const note = entry.type === 'symlink' ? ` → ${visible(entry.target)}` : entry.type === 'regular' && entry.executable ? ' *' : '';
    const element = h('div', {
      class: row === this.at ? 'row here' : 'row', role: 'treeitem', id: `row-${row}`, 'data-row': row, 'aria-level': node.depth + 1,
      'aria-selected': row === this.at ? 'true' : 'false', 'aria-expanded': folder ? String(opened) : undefined,
    },
    h('span', { class: 'twist', 'aria-hidden': 'true' }, folder ? (opened ? '▾' : '▸') : ''),
    h('span', { class: 'label' }, h('bdi', {}, node.depth === 0 ? '/' : visible(node.name)), note, entry.type === 'regular' && entry.executable && h('span', { class: 'unseen' }, ' executable')),
    h('span', { class: 'number' }, entry.type === 'symlink' ? '' : bytes(node.size)));
    element.style.top = `${row * ROW}px`;
    element.style.paddingLeft = `${node.depth * 16 + 4}px`;
    return element;
  }

  private click(event: Event): void {
    const element = (event.target as Element).closest('[data-row]');
    const row = Number(element?.getAttribute('data-row') ?? -1);
    if (row < 0) return;
    this.move(row);
    this.choose(row);
  }

  private choose(row: number): void {
    const index = this.rows[row];
    const node = index === undefined ? undefined : this.nodes[index];
    if (!node || index === undefined) return;
    const closes = node.entry.type === 'directory' && this.open.has(index);
    if (node.entry.type === 'directory' && !this.filter) this.toggle(index, !closes);
    if (!closes) this.chosen(node);
  }

  private toggle(index: number, open: boolean): void {
    if (open) this.open.add(index);
    else this.open.delete(index);
    this.layout();
  }

  private key(event: KeyboardEvent): void {
    const index = this.rows[this.at] ?? 0;
    const node = this.nodes[index];
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 1);
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step !== undefined) this.move(Math.min(this.rows.length - 1, Math.max(0, this.at + step)));
    else if (event.key === 'ArrowRight' && node?.entry.type === 'directory') {
      if (this.open.has(index)) this.move(Math.min(this.rows.length - 1, this.at + 1));
      else this.toggle(index, true);
    } else if (event.key === 'ArrowLeft' && node) {
      if (node.entry.type === 'directory' && this.open.has(index) && !this.filter) this.toggle(index, false);
      else this.move(Math.max(0, this.rows.indexOf(node.parent)));
    } else if (event.key === 'Enter' || event.key === ' ') this.choose(this.at);
    else return;
    event.preventDefault();
  }

  private move(row: number): void {
    if (row < 0) return;
    this.at = row;
    const top = row * ROW;
    const height = this.element.clientHeight || MAX_HEIGHT;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + ROW > this.element.scrollTop + height) this.element.scrollTop = top + ROW - height;
    this.drawn = '';
    this.draw();
  }
}
