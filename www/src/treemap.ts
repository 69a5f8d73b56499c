// Draws the sizes of a folder's entries as nested rectangles (a squarified treemap). A click on a
// folder opens it. The tree beside it and the table below it offer the same to keyboards and screen
// readers.

import { bytes, s, visible } from './dom';
import type { Node } from './tree';

/** Most rectangles with an element of their own. The others share one shape per colour. */
const MAX_BOXES = 500;
/**
 * Square pixels. Entries below the first share one rectangle; those below the second have no label.
 */
const [MIN_AREA, MIN_NAMED] = [3, 400];
/** Pixels: the height of the strip with a folder's name, and the gap around its entries. */
const [STRIP, GAP] = [18, 2];
/** Smallest folder, in pixels, that shows its entries. */
const [MIN_WIDTH, MIN_HEIGHT] = [36, 40];

interface Box { x: number; y: number; w: number; h: number }
type Chosen = (node: Node) => void;

/** Returns the direct entries of a folder. */
export function inside(nodes: Node[], folder: number): number[] {
  const found: number[] = [];
  for (let index = folder + 1; index < (nodes[folder]?.end ?? 0); index = nodes[index]?.end ?? Infinity) found.push(index);
  return found;
}

/** A box and its entry. The box for all small entries has no entry. */
interface Placed extends Box {
  node: Node | undefined;
  colour: number;
}

/** Draws a folder. Returns `undefined` if it contains no bytes. */
export function treemap(nodes: Node[], folder: number, width: number, height: number, chosen: Chosen): SVGElement | undefined {
  const node = nodes[folder];
  if (!node || node.size === 0) return undefined;
  const placed = place(nodes, folder, { x: 0, y: 0, w: width, h: height });
  const largest = inside(nodes, folder).sort((a, b) => (nodes[b]?.size ?? 0) - (nodes[a]?.size ?? 0)).slice(0, 3);
  const words = largest.map((index) => `${visible(nodes[index]?.name ?? '')} ${bytes(nodes[index]?.size ?? 0)}`).join(', ');
  const map = s('svg', { class: 'map', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': `Sizes in ${visible(node.entry.path) || 'the item'}, the largest: ${words}` }, ...shapes(placed));
  map.addEventListener('click', (event) => {
    const { left, top } = map.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    // Entries come after their folder, so the last hit is the innermost.
    const hit = placed.findLast((box) => x >= box.x && x < box.x + box.w && y >= box.y && y < box.y + box.h);
    if (hit?.node) chosen(hit.node);
  });
  return map;
}

/** Returns the boxes, each folder before its entries. */
function place(nodes: Node[], root: number, whole: Box): Placed[] {
  const placed: Placed[] = [];
  const open: [number, Box, number][] = [[root, whole, -1]];
  for (let next = open.shift(); next; next = open.shift()) {
    const [folder, within, hue] = next;
    split(nodes, folder, within).forEach(([child, box], order) => {
      const node = nodes[child];
      const colour = hue < 0 ? order % 6 : hue;
      placed.push({ ...box, node, colour });
      if (node?.entry.type === 'directory' && box.w > MIN_WIDTH && box.h > MIN_HEIGHT) {
        open.push([child, { x: box.x + GAP, y: box.y + STRIP, w: box.w - 2 * GAP, h: box.h - STRIP - GAP }, colour]);
      }
    });
  }
  return placed;
}

/** Draws the largest boxes as elements with names, and the others as one shape per colour. */
function shapes(placed: Placed[]): SVGElement[] {
  const least = [...placed].sort((a, b) => b.w * b.h - a.w * a.h)[MAX_BOXES];
  const bound = Math.max(MIN_NAMED, least ? least.w * least.h : 0);
  const small = new Map<number, string[]>();
  const named = placed.flatMap((box) => {
    if (box.w * box.h >= bound) return [shape(box)];
    const path = small.get(box.colour) ?? [];
    path.push(`M${box.x.toFixed(1)} ${box.y.toFixed(1)}h${box.w.toFixed(1)}v${box.h.toFixed(1)}h${(-box.w).toFixed(1)}z`);
    small.set(box.colour, path);
    return [];
  });
  return [...named, ...[...small].map(([colour, path]) => s('path', { class: `m${colour}`, d: path.join('') }))];
}

function shape({ node, colour, x, y, w, h }: Placed): SVGElement {
  const folder = node?.entry.type === 'directory';
  const label = node ? visible(node.name) : 'small files';
  const letters = Math.floor((w - 8) / 7);
  const cut = label.length > letters ? `${label.slice(0, letters - 1)}…` : label;
  const fits = letters > 3 && h > STRIP - 2;
  return s('g', {}, s('title', {}, node ? `${visible(node.entry.path)}: ${bytes(node.size)}` : label),
    s('rect', { class: `m${colour}${folder ? ' in' : ''}`, x, y, width: w, height: h }),
    fits && s('text', { x: x + 5, y: y + 13 }, cut),
    fits && node && !folder && h > 34 && letters > 8 && s('text', { class: 'less', x: x + 5, y: y + 28 }, bytes(node.size)));
}

/**
 * Returns the boxes of a folder's entries, largest first. Index -1 stands for all small entries.
 */
function split(nodes: Node[], folder: number, place: Box): [number, Box][] {
  const size = (index: number) => nodes[index]?.size ?? 0;
  const all = inside(nodes, folder).filter((index) => size(index) > 0).sort((a, b) => size(b) - size(a));
  const total = all.reduce((sum, index) => sum + size(index), 0);
  const seen = all.filter((index) => (size(index) * place.w * place.h) / total >= MIN_AREA);
  const rest = total - seen.reduce((sum, index) => sum + size(index), 0);
  const items = seen.map((index): [number, number] => [index, size(index)]);
  if (rest > 0) items.push([-1, rest]);
  return squarify(items, place);
}

/** Fills rows along the shorter side. A row grows as long as that makes its boxes squarer. */
function squarify(items: [number, number][], place: Box): [number, Box][] {
  const total = items.reduce((sum, [, size]) => sum + size, 0);
  const scale = (place.w * place.h) / total;
  const boxes: [number, Box][] = [];
  let { x, y, w, h } = place;
  for (let at = 0; at < items.length; ) {
    const side = Math.min(w, h);
    let [end, area] = [at, 0];
    const first = (items[at]?.[1] ?? 0) * scale;
    for (let worst = Infinity; end < items.length; end += 1) {
      const next = (items[end]?.[1] ?? 0) * scale;
      const sum = area + next;
      // Sizes fall within a row, so the first or the last box is the least square.
      const ratio = Math.max((side * side * first) / (sum * sum), (sum * sum) / (side * side * next));
      if (ratio > worst) break;
      [worst, area] = [ratio, sum];
    }
    const thick = side > 0 ? area / side : 0;
    let along = 0;
    for (const [index, size] of items.slice(at, end)) {
      const length = thick > 0 ? (size * scale) / thick : 0;
      boxes.push([index, w >= h ? { x, y: y + along, w: thick, h: length } : { x: x + along, y, w: length, h: thick }]);
      along += length;
    }
    if (w >= h) [x, w] = [x + thick, w - thick];
    else [y, h] = [y + thick, h - thick];
    at = Math.max(end, at + 1);
  }
  return boxes;
}
