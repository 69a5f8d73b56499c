// Creates elements. Strings become text nodes only. No code of the inspector turns a string into
// markup, and the page's Content-Security-Policy forbids it.

export type Child = Node | string | number | null | undefined | false;
type Props = Record<string, string | number | boolean | ((event: Event) => void) | undefined>;

/** Creates an HTML element with attributes, listeners (`onclick`) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), props, children);
}

/** Creates an SVG element. */
export function s<K extends keyof SVGElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): SVGElementTagNameMap[K] {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), props, children);
}

function fill<E extends Element>(element: E, props: Props, children: Child[]): E {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

export function append(element: Element, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

export function replace(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  append(element, children);
}

/** Characters that hide or reorder text: control, bidi and zero-width ones, and U+FFFD. */
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\u3164\ufeff\ufff9-\ufffd]/gu;

/** Escapes such characters in untrusted text, and puts it on one line. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
}

/**
 * Creates an element for an untrusted name: escaped, and isolated from the text direction around
 * it.
 */
export function name(text: string, props: Props = {}): HTMLElement {
  return h('bdi', props, visible(text));
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Formats a size with a unit. */
export function bytes(count: number): string {
  let unit = 0;
  let value = count;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${count} bytes` : `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${UNITS[unit]}`;
}

/** Creates a button that copies a text. `what` describes the text to screen readers. */
export function copy(text: string, what: string): HTMLButtonElement {
  const button = h('button', { type: 'button', class: 'copy', 'aria-label': `Copy ${what}` }, 'Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce(`Copied ${what}`);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Can’t copy';
    }
    setTimeout(() => (button.textContent = 'Copy'), 2000);
  });
  return button;
}

/** Creates a command with a copy button. */
export function command(text: string, what: string): HTMLElement {
  return h('div', { class: 'command' }, h('pre', { tabindex: 0, 'aria-label': what }, h('code', {}, visible(text))), copy(text, what));
}

const live = h('p', { class: 'unseen', role: 'status', 'aria-live': 'polite' });
document.body.append(live);

/** Announces a text to screen readers. */
export function announce(text: string): void {
  live.textContent = text;
}

/** Creates an error box. */
export function problem(title: string, detail: string, ...more: Child[]): HTMLElement {
  return h('div', { class: 'note bad', role: 'alert' }, h('strong', {}, title), h('p', {}, visible(detail)), ...more);
}

/** A progress bar that screen readers understand. */
export class Progress {
  readonly element: HTMLElement;
  private readonly bar: HTMLProgressElement;
  private readonly words: HTMLElement;

  constructor(label: string) {
    this.bar = h('progress', { max: 1, 'aria-label': label });
    this.words = h('span', { class: 'quiet' }, label);
    this.element = h('div', { class: 'progress' }, this.bar, this.words);
  }

  set(done: number, total: number | undefined): void {
    if (total) this.bar.value = Math.min(1, done / total);
    this.words.textContent = total ? `${bytes(done)} of ${bytes(total)}` : bytes(done);
  }
}

/**
 * Draws a picture for the width that is available, so that its text has the normal size on a phone
 * too. The space is reserved from the start, so that nothing moves.
 */
export function sized(height: number, draw: (width: number) => Child): HTMLElement {
  const place = h('div', { class: 'sized' });
  place.style.height = `${height}px`;
  let drawn = 0;
  new ResizeObserver(() => {
    const width = Math.floor(place.clientWidth);
    if (width === 0 || width === drawn) return;
    drawn = width;
    replace(place, draw(width));
  }).observe(place);
  return place;
}
