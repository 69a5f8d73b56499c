// Draws a race between gateways: which gateway sent which block, and when.

import { bytes, s, sized, visible } from './dom';

/** Pixels: the height of a gateway's lane with its name, the margin at both sides, and above. */
const [LANE, SIDE, TOP] = [48, 8, 22];

export interface Mark {
  gateway: string;
  /** Milliseconds since the start. */
  at: number;
  /** Bytes of the block; 0 for an error. */
  block: number;
  fault?: string;
}

export function timeline(gateways: string[], marks: Mark[], end: number): HTMLElement {
  const height = TOP + gateways.length * LANE;
  const who = gateways.map((gateway) => `${gateway} sent ${marks.filter((mark) => mark.gateway === gateway && !mark.fault).length} blocks`).join(', ');
  return sized(height, (width) => {
    const scale = (width - 2 * SIDE) / Math.max(end, 1);
    return s('svg', { class: 'plot', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': `Race over ${Math.round(end)} ms: ${visible(who)}` },
      s('text', { x: 0, y: 12 }, '0 ms'), s('text', { x: width, y: 12, 'text-anchor': 'end' }, `${Math.round(end)} ms`),
      ...gateways.flatMap((gateway, index) => lane(gateway, marks, TOP + index * LANE, width, scale)));
  });
}

function lane(gateway: string, marks: Mark[], top: number, width: number, scale: number): SVGElement[] {
  const largest = Math.max(1, ...marks.map(({ block }) => block));
  const mine = marks.filter((mark) => mark.gateway === gateway);
  const total = mine.reduce((sum, { block }) => sum + block, 0);
  const y = top + 33;
  return [
    s('text', { x: 0, y: top + 14 }, `${visible(gateway.replace(/^https?:\/\//, '')).slice(0, 40)}: ${total > 0 ? bytes(total) : 'no block used'}`),
    s('line', { class: 'axis', x1: 0, x2: width, y1: y, y2: y }),
    ...mine.map((mark) => {
      const size = mark.fault ? 5 : 3 + 5 * Math.sqrt(mark.block / largest);
      const label = mark.fault ? `error: ${mark.fault}` : `${bytes(mark.block)} after ${Math.round(mark.at)} ms`;
      const x = SIDE + mark.at * scale;
      return mark.fault ? s('rect', { class: 'mark bad', x: x - size, y: y - size, width: 2 * size, height: 2 * size }, s('title', {}, visible(label)))
        : s('circle', { class: 'mark', cx: x, cy: y, r: size }, s('title', {}, label));
    }),
  ];
}
