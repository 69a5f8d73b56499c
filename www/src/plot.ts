// Draws a small plot over time. The lines differ by more than their colour, and a table has the
// same numbers.

import { h, replace, s } from './dom';

/** Height in pixels. */
const HEIGHT = 130;
/** Pixels above the lines for the highest value, and below them for the times. */
const [TOP, BOTTOM] = [20, 20];
/** Most rows of the table. It skips points if there are more. */
const MAX_ROWS = 20;

export interface Series {
  title: string;
  values: number[];
}

/** Rounds up to 1, 2, 5, 10, 20, … units. */
export function nice(value: number, unit: number): number {
  if (value <= 0) return unit;
  const scaled = Math.max(value / unit, Number.EPSILON);
  const power = 10 ** Math.floor(Math.log10(scaled));
  const step = [1, 2, 5, 10].find((step) => step * power >= scaled * (1 - 1e-9)) ?? 10;
  return step * power * unit;
}

/** Formats an age. */
export function ago(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 90) return `${whole} s ago`;
  return `${Math.round(whole / 60)} min ago`;
}

export class Plot {
  readonly element: HTMLElement;
  private readonly legend = h('ul', { class: 'legend' });
  private readonly place = h('div', { class: 'sized' });
  private readonly table = h('table', {});
  private times: number[] = [];
  private series: Series[] = [];
  private width = 0;

  /** `unit` returns the unit of the scale for the highest value; for bytes, a power of 1024. */
  constructor(private readonly title: string, private readonly format: (value: number) => string, private readonly unit: (most: number) => number = () => 1) {
    this.place.style.height = `${HEIGHT}px`;
    this.element = h('figure', {}, h('figcaption', {}, title), this.legend, this.place, h('details', {}, h('summary', {}, `Numbers of “${title}”`), this.table));
    new ResizeObserver(() => {
      const width = Math.floor(this.place.clientWidth);
      if (width === 0 || width === this.width) return;
      this.width = width;
      this.draw();
    }).observe(this.place);
  }

  /** Draws these values. Times are in milliseconds, in rising order. */
  set(times: number[], series: Series[]): void {
    this.times = times;
    this.series = series;
    this.draw();
  }

  private draw(): void {
    const last = (values: number[]) => this.format(values.at(-1) ?? 0);
    replace(this.legend, ...this.series.map(({ title, values }, index) => h('li', { class: `s${index}` }, swatch(index), `${title} `, h('strong', {}, last(values)))));
    if (this.width > 0) replace(this.place, this.picture(this.width));
    const step = Math.ceil(this.times.length / MAX_ROWS) || 1;
    const end = this.times.at(-1) ?? 0;
    const rows = this.times.flatMap((time, index) => ((this.times.length - 1 - index) % step === 0 ? [h('tr', {}, h('th', { scope: 'row' }, ago((end - time) / 1000)),
      ...this.series.map(({ values }) => h('td', { class: 'number' }, this.format(values[index] ?? 0))))] : []));
    replace(this.table, h('caption', { class: 'unseen' }, this.title), h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'When'), ...this.series.map(({ title }) => h('th', { scope: 'col', class: 'number' }, title)))),
      h('tbody', {}, ...rows.reverse()));
  }

  private picture(width: number): SVGElement {
    const most = Math.max(0, ...this.series.flatMap(({ values }) => values));
    const top = nice(most, this.unit(most));
    const [start, end] = [this.times[0] ?? 0, this.times.at(-1) ?? 0];
    const x = (time: number) => (end === start ? width - 4 : 4 + ((time - start) / (end - start)) * (width - 8));
    const y = (value: number) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
    const grid = [0, 0.5, 1].map((part) => s('line', { class: 'axis', x1: 0, x2: width, y1: y(top * part), y2: y(top * part) }));
    const lines = this.series.flatMap(({ values }, index) => {
      const points = values.map((value, at) => `${x(this.times[at] ?? 0).toFixed(1)} ${y(value).toFixed(1)}`);
      const last = { cx: x(end), cy: y(values.at(-1) ?? 0) };
      return [points.length > 1 && s('path', { class: `line s${index}`, d: `M${points.join(' L')}` }), s('circle', { class: `dot s${index}`, ...last, r: 3.5 })];
    });
    const seconds = (end - start) / 1000;
    const words = this.series.map(({ title, values }) => `${title} ${this.format(values.at(-1) ?? 0)}, at most ${this.format(Math.max(0, ...values))}`).join('; ');
    const over = seconds > 0 ? ` over ${Math.round(seconds)} s` : '';
    return s('svg', { class: 'plot', viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: 'img', 'aria-label': `${this.title}${over}: ${words}` }, ...grid,
      s('text', { x: 0, y: TOP - 6 }, this.format(top)), ...lines,
      s('text', { x: 0, y: HEIGHT - 5 }, seconds > 0 ? ago(seconds) : ''), s('text', { x: width, y: HEIGHT - 5, 'text-anchor': 'end' }, 'now'));
  }
}

/** Draws a line's sample for the legend. */
function swatch(index: number): SVGElement {
  return s('svg', { width: 22, height: 10, 'aria-hidden': 'true' }, s('line', { class: `line s${index}`, x1: 0, x2: 22, y1: 5, y2: 5 }));
}
