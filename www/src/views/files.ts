// The tree of an item and one file of it. A listing of the cache is shown at once, as its word; the NAR, once it was read, as what it is.

import { get, hashPart, limited, Trouble } from '../cache';
import { append, bytes, h, name, problem, Progress, replace, say, visible } from '../dom';
import { content, load, type Item, type Nar } from '../item';
import { chunkIndex, part } from '../part';
import { go } from '../route';
import { show } from '../show';
import { build, follow, fromListing, type Node } from '../tree';
import { TreeList } from '../treelist';
import { treemap } from '../treemap';
import { verdict } from '../trust';
import { words, type NarEntry } from '../wasm';

const MAX_LISTING = 64 << 20;

/** What is shown now, so that another path of the same item moves within it. */
let shown: Files | undefined;

export async function filesView(place: HTMLElement, item: Item, path: string | undefined, address: (path: string | undefined) => string, signal: AbortSignal): Promise<void> {
  if (shown?.item !== item) shown = new Files(item);
  const files = shown;
  files.address = address;
  place.append(files.element);
  await files.begin(signal);
  if (!signal.aborted) await files.open(path, signal);
}

/** Lets go of blobs. */
export function closeFiles(): void {
  shown?.dispose();
  shown = undefined;
}

type File = NarEntry & { type: 'regular' };

class Files {
  readonly element = h('div', {});
  address: (path: string | undefined) => string = () => '';
  private readonly state = h('div', {});
  private readonly tree = h('div', {});
  private readonly file = h('section', { class: 'file', 'aria-label': 'File' });
  private nodes: Node[] = [];
  private list: TreeList | undefined;
  private held: (() => void)[] = [];
  private loading: Promise<Nar> | undefined;

  constructor(readonly item: Item) {
    append(this.element, [this.state, h('div', { class: 'split' }, this.tree, this.file)]);
  }

  dispose(): void {
    for (const work of this.held.splice(0)) work();
    delete this.item.nar;
  }

  async begin(signal: AbortSignal): Promise<void> {
    if (this.list) return;
    const listing = await this.listing(signal);
    if (listing && !signal.aborted) {
      this.plant(listing);
      replace(this.state, h('div', { class: 'note warn' }, h('strong', {}, 'The list of files is the cache’s word.'), ' No signature covers it. ',
        h('button', { type: 'button', onclick: () => void this.nar().catch(() => {}) }, `Verify all (${this.download()})`)));
    } else {
      await this.nar();
    }
  }

  private download(): string {
    const sizes = this.item.sources.flatMap(({ fileSize }) => fileSize ?? []);
    return bytes(sizes.length > 0 ? Math.min(...sizes) : (this.item.info?.narSize ?? 0));
  }

  private async listing(signal: AbortSignal) {
    const hash = this.item.info && hashPart(this.item.info.storePath);
    if (!hash || !this.item.cache || this.item.nar) return undefined;
    try {
      const response = await get(`${this.item.cache}${hash}.ls`, 'the list of files', signal);
      return response && fromListing(new TextDecoder().decode(await limited(response, MAX_LISTING)));
    } catch {
      // The NAR itself says it as well.
      return undefined;
    }
  }

  /** The NAR, read once; progress and outcome are shown above the tree. */
  nar(): Promise<Nar> {
    return (this.loading ??= this.read().catch((error: unknown) => {
      this.loading = undefined;
      throw error;
    }));
  }

  private async read(): Promise<Nar> {
    const ending = new AbortController();
    this.held.push(() => ending.abort());
    const bar = new Progress('Reading the NAR');
    const faults = h('ul', { class: 'quiet' });
    const stop = h('button', { type: 'button', class: 'plain', onclick: () => ending.abort() }, 'Stop');
    replace(this.state, bar.element, stop, faults);
    try {
      const nar = await load(this.item, {
        signal: ending.signal,
        progress: (done, total) => bar.set(done, total),
        event: (event) => {
          if (event.type === 'fault' && faults.childElementCount < 20) faults.append(h('li', { class: 'bad' }, `${event.gateway}: ${words(event.error)}. It was not used; another source was asked.`));
        },
      });
      this.item.nar = nar;
      this.outcome(nar, faults);
      this.plant(nar.entries);
      return nar;
    } catch (error) {
      const title = ending.signal.aborted ? 'Stopped' : error instanceof Trouble ? error.title : 'The NAR can’t be read';
      replace(this.state, problem(title, words(error)), faults, h('button', { type: 'button', onclick: () => void this.nar().catch(() => {}) }, 'Try again'));
      throw error;
    }
  }

  private outcome(nar: Nar, faults: HTMLElement): void {
    const signed = this.item.info !== undefined && verdict(this.item.info).kind === 'good';
    const kind = nar.right === false ? 'bad' : nar.right && signed ? 'good' : 'warn';
    const title = nar.right === undefined ? 'Read; no narinfo to compare it with' : nar.right === false ? 'Wrong: this is not the NAR that the narinfo names'
      : signed ? 'Verified: this is the NAR that was signed' : 'This is the NAR that the narinfo names; but no key that you trust has signed that';
    const checks = nar.checks.map((check) => h('li', {}, check));
    replace(this.state, h('div', { class: `note ${kind}`, role: kind === 'bad' ? 'alert' : undefined }, h('strong', {}, title),
      h('ul', {}, ...checks, nar.wrong !== undefined && h('li', {}, visible(nar.wrong)))), faults.childElementCount > 0 && faults);
    say(title);
  }

  private plant(entries: NarEntry[]): void {
    const start = performance.now();
    const nodes = build(entries);
    // What is open in the tree stays open when the NAR says the same as the listing.
    if (same(this.nodes, nodes)) return;
    this.nodes = nodes;
    const root = nodes[0];
    const list = new TreeList(nodes, 'Files', (node) => go(this.address(node.entry.path)));
    this.list = list;
    const field = h('input', { id: 'filter', type: 'search', placeholder: 'part of a path', autocomplete: 'off', oninput: () => {
      list.find(field.value.trim());
      say(`${list.length} rows`);
    } });
    const map = treemap(nodes, (node) => go(this.address(node.entry.path)));
    replace(this.tree, h('p', { class: 'quiet' }, `${(root?.files ?? 0).toLocaleString('en')} files, ${bytes(root?.size ?? 0)}`),
      h('label', { for: 'filter' }, 'Filter'), field, h('div', { class: 'list' }, list.element), map && h('h2', {}, 'The largest files'), map);
    // Laid out as well: `make bench-web` reads what it took.
    void this.element.offsetHeight;
    performance.measure('tree', { start, end: performance.now() });
  }

  async open(path: string | undefined, signal: AbortSignal): Promise<void> {
    const only = this.nodes.length === 1 ? this.nodes[0] : undefined;
    const node = path === undefined ? only : this.list?.select(path);
    if (!node) {
      replace(this.file, h('p', { class: 'quiet' }, path === undefined ? 'Choose a file to see what is in it.' : 'There is no such path in this item.'));
      return;
    }
    const title = h('h2', {}, name(node.entry.path || this.item.title));
    if (node.entry.type === 'directory') return replace(this.file, title, h('p', {}, `A folder: ${node.files} files, ${bytes(node.size)}.`));
    if (node.entry.type === 'symlink') return replace(this.file, title, this.leads(node.entry.path, node.entry.target));
    if (!this.item.nar && (await this.alone(title, node.entry, signal))) return;
    replace(this.file, title, h('p', { class: 'quiet', role: 'status' }, 'To show it the NAR is read to its end.'));
    try {
      const nar = await this.nar();
      const entry = nar.entries.find((entry) => entry.path === node.entry.path);
      if (signal.aborted) return;
      if (entry?.type !== 'regular') throw new Trouble('The list of files lied', 'There is no such file in the NAR itself.');
      await this.display(title, content(nar, entry), entry, proof(nar));
    } catch (error) {
      if (!signal.aborted) replace(this.file, title, problem(error instanceof Trouble ? error.title : 'It can’t be shown', words(error)));
    }
  }

  /** Shows a file by its pieces, where a chunk index tells them. */
  private async alone(title: HTMLElement, entry: File, signal: AbortSignal): Promise<boolean> {
    const index = chunkIndex(this.item);
    if (index === undefined || !this.list) return false;
    replace(this.file, title, h('p', { class: 'quiet', role: 'status' }, 'Fetching the pieces that it is in…'));
    try {
      const { blob, fetched, blocks } = await part(this.item, index, entry, signal);
      if (signal.aborted) return true;
      const says = `${blocks} blocks of ${bytes(fetched)} were fetched for it, not the whole NAR. Each has the hash that its CID says, and each piece the one that the chunk index says. Not verified yet: that this is the NAR which was signed. “Verify all” does it.`;
      await this.display(title, blob, entry, h('p', { class: 'note warn' }, says));
      return true;
    } catch {
      // The whole NAR may come from where the pieces don't.
      return signal.aborted;
    }
  }

  private leads(path: string, target: string): HTMLElement {
    const inner = follow(path, target, this.item.info?.storePath);
    const found = inner !== undefined && this.nodes.some((node) => node.entry.path === inner);
    return h('p', {}, 'A link to ', found ? h('a', { href: this.address(inner) }, name(target)) : h('code', {}, name(target)), found ? '' : ', outside of this item or nowhere.');
  }

  private async display(title: HTMLElement, blob: Blob, entry: File, says: HTMLElement): Promise<void> {
    const save = h('button', { type: 'button', onclick: () => download(blob, entry.path.split('/').pop() || this.item.title) }, 'Download');
    const view = await show(blob, entry.path, (work) => this.held.push(work));
    replace(this.file, title, h('p', {}, `${bytes(entry.size)}${entry.executable ? ', executable' : ''} `, save), says, view);
  }
}

function proof(nar: Nar): HTMLElement {
  if (nar.right === true) return h('p', { class: 'note good' }, 'Verified with the whole NAR, by NarHash.');
  if (nar.right === false) return h('p', { class: 'note bad' }, 'Part of a NAR with the wrong hash: don’t believe it.');
  return h('p', { class: 'note warn' }, nar.checks.join(' '));
}

function same(one: Node[], other: Node[]): boolean {
  return one.length === other.length && one.every(({ entry, size }, index) => entry.path === other[index]?.entry.path && entry.type === other[index]?.entry.type && size === other[index]?.size);
}

function download(blob: Blob, as: string): void {
  const url = URL.createObjectURL(new Blob([blob], { type: 'application/octet-stream' }));
  h('a', { href: url, download: as }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
