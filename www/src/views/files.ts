// Shows the files of an item, and one file. The cache's list of files appears at once, marked as
// unverified. The list from the NAR replaces it when the NAR was read.

import { UserError } from '../cache';
import { append, bytes, h, name, problem, Progress, replace, announce, visible } from '../dom';
import { folder, trail } from '../folder';
import { pool } from '../gateways';
import { content, load, type Item, type Nar } from '../item';
import { listings, type JudgedListing } from '../listing';
import { chunkIndex, fromPieces, fromTree, treeOf, type FetchedFile } from '../part';
import { go } from '../route';
import { show } from '../show';
import { gatewaysFor } from '../settings';
import { build, follow, type Node } from '../tree';
import { TreeList } from '../treelist';
import { verdict } from '../trust';
import { errorText, type NarEntry } from '../wasm';

/** The panel that is shown. Another path of the same item opens in the same panel. */
let shown: FilesPanel | undefined;

export async function filesView(place: HTMLElement, item: Item, path: string | undefined, address: (path: string | undefined) => string, signal: AbortSignal): Promise<void> {
  if (shown?.item !== item) shown = new FilesPanel(item);
  const files = shown;
  files.address = address;
  place.append(files.element);
  files.restore();
  await files.begin();
  if (!signal.aborted) await files.open(path, signal);
}

/** Frees the blobs. */
export function closeFiles(): void {
  shown?.dispose();
  shown = undefined;
}

type File = NarEntry & { type: 'regular' };

class FilesPanel {
  readonly element = h('div', {});
  address: (path: string | undefined) => string = () => '';
  private readonly state = h('div', {});
  private readonly tree = h('div', {});
  private readonly file = h('section', { class: 'file', 'aria-label': 'File' });
  private nodes: Node[] = [];
  private cids = new Map<string, string>();
  private list: TreeList | undefined;
  private readonly aborter = new AbortController();
  private beginning: Promise<void> | undefined;
  private loading: Promise<Nar> | undefined;
  /** Work to do when another file is shown. */
  private cleanups: (() => void)[] = [];

  constructor(readonly item: Item) {
    append(this.element, [this.state, h('div', { class: 'split' }, this.tree, this.file)]);
  }

  dispose(): void {
    this.aborter.abort();
    this.release();
    delete this.item.nar;
  }

  private release(): void {
    for (const work of this.cleanups.splice(0)) work();
  }

  /** Restores the scroll position after the page around it was drawn again. */
  restore(): void {
    this.list?.restore();
  }

  /** Resolves when there is a tree to show. */
  begin(): Promise<void> {
    return (this.beginning ??= this.plan().catch((error: unknown) => {
      this.beginning = undefined;
      throw error;
    }));
  }

  private async plan(): Promise<void> {
    const state = h('p', { class: 'quiet', role: 'status' }, 'Fetching the list of files…');
    replace(this.state, state);
    const signal = this.aborter.signal;
    const found = this.item.info && (await listings(this.item, { signal, onListing: (listing) => this.showListing(listing), progress: (text) => (state.textContent = text) }));
    if (!found && !signal.aborted) await this.nar();
  }

  /** Shows a list, unless the NAR was read before. */
  private showListing({ entries, cids, kind, title, says }: JudgedListing): void {
    if (this.item.nar || this.loading || this.aborter.signal.aborted) return;
    this.cids = cids;
    this.showEntries(entries);
    replace(this.state, h('div', { class: `note ask ${kind}`, role: kind === 'bad' ? 'alert' : undefined }, h('div', {}, h('strong', {}, title), h('p', {}, says)),
      h('button', { type: 'button', onclick: () => void this.nar().catch(() => {}) }, `Verify all (${this.download()})`)));
  }

  private download(): string {
    const sizes = this.item.sources.flatMap(({ fileSize }) => fileSize ?? []);
    return bytes(sizes.length > 0 ? Math.min(...sizes) : (this.item.info?.narSize ?? 0));
  }

  /** Reads the NAR once. Progress and result appear above the tree. */
  nar(): Promise<Nar> {
    return (this.loading ??= this.read().catch((error: unknown) => {
      this.loading = undefined;
      throw error;
    }));
  }

  private async read(): Promise<Nar> {
    const aborter = new AbortController();
    this.aborter.signal.addEventListener('abort', () => aborter.abort());
    const bar = new Progress('Reading the NAR');
    const faults = h('ul', { class: 'quiet' });
    const named = new Set<string>();
    const fault = (gateway: string, error: unknown) => {
      const text = `${gateway.replace(/\/$/, '')}: ${errorText(error)}. Its data was not used; another source was tried.`;
      if (named.size < 20 && !named.has(text)) faults.append(h('li', { class: 'bad' }, visible(text)));
      named.add(text);
    };
    const stop = h('button', { type: 'button', class: 'plain', onclick: () => aborter.abort() }, 'Stop');
    replace(this.state, bar.element, stop, faults);
    try {
      const nar = await load(this.item, {
        signal: aborter.signal,
        progress: (done, total) => bar.set(done, total),
        event: (event) => {
          if (event.type === 'fault') fault(event.gateway, event.error);
        },
      });
      this.item.nar = nar;
      // Errors of earlier fetches too.
      const asked = gatewaysFor(this.item.cache);
      if (asked.length > 0) for (const { url, lastFault } of pool(asked).reports()) if (lastFault) fault(url, lastFault);
      this.outcome(nar, faults);
      this.showEntries(nar.entries);
      return nar;
    } catch (error) {
      const title = aborter.signal.aborted ? 'Stopped' : error instanceof UserError ? error.title : 'Can’t read the NAR';
      replace(this.state, problem(title, errorText(error)), faults, h('button', { type: 'button', onclick: () => void this.nar().catch(() => {}) }, 'Try again'));
      throw error;
    }
  }

  private outcome(nar: Nar, faults: HTMLElement): void {
    const signed = this.item.info !== undefined && verdict(this.item.info).kind === 'good';
    const kind = nar.right === false ? 'bad' : nar.right && signed ? 'good' : 'warn';
    const title = nar.right === undefined ? 'Read; there is no narinfo to compare it with' : nar.right === false ? 'Wrong: this is not the NAR that the narinfo names'
      : signed ? 'Verified: this is the NAR that was signed' : 'This is the NAR that the narinfo names, but no key that you trust signed the narinfo';
    const checks = nar.checks.map((check) => h('li', {}, visible(check)));
    replace(this.state, h('div', { class: `note ${kind}`, role: kind === 'bad' ? 'alert' : undefined }, h('strong', {}, title),
      h('ul', {}, ...checks)), faults.childElementCount > 0 && faults);
    announce(title);
  }

  private showEntries(entries: NarEntry[]): void {
    const start = performance.now();
    const nodes = build(entries);
    // If the NAR has the same entries as the list, the open folders stay open.
    if (same(this.nodes, nodes)) return;
    this.nodes = nodes;
    const list = new TreeList(nodes, 'Files', (node) => go(this.address(node.entry.path)));
    this.list = list;
    const field = h('input', { id: 'filter', type: 'search', placeholder: 'part of a path', autocomplete: 'off', oninput: () => {
      list.find(field.value.trim());
      announce(`${list.length} rows`);
    } });
    const root = nodes[0];
    replace(this.tree, h('label', { for: 'filter' }, 'Filter ', h('span', { class: 'quiet' }, `${(root?.files ?? 0).toLocaleString('en')} files, ${bytes(root?.size ?? 0)}`)),
      field, h('div', { class: 'list' }, list.element));
    // Forces the layout too: `make bench-web` reads the duration.
    void this.element.offsetHeight;
    performance.measure('tree', { start, end: performance.now() });
  }

  async open(path: string | undefined, signal: AbortSignal): Promise<void> {
    this.release();
    const index = path === undefined ? 0 : this.nodes.findIndex((node) => node.entry.path === path);
    const node = this.nodes[index];
    if (!node) return replace(this.file, h('p', { class: 'quiet' }, 'This item has no such path.'));
    if (path !== undefined) this.list?.select(path);
    if (node.entry.type === 'directory') return replace(this.file, folder(this.nodes, index, this.item.title, (path) => this.address(path), go));
    const title = trail(this.nodes, index, this.item.title, (one) => this.address(one.entry.path || undefined));
    if (node.entry.type === 'symlink') return replace(this.file, title, this.linkText(node.entry.path, node.entry.target));
    if (!this.item.nar && (await this.showAlone(title, node.entry, signal))) return;
    if (signal.aborted) return;
    replace(this.file, title, h('p', { class: 'quiet', role: 'status' }, 'Reading the whole NAR to show this file…'));
    try {
      const nar = await this.nar();
      const entry = nar.entries.find((entry) => entry.path === node.entry.path);
      if (signal.aborted) return;
      if (entry?.type !== 'regular') throw new UserError('The list of files was wrong', 'The NAR itself has no such file.');
      await this.display(title, content(nar, entry), entry, proof(nar));
    } catch (error) {
      if (!signal.aborted) replace(this.file, title, problem(error instanceof UserError ? error.title : 'Can’t show this file', errorText(error)));
    }
  }

  /** Shows a file without the whole NAR: from the tree on IPFS, or by its pieces. */
  private async showAlone(title: HTMLElement, entry: File, signal: AbortSignal): Promise<boolean> {
    const [cid, tree, index] = [this.cids.get(entry.path), treeOf(this.item), chunkIndex(this.item)];
    const attempts: [() => Promise<FetchedFile>, string][] = [];
    if (cid !== undefined && tree !== undefined) attempts.push([() => fromTree(this.item, cid, entry, signal), 'Each block has the hash in its CID, and the item’s tree on IPFS names the file’s CID.']);
    if (index !== undefined) attempts.push([() => fromPieces(this.item, index, entry, signal), 'Each block has the hash in its CID, and each piece the hash in the chunk index.']);
    for (const [fetch, checked] of attempts) {
      replace(this.file, title, h('p', { class: 'quiet', role: 'status' }, 'Fetching the blocks of this file…'));
      try {
        const { blob, fetched, blocks } = await fetch();
        if (signal.aborted) return true;
        const says = `Fetched ${blocks === 1 ? '1 block' : `${blocks} blocks`} (${bytes(fetched)}), not the whole NAR. ${checked} Not verified yet: whether the file belongs to the signed NAR. “Verify all” checks that.`;
        await this.display(title, blob, entry, h('p', { class: 'note warn' }, says));
        return true;
      } catch {
        // Try the next source; the last resort is the whole NAR.
        if (signal.aborted) return true;
      }
    }
    return false;
  }

  private linkText(path: string, target: string): HTMLElement {
    const inner = follow(path, target, this.item.info?.storePath);
    const found = inner !== undefined && this.nodes.some((node) => node.entry.path === inner);
    return h('p', {}, 'A link to ', found ? h('a', { href: this.address(inner) }, name(target)) : h('code', {}, name(target)), found ? '' : ', which is outside of this item or doesn’t exist.');
  }

  private async display(title: HTMLElement, blob: Blob, entry: File, says: HTMLElement): Promise<void> {
    const save = h('button', { type: 'button', onclick: () => download(blob, entry.path.split('/').pop() || this.item.title) }, 'Download');
    const view = await show(blob, entry.path, (work) => this.cleanups.push(work));
    replace(this.file, title, h('p', {}, `${bytes(entry.size)}${entry.executable ? ', executable' : ''} `, save), says, view);
  }
}

function proof(nar: Nar): HTMLElement {
  if (nar.right === true) return h('p', { class: 'note good' }, 'Verified with the whole NAR, by NarHash.');
  if (nar.right === false) return h('p', { class: 'note bad' }, 'This file is part of a NAR with the wrong hash. Don’t trust it.');
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
