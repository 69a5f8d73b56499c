// Builds a tree from the entries of a NAR, with the size of each folder. It creates no elements.

import type { NarEntry } from './wasm';

export interface Node {
  entry: NarEntry;
  name: string;
  depth: number;
  parent: number;
  /** Index after its last descendant. */
  end: number;
  /** Bytes of all files in it. */
  size: number;
  files: number;
}

/** Builds the nodes from entries in depth-first order, each folder before its entries. */
export function build(entries: NarEntry[]): Node[] {
  const nodes: Node[] = [];
  const open: number[] = [];
  const close = (depth: number) => {
    while (open.length > depth) {
      const node = nodes[open.pop() ?? 0];
      if (node) node.end = nodes.length;
    }
  };
  for (const entry of entries) {
    const depth = entry.path === '' ? 0 : entry.path.split('/').length;
    close(depth);
    const size = entry.type === 'regular' ? entry.size : 0;
    const name = entry.path.slice(entry.path.lastIndexOf('/') + 1);
    nodes.push({ entry, name, depth, parent: open[open.length - 1] ?? -1, end: nodes.length + 1, size, files: entry.type === 'regular' ? 1 : 0 });
    for (const index of open) {
      const above = nodes[index];
      if (above && entry.type === 'regular') {
        above.size += size;
        above.files += 1;
      }
    }
    open.push(nodes.length - 1);
  }
  close(0);
  return nodes;
}

interface ListingNode {
  type?: string;
  size?: number;
  executable?: boolean;
  narOffset?: number;
  target?: string;
  entries?: Record<string, ListingNode>;
}

/**
 * Parses Nix's `.ls` files. Returns `undefined` if the text isn't one. Skips names with a slash,
 * which would appear in another folder.
 */
export function fromListing(text: string): NarEntry[] | undefined {
  let root: ListingNode | undefined;
  try {
    root = (JSON.parse(text) as { root?: ListingNode }).root;
  } catch {
    return undefined;
  }
  if (!root) return undefined;
  const entries: NarEntry[] = [];
  const open: [string, ListingNode][] = [['', root]];
  for (let next = open.pop(); next; next = open.pop()) {
    const [path, node] = next;
    if (node.type === 'directory') entries.push({ type: 'directory', path });
    else if (node.type === 'symlink') entries.push({ type: 'symlink', path, target: String(node.target ?? '') });
    else entries.push({ type: 'regular', path, executable: node.executable === true, size: Number(node.size ?? 0), narOffset: Number(node.narOffset ?? 0) });
    const names = Object.entries(node.entries ?? {}).filter(([name]) => name !== '' && !name.includes('/'));
    for (const [name, inner] of names.reverse()) open.push([path ? `${path}/${name}` : name, inner]);
  }
  return entries;
}

/** Resolves a symlink within the item. Returns `undefined` if it points outside. */
export function follow(path: string, target: string, storePath: string | undefined): string | undefined {
  let parts = path.split('/').slice(0, -1);
  let rest = target;
  if (target.startsWith('/')) {
    if (!storePath || !(target === storePath || target.startsWith(`${storePath}/`))) return undefined;
    parts = [];
    rest = target.slice(storePath.length);
  }
  for (const part of rest.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts.join('/');
}
