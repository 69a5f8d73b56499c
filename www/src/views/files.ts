// The tree of an item and one file of it. A listing of the cache is shown at once, as its word; the NAR, once it was read, as what it is.

import { Trouble } from '../cache';
import { append, bytes, h, name, problem, Progress, replace, say, visible } from '../dom';
import { folder, trail } from '../folder';
import { pool } from '../gateways';
import { content, load, type Item, type Nar } from '../item';
import { listings, type Told } from '../listing';
import { chunkIndex, fromPieces, fromTree, treeOf, type Part } from '../part';
import { go } from '../route';
import { show } from '../show';
import { gatewaysFor } from '../state';
import { build, follow, type Node } from '../tree';
import { TreeList } from '../treelist';
import { verdict } from '../trust';
import { words, type NarEntry } from '../wasm';

/** What is shown now, so that another path of the same item moves within it. */
let shown: Files | undefined;

export async function filesView(place: HTMLElement, item: Item, path: string | undefined, address: (path: string | undefined) => string, signal: AbortSignal): Promise<void> {
  if (shown?.item !== item) shown = new Files(item);
  const files = shown;
  files.address = address;
  place.append(files.element);
  files.restore();
  await files.begin();
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
  private cids = new Map<string, string>();
  private list: TreeList | undefined;
  private readonly ending = new AbortController();
  private beginning: Promise<void> | undefined;
  private loading: Promise<Nar> | undefined;
  /** What the file that is shown holds. */
  private held: (() => void)[] = [];

  constructor(readonly item: Item) {
    append(this.element, [this.state, h('div', { class: 'split' }, this.tree, this.file)]);
  }

  dispose(): void {
    this.ending.abort();
    this.release();
    delete this.item.nar;
  }

  private release(): void {
    for (const work of this.held.splice(0)) work();
  }

  /** The page was drawn anew around it. */
  restore(): void {
    this.list?.restore();
  }

  /** Ends when there is a tree to show. */
  begin(): Promise<void> {
    return (this.beginning ??= this.plan().catch((error: unknown) => {
      this.beginning = undefined;
      throw error;
    }));
  }

  private async plan(): Promise<void> {
    const state = h('p', { class: 'quiet', role: 'status' }, 'Asking for the list of files…');
    replace(this.state, state);
    const signal = this.ending.signal;
    const found = this.item.info && (await listings(this.item, { signal, planted: (told) => this.told(told), progress: (text) => (state.textContent = text) }));
    if (!found && !signal.aborted) await this.nar();
  }

  /** A list is there, unless the NAR itself has come before it. */
  private told({ entries, cids, kind, title, says }: Told): void {
    if (this.item.nar || this.loading || this.ending.signal.aborted) return;
    this.cids = cids;
    this.plant(entries);
    replace(this.state, h('div', { class: `note ask ${kind}`, role: kind === 'bad' ? 'alert' : undefined }, h('div', {}, h('strong', {}, title), h('p', {}, says)),
      h('button', { type: 'button', onclick: () => void this.nar().catch(() => {}) }, `Verify all (${this.download()})`)));
  }

  private download(): string {
    const sizes = this.item.sources.flatMap(({ fileSize }) => fileSize ?? []);
    return bytes(sizes.length > 0 ? Math.min(...sizes) : (this.item.info?.narSize ?? 0));
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
    this.ending.signal.addEventListener('abort', () => ending.abort());
    const bar = new Progress('Reading the NAR');
    const faults = h('ul', { class: 'quiet' });
    const named = new Set<string>();
    const fault = (gateway: string, error: unknown) => {
      const text = `${gateway.replace(/\/$/, '')}: ${words(error)}. It was not used; another source was asked.`;
      if (named.size < 20 && !named.has(text)) faults.append(h('li', { class: 'bad' }, visible(text)));
      named.add(text);
    };
    const stop = h('button', { type: 'button', class: 'plain', onclick: () => ending.abort() }, 'Stop');
    replace(this.state, bar.element, stop, faults);
    try {
      const nar = await load(this.item, {
        signal: ending.signal,
        progress: (done, total) => bar.set(done, total),
        event: (event) => {
          if (event.type === 'fault') fault(event.gateway, event.error);
        },
      });
      this.item.nar = nar;
      // Those too that had been put aside before.
      const asked = gatewaysFor(this.item.cache);
      if (asked.length > 0) for (const { url, lastFault } of pool(asked).reports()) if (lastFault) fault(url, lastFault);
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
    const list = new TreeList(nodes, 'Files', (node) => go(this.address(node.entry.path)));
    this.list = list;
    const field = h('input', { id: 'filter', type: 'search', placeholder: 'part of a path', autocomplete: 'off', oninput: () => {
      list.find(field.value.trim());
      say(`${list.length} rows`);
    } });
    const root = nodes[0];
    replace(this.tree, h('label', { for: 'filter' }, 'Filter ', h('span', { class: 'quiet' }, `${(root?.files ?? 0).toLocaleString('en')} files, ${bytes(root?.size ?? 0)}`)),
      field, h('div', { class: 'list' }, list.element));
    // Laid out as well: `make bench-web` reads what it took.
    void this.element.offsetHeight;
    performance.measure('tree', { start, end: performance.now() });
  }

  async open(path: string | undefined, signal: AbortSignal): Promise<void> {
    this.release();
    const index = path === undefined ? 0 : this.nodes.findIndex((node) => node.entry.path === path);
    const node = this.nodes[index];
    if (!node) return replace(this.file, h('p', { class: 'quiet' }, 'There is no such path in this item.'));
    if (path !== undefined) this.list?.select(path);
    if (node.entry.type === 'directory') return replace(this.file, folder(this.nodes, index, this.item.title, (path) => this.address(path), go));
    const title = trail(this.nodes, index, this.item.title, (one) => this.address(one.entry.path || undefined));
    if (node.entry.type === 'symlink') return replace(this.file, title, this.leads(node.entry.path, node.entry.target));
    if (!this.item.nar && (await this.alone(title, node.entry, signal))) return;
    if (signal.aborted) return;
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

  /** Shows a file by itself: out of the folder on IPFS, or by its pieces where a chunk index tells them. */
  private async alone(title: HTMLElement, entry: File, signal: AbortSignal): Promise<boolean> {
    const [cid, tree, index] = [this.cids.get(entry.path), treeOf(this.item), chunkIndex(this.item)];
    const ways: [() => Promise<Part>, string][] = [];
    if (cid !== undefined && tree !== undefined) ways.push([() => fromTree(this.item, cid, entry, signal), 'Each has the hash that its CID says, and the file’s own CID stands in the item’s folder on IPFS.']);
    if (index !== undefined) ways.push([() => fromPieces(this.item, index, entry, signal), 'Each has the hash that its CID says, and each piece the one that the chunk index says.']);
    for (const [fetch, checked] of ways) {
      replace(this.file, title, h('p', { class: 'quiet', role: 'status' }, 'Fetching the blocks that it is in…'));
      try {
        const { blob, fetched, blocks } = await fetch();
        if (signal.aborted) return true;
        const says = `${blocks === 1 ? '1 block' : `${blocks} blocks`} of ${bytes(fetched)} were fetched for it, not the whole NAR. ${checked} Not verified yet: that this is the NAR which was signed. “Verify all” does it.`;
        await this.display(title, blob, entry, h('p', { class: 'note warn' }, says));
        return true;
      } catch {
        // The next way may still lead there, and the whole NAR at last.
        if (signal.aborted) return true;
      }
    }
    return false;
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
