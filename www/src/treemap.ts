// A picture of sizes: what is in a folder as rectangles whose areas are bytes (squarified: near to squares), folders with what is in them in turn. A click on
// a folder goes into it. The tree beside it and the table below it say the same to those who don’t see it, and to keys.

import { bytes, s, visible } from './dom';
import type { Node } from './tree';

/** Rectangles that are elements of their own; those without a name are one shape together, so that very many cost little. */
const MAX_BOXES = 500;
/** Square pixels: less can’t be seen, and all of a folder that is less is one rectangle; and less than this has no name in it. */
const [MIN_AREA, MIN_NAMED] = [3, 400];
/** Pixels: of the strip with a folder’s name, and between it and what is in it. */
const [STRIP, GAP] = [18, 2];
/** The least that a folder must have of each to be shown with what is in it. */
const [MIN_WIDTH, MIN_HEIGHT] = [36, 40];

interface Box { x: number; y: number; w: number; h: number }
type Chosen = (node: Node) => void;

/** What is directly in a folder. */
export function inside(nodes: Node[], folder: number): number[] {
  const found: number[] = [];
  for (let index = folder + 1; index < (nodes[folder]?.end ?? 0); index = nodes[index]?.end ?? Infinity) found.push(index);
  return found;
}

/** A box with what it is of; nothing for all that is too small. */
interface Placed extends Box {
  node: Node | undefined;
  colour: number;
}

/** The picture of a folder; none of one that holds no bytes. */
export function treemap(nodes: Node[], folder: number, width: number, height: number, chosen: Chosen): SVGElement | undefined {
  const node = nodes[folder];
  if (!node || node.size === 0) return undefined;
  const placed = place(nodes, folder, { x: 0, y: 0, w: width, h: height });
  const largest = inside(nodes, folder).sort((a, b) => (nodes[b]?.size ?? 0) - (nodes[a]?.size ?? 0)).slice(0, 3);
  const words = largest.map((index) => `${visible(nodes[index]?.name ?? '')} ${bytes(nodes[index]?.size ?? 0)}`).join(', ');
  const map = s('svg', { class: 'map', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': `Sizes in ${visible(node.entry.path) || 'all of it'}, the largest: ${words}` }, ...shapes(placed));
  map.addEventListener('click', (event) => {
    const { left, top } = map.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    // What is in a folder comes after it.
    const hit = placed.findLast((box) => x >= box.x && x < box.x + box.w && y >= box.y && y < box.y + box.h);
    if (hit?.node) chosen(hit.node);
  });
  return map;
}

/** Folders before what is in them. */
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

/** The largest as elements with their names, the small ones as one shape of each colour. */
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

/** The boxes of what is in a folder, largest first; -1 is all that is too small to be seen. */
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

/** Rows along the shorter side, each as long as that makes its boxes squarer. */
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
      // Of a row in falling order the first and the last are the least square.
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
