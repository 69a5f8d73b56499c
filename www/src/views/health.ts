// The health of a cache, for its operator: the metrics of `interplanar publish`, now and since the
// page was opened.

import { UserError } from '../cache';
import { bytes, h, name, problem, replace, announce } from '../dom';
import { ask, EVERY_MS, rates, samples, type Sample } from '../metrics';
import { Plot, type Series } from '../plot';
import { link } from '../route';
import { errorText } from '../wasm';

const KINDS: [string, string][] = [['narinfo', 'Narinfos'], ['nar', 'NARs'], ['ipfs', 'Blocks and files by CID'], ['other', 'Other']];
const of = (sample: Sample, key: string) => sample.values.get(`interplanar_${key}`);
const requests = (sample: Sample, kind: string, result: string) => of(sample, `requests_total{kind="${kind}",result="${result}"}`) ?? 0;
const all = (sample: Sample, result: string) => KINDS.reduce((sum, [kind]) => sum + requests(sample, kind, result), 0);
const count = (value: number) => value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
const powers = (most: number) => 1024 ** Math.max(0, Math.floor(Math.log2(Math.max(1, most)) / 10));

export async function healthView(main: HTMLElement, cache: string, signal: AbortSignal): Promise<void> {
  const first = await ask(cache, signal);
  if (!first) throw new UserError('This cache has no metrics', 'Only interplanar publish has them, at /metrics.');
  const states = h('div', { class: 'states' });
  const tiles = h('dl', { class: 'tiles' });
  const failed = h('div', {});
  const table = h('table', {});
  const plots = new HealthPlots(first);
  const show = (sample: Sample) => {
    replace(states, ...state(sample).map(({ kind, text }) => h('p', { class: `note ${kind}` }, h('strong', {}, text))));
    replace(tiles, ...numbers(sample).map(([title, value, more]) => h('div', {}, h('dt', {}, title), h('dd', {}, value, h('span', { class: 'quiet' }, more)))));
    fill(table, sample);
    plots.set(samples(cache));
  };
  show(first);
  const poller = new Poller(async () => {
    try {
      const sample = await ask(cache, signal);
      failed.replaceChildren();
      if (sample) show(sample);
    } catch (error) {
      if (!signal.aborted) replace(failed, problem(error instanceof UserError ? error.title : 'Can’t fetch the metrics', `${errorText(error)} The inspector tries again in ${EVERY_MS / 1000} seconds.`));
    }
  }, signal);
  replace(main, h('h1', {}, 'Health of ', h('a', { href: link(['cache'], { cache }) }, name(cache.replace(/\/$/, '')))),
    failed, states, tiles, h('div', { class: 'heading' }, h('h2', {}, 'Since you opened this page'), poller.button), plots.element,
    h('h2', {}, 'Requests since the server started'), table);
  poller.start();
}

function state(sample: Sample): { kind: string; text: string }[] {
  const [failed, up, waiting] = [of(sample, 'bakes_failed_total') ?? 0, of(sample, 'kubo_up'), count(of(sample, 'kubo_waiting') ?? 0)];
  const bakes = failed > 0 ? { kind: 'bad', text: `${count(failed)} ${failed === 1 ? 'bake' : 'bakes'} failed. The cache’s log says why.` } : { kind: 'good', text: 'No bake failed.' };
  const kubo = up === undefined ? { kind: 'good', text: 'No Kubo node: the cache serves its blocks itself.' }
    : up === 1 ? { kind: 'good', text: `Kubo answers; ${count(of(sample, 'kubo_published_total') ?? 0)} published, ${waiting} waiting.` }
      : { kind: 'bad', text: `Kubo doesn’t answer; ${waiting} waiting.` };
  return [bakes, kubo];
}

/** The most important numbers, as title, value and remark. */
function numbers(sample: Sample): [string, string, string][] {
  const [items, offered, disk] = [of(sample, 'items'), of(sample, 'offered_bytes'), of(sample, 'disk_bytes')];
  const counting = 'being counted';
  const known = offered !== undefined && disk !== undefined;
  const saved = known ? Math.max(0, offered - disk) : 0;
  const [found, missed] = [requests(sample, 'narinfo', 'found'), requests(sample, 'narinfo', 'missed')];
  const [running, queued] = [of(sample, 'bakes_running') ?? 0, of(sample, 'bakes_queued') ?? 0];
  return [
    ['Items', items === undefined ? '…' : count(items), items === undefined ? counting : `${bytes(of(sample, 'nar_bytes') ?? 0)} unpacked`],
    ['On disk', disk === undefined ? '…' : bytes(disk), known ? `of ${bytes(offered)} offered` : counting],
    ['Saved by sharing', known ? bytes(saved) : '…', known ? `${offered > 0 ? Math.round((100 * saved) / offered) : 0} % of the bytes offered` : counting],
    ['Narinfos found', found + missed > 0 ? `${Math.round((100 * found) / (found + missed))} %` : '–', `${count(found)} of ${count(found + missed)} requests`],
    ['Baked', count(of(sample, 'baked_total') ?? 0), `${count(running)} running, ${count(queued)} queued`],
  ];
}

function fill(table: HTMLElement, sample: Sample): void {
  const head = [['Kind', ''], ['Found', 'number'], ['Missed', 'number'], ['Share found', 'number']];
  const rows = KINDS.map(([kind, title]) => {
    const [found, missed] = [requests(sample, kind, 'found'), requests(sample, kind, 'missed')];
    const share = found + missed > 0 ? `${Math.round((100 * found) / (found + missed))} %` : '–';
    return h('tr', {}, h('th', { scope: 'row' }, title), h('td', { class: 'number' }, count(found)), h('td', { class: 'number' }, count(missed)), h('td', { class: 'number' }, share));
  });
  replace(table, h('caption', { class: 'unseen' }, 'Requests'), h('thead', {}, h('tr', {}, ...head.map(([title, kind]) => h('th', { scope: 'col', class: kind || undefined }, title)))), h('tbody', {}, ...rows));
}

/** The plots, each with its series. */
class HealthPlots {
  readonly element: HTMLElement;
  private readonly plots: [Plot, (all: Sample[]) => Series[]][];

  constructor(first: Sample) {
    const gauge = (title: string, key: string) => (list: Sample[]): Series => ({ title, values: list.map((sample) => of(sample, key) ?? 0) });
    const rate = (title: string, result: string) => (list: Sample[]): Series => ({ title, values: rates(list, (sample) => all(sample, result)) });
    const each = (...series: ((list: Sample[]) => Series)[]) => (list: Sample[]) => series.map((one) => one(list));
    this.plots = [
      [new Plot('Requests a second', count), each(rate('found', 'found'), rate('missed', 'missed'))],
      [new Plot('Bytes', bytes, powers), each(gauge('offered', 'offered_bytes'), gauge('on disk', 'disk_bytes'))],
      [new Plot('Bakes', count), each(gauge('running', 'bakes_running'), gauge('queued', 'bakes_queued'))],
    ];
    if (of(first, 'kubo_up') !== undefined) this.plots.push([new Plot('Kubo', count), each(gauge('published', 'kubo_published_total'), gauge('waiting', 'kubo_waiting'))]);
    this.element = h('div', { class: 'plots' }, ...this.plots.map(([plot]) => plot.element));
  }

  set(list: Sample[]): void {
    const times = list.map(({ at }) => at);
    for (const [plot, series] of this.plots) plot.set(times, series(list));
  }
}

/** Calls `work` every few seconds while the page is visible, unless it is paused. */
class Poller {
  readonly button = h('button', { type: 'button', class: 'plain', onclick: () => this.toggle() }, 'Pause');
  private running = true;

  constructor(private readonly work: () => Promise<void>, private readonly signal: AbortSignal) {}

  start(): void {
    const timer = setTimeout(async () => {
      if (this.running && !document.hidden) await this.work();
      if (!this.signal.aborted) this.start();
    }, EVERY_MS);
    this.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }

  private toggle(): void {
    this.running = !this.running;
    this.button.textContent = this.running ? 'Pause' : 'Resume';
    announce(this.running ? 'Resumed' : 'Paused');
  }
}
