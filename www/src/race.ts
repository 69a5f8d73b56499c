// A picture of a race: when which gateway brought which block.

import { bytes, s, visible } from './dom';

const [WIDTH, LANE, LEFT, TOP] = [900, 34, 250, 24];

export interface Mark {
  gateway: string;
  /** Milliseconds since the start. */
  at: number;
  /** Bytes of the block; 0 for a fault. */
  block: number;
  fault?: string;
}

export function timeline(gateways: string[], marks: Mark[], end: number): SVGElement {
  const height = TOP + gateways.length * LANE + 20;
  const scale = (WIDTH - LEFT - 20) / Math.max(end, 1);
  const largest = Math.max(1, ...marks.map(({ block }) => block));
  const lanes = gateways.flatMap((gateway, index) => {
    const y = TOP + index * LANE + LANE / 2;
    const mine = marks.filter((mark) => mark.gateway === gateway);
    const total = mine.reduce((sum, { block }) => sum + block, 0);
    return [
      s('text', { x: 0, y: y + 4 }, `${visible(gateway.replace(/^https?:\/\//, '')).slice(0, 26)} ${bytes(total)}`),
      s('line', { class: 'axis', x1: LEFT, x2: WIDTH - 20, y1: y, y2: y }),
      ...mine.map((mark) => {
        const size = mark.fault ? 6 : 3 + 6 * Math.sqrt(mark.block / largest);
        const label = mark.fault ? `fault: ${mark.fault}` : `${bytes(mark.block)} after ${Math.round(mark.at)} ms`;
        const x = LEFT + mark.at * scale;
        const shape = mark.fault ? s('rect', { class: 'mark bad', x: x - size, y: y - size, width: 2 * size, height: 2 * size }, s('title', {}, visible(label)))
          : s('circle', { class: 'mark', cx: x, cy: y, r: size }, s('title', {}, label));
        return shape;
      }),
    ];
  });
  const who = gateways.map((gateway) => `${gateway} brought ${marks.filter((mark) => mark.gateway === gateway && !mark.fault).length} blocks`).join(', ');
  return s('svg', { class: 'plot', viewBox: `0 0 ${WIDTH} ${height}`, role: 'img', 'aria-label': `Race over ${Math.round(end)} ms: ${visible(who)}` },
    s('text', { x: LEFT, y: 14 }, '0 ms'), s('text', { x: WIDTH - 20, y: 14, 'text-anchor': 'end' }, `${Math.round(end)} ms`), ...lanes);
}
