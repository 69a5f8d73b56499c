// How a cache does, for who runs it: what `interplanar publish` says at /metrics.

import { get, Trouble } from '../cache';
import { h, name, replace, s, say } from '../dom';
import { link } from '../route';

/** Samples of Prometheus’ text format: name with labels, and value. */
export function metrics(text: string): Map<string, number> {
  const lines = text.split('\n').flatMap((line) => {
    const found = /^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?)\s+([-+0-9.eE]+)/.exec(line);
    return found?.[1] && found[2] ? [[found[1], Number(found[2])] as const] : [];
  });
  return new Map(lines);
}

export async function healthView(main: HTMLElement, cache: string, signal: AbortSignal): Promise<void> {
  const response = await get(`${cache}metrics`, 'its metrics', signal);
  if (!response) throw new Trouble('This cache says nothing of its health', 'Only interplanar publish does, at /metrics.');
  const found = metrics(await response.text());
  const value = (key: string) => found.get(`interplanar_${key}`);
  if (value('baked_total') === undefined) throw new Trouble('This cache says nothing of its health that can be read here', 'Its /metrics are not those of interplanar publish.');
  const failed = value('bakes_failed_total') ?? 0;
  const up = value('kubo_up');
  const kubo = up === undefined ? { kind: 'warn', text: 'No Kubo node: blocks are served by the cache alone.' }
    : up === 1 ? { kind: 'good', text: `Kubo answers; ${value('kubo_published_total') ?? 0} published, ${value('kubo_waiting') ?? 0} waiting.` }
      : { kind: 'bad', text: `Kubo does not answer; ${value('kubo_waiting') ?? 0} wait until it does.` };
  const bakes = failed > 0 ? { kind: 'bad', text: `${failed} bakes failed: the log of the cache says why.` } : { kind: 'good', text: 'No bake failed.' };
  replace(main, h('h1', {}, 'Health of ', h('a', { href: link(['cache'], { cache }) }, name(cache.replace(/\/$/, '')))),
    ...[bakes, kubo].map(({ kind, text }) => h('p', { class: `note ${kind}` }, h('strong', {}, text))),
    h('h2', {}, 'Bakes'), bars([['baked', value('baked_total') ?? 0, false], ['running', value('bakes_running') ?? 0, false], ['queued', value('bakes_queued') ?? 0, false], ['failed', failed, true]], 'Bakes'),
    h('h2', {}, 'Requests since it was started'), requests(found),
    h('p', {}, h('button', { type: 'button', onclick: () => void healthView(main, cache, signal).then(() => say('Asked again')) }, 'Ask again')));
}

function requests(found: Map<string, number>): SVGElement {
  const kinds: [string, string][] = [['narinfo', 'narinfos'], ['nar', 'NARs'], ['ipfs', 'blocks and files by CID'], ['other', 'other']];
  return bars(kinds.flatMap(([kind, title]) => (['found', 'missed'] as const).map((result): [string, number, boolean] =>
    [`${title} ${result}`, found.get(`interplanar_requests_total{kind="${kind}",result="${result}"}`) ?? 0, result === 'missed'])), 'Requests');
}

/** Bars with their numbers. */
function bars(rows: [string, number, boolean][], label: string): SVGElement {
  const most = Math.max(1, ...rows.map(([, value]) => value));
  const words = rows.map(([title, value]) => `${title} ${value}`).join(', ');
  return s('svg', { class: 'plot', viewBox: `0 0 900 ${rows.length * 26}`, role: 'img', 'aria-label': `${label}: ${words}` }, ...rows.flatMap(([title, value, bad], index) => [
    s('text', { x: 0, y: index * 26 + 16 }, title),
    s('rect', { class: bad && value > 0 ? 'mark bad' : 'mark', x: 220, y: index * 26 + 4, width: Math.max(1, (value / most) * 560), height: 16 }),
    s('text', { x: 230 + (value / most) * 560, y: index * 26 + 16 }, value.toLocaleString('en')),
  ]));
}
