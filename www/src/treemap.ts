// A picture of sizes: each of the largest files is a rectangle whose area is its bytes (squarified: near to squares), in the colour of its folder.

import { bytes, s, visible } from './dom';
import type { Node } from './tree';

const [WIDTH, HEIGHT] = [480, 220];
const MAX_BOXES = 120;

interface Box { index: number; x: number; y: number; w: number; h: number }

/** The picture; none of fewer than two files. */
export function treemap(nodes: Node[], chosen: (node: Node) => void): SVGElement | undefined {
  const files = [...nodes.keys()].filter((index) => nodes[index]?.entry.type === 'regular' && (nodes[index]?.size ?? 0) > 0);
  const sized = files.sort((a, b) => (nodes[b]?.size ?? 0) - (nodes[a]?.size ?? 0)).slice(0, MAX_BOXES);
  const folders = [...new Set(sized.map((index) => nodes[index]?.parent ?? -1))];
  if (sized.length < 2) return undefined;
  const boxes = squarify(sized, (index) => nodes[index]?.size ?? 0);
  const largest = sized.slice(0, 3).map((index) => `${visible(nodes[index]?.name ?? '')} ${bytes(nodes[index]?.size ?? 0)}`).join(', ');
  return s('svg', { class: 'map', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `Sizes of the largest files: ${largest}` },
    ...boxes.map((box) => {
      const node = nodes[box.index] as Node;
      const fits = box.w > 60 && box.h > 20;
      const label = visible(node.name);
      const letters = Math.floor(box.w / 7.5);
      return s('g', { onclick: () => chosen(node) }, s('title', {}, `${visible(node.entry.path)}: ${bytes(node.size)}`),
        s('rect', { class: `m${folders.indexOf(node.parent) % 6}`, x: box.x, y: box.y, width: box.w, height: box.h }),
        fits && s('text', { x: box.x + 6, y: box.y + 16 }, label.length > letters ? `${label.slice(0, letters - 1)}…` : label));
    }));
}

/** Rows along the shorter side, each as long as that makes its boxes squarer. */
function squarify(items: number[], size: (index: number) => number): Box[] {
  const total = items.reduce((sum, index) => sum + size(index), 0);
  const scale = (WIDTH * HEIGHT) / total;
  const boxes: Box[] = [];
  let [x, y, w, hh] = [0, 0, WIDTH, HEIGHT];
  for (let at = 0; at < items.length; ) {
    const side = Math.min(w, hh);
    let end = at + 1;
    while (end < items.length && worst(items.slice(at, end + 1), size, scale, side) <= worst(items.slice(at, end), size, scale, side)) end += 1;
    const row = items.slice(at, end);
    const area = row.reduce((sum, index) => sum + size(index), 0) * scale;
    const thick = area / side;
    let along = 0;
    for (const index of row) {
      const length = (size(index) * scale) / thick;
      boxes.push(w >= hh ? { index, x, y: y + along, w: thick, h: length } : { index, x: x + along, y, w: length, h: thick });
      along += length;
    }
    if (w >= hh) [x, w] = [x + thick, w - thick];
    else [y, hh] = [y + thick, hh - thick];
    at = end;
  }
  return boxes;
}

function worst(row: number[], size: (index: number) => number, scale: number, side: number): number {
  const areas = row.map((index) => size(index) * scale);
  const sum = areas.reduce((a, b) => a + b, 0);
  return Math.max(...areas.map((area) => Math.max((side * side * area) / (sum * sum), (sum * sum) / (side * side * area))));
}
