// Draws a closure: a column for each step away from the item, and a circle for each item. The area
// of a circle shows the size.

import type { Member } from './closure';
import { bytes, s, sized, visible } from './dom';

const [TOP, ROW] = [24, 34];
/** Width of a column in pixels, with its names. A picture with more columns scrolls. */
const COLUMN = 190;
const MAX_CIRCLES = 120;

export function graph(members: Member[], address: (base: string) => string): HTMLElement {
  const drawn = [...members].sort((a, b) => a.depth - b.depth || b.narSize - a.narSize).slice(0, MAX_CIRCLES);
  const columns = Math.max(...drawn.map(({ depth }) => depth)) + 1;
  const rows = Array.from({ length: columns }, (_, depth) => drawn.filter((member) => member.depth === depth));
  const height = TOP * 2 + Math.max(...rows.map((row) => row.length)) * ROW;
  const label = `Closure of ${members.length} items`;
  return sized(height, (width) => picture(rows, Math.max(width, columns * COLUMN), height, label, address));
}

function picture(rows: Member[][], width: number, height: number, title: string, address: (base: string) => string): SVGElement {
  const drawn = rows.flat();
  const largest = Math.max(1, ...drawn.map(({ narSize }) => narSize));
  const places = new Map<string, { x: number; y: number }>();
  rows.forEach((row, depth) => row.forEach((member, index) => {
    places.set(member.base, { x: 24 + (depth * (width - COLUMN)) / Math.max(1, rows.length - 1), y: height / 2 + (index - (row.length - 1) / 2) * ROW });
  }));
  const lines = drawn.flatMap(({ base, references }) => references.filter((other) => other !== base).flatMap((other) => {
    const [from, to] = [places.get(base), places.get(other)];
    return from && to ? [s('path', { class: 'edge', d: `M${from.x} ${from.y} C${from.x + 60} ${from.y} ${to.x - 60} ${to.y} ${to.x} ${to.y}` })] : [];
  }));
  const circles = drawn.map((member) => {
    const place = places.get(member.base) ?? { x: 0, y: 0 };
    const r = 4 + 11 * Math.sqrt(member.narSize / largest);
    const label = visible(member.base.slice(33));
    return s('a', { href: address(member.base), 'aria-label': `${label}, ${bytes(member.narSize)}, ${visible(member.signature)}` },
      s('title', {}, `${label}: ${bytes(member.narSize)}. ${visible(member.signature)}`),
      s('circle', { class: `node ${member.verdict}`, cx: place.x, cy: place.y, r }),
      s('text', { x: place.x + r + 5, y: place.y + 4 }, label.length > 20 ? `${label.slice(0, 19)}…` : label));
  });
  return s('svg', { class: 'plot graph', viewBox: `0 0 ${width} ${height}`, width, height, role: 'group', 'aria-label': title }, ...lines, ...circles);
}
