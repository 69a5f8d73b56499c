// Shows the content of a file: text with line numbers, an image, the headers of an ELF file, or
// bytes. Nothing in the file is executed.

import { bytes, h, name, visible } from './dom';
import { elf } from './elf';

const MAX_TEXT = 512 << 10;
const MAX_IMAGE = 16 << 20;
const MAX_HEX = 8 << 10;

/** Image types by their first bytes. The type never comes from the file's own claim. */
const IMAGES: [string, number[]][] = [
  ['image/png', [0x89, 0x50, 0x4e, 0x47]],
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
];

/** Shows a file. `dispose` collects the work to do when the view closes. */
export async function show(file: Blob, path: string, dispose: (work: () => void) => void): Promise<HTMLElement> {
  const start = new Uint8Array(await file.slice(0, 1024).arrayBuffer());
  const image = IMAGES.find(([, magic]) => magic.every((byte, index) => start[index] === byte))?.[0];
  if (image && file.size <= MAX_IMAGE) return picture(file, image, path, dispose);
  const summary = await elf(file);
  if (summary) return h('div', {}, program(summary), await hex(file));
  const text = await decoded(file);
  return text === undefined ? hex(file) : lines(text, file.size);
}

/** Shows a picture in a sandboxed frame with an origin of its own, without scripts and network. */
function picture(file: Blob, type: string, path: string, dispose: (work: () => void) => void): HTMLElement {
  const url = URL.createObjectURL(new Blob([file], { type }));
  dispose(() => URL.revokeObjectURL(url));
  return h('iframe', { sandbox: '', src: url, title: `Picture ${visible(path)}` });
}

/** Returns the text if it is UTF-8 without zero bytes. */
async function decoded(file: Blob): Promise<string | undefined> {
  const data = new Uint8Array(await file.slice(0, MAX_TEXT).arrayBuffer());
  if (data.includes(0)) return undefined;
  // The limit may split a character.
  for (const cut of [0, 1, 2, 3]) {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(data.subarray(0, data.length - cut));
    } catch {
      if (file.size <= MAX_TEXT) return undefined;
    }
  }
  return undefined;
}

function lines(text: string, size: number): HTMLElement {
  const all = text.replace(/\n$/, '').split('\n');
  const numbers = all.map((_, index) => index + 1).join('\n');
  const plain = all.map((line) => line.split('\t').map(visible).join('\t')).join('\n');
  return h('div', {}, size > MAX_TEXT && h('p', { class: 'note' }, `The first ${bytes(MAX_TEXT)} of ${bytes(size)}.`),
    h('div', { class: 'text', tabindex: 0, role: 'region', 'aria-label': 'Text of the file' }, h('pre', { class: 'lines', 'aria-hidden': 'true' }, numbers), h('pre', {}, plain)));
}

async function hex(file: Blob): Promise<HTMLElement> {
  const data = new Uint8Array(await file.slice(0, MAX_HEX).arrayBuffer());
  const rows: string[] = [];
  for (let at = 0; at < data.length; at += 16) {
    const part = [...data.subarray(at, at + 16)];
    const digits = part.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const letters = part.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·')).join('');
    rows.push(`${at.toString(16).padStart(8, '0')}  ${digits.padEnd(47)}  ${letters}`);
  }
  const note = file.size > MAX_HEX ? `The first ${bytes(MAX_HEX)} of ${bytes(file.size)}.` : 'All of its bytes.';
  return h('div', {}, h('p', { class: 'quiet' }, file.size === 0 ? 'The file is empty.' : note), h('pre', { tabindex: 0, 'aria-label': 'Bytes of the file' }, rows.join('\n')));
}

function program({ what, interpreter, runpath, needed }: NonNullable<Awaited<ReturnType<typeof elf>>>): HTMLElement {
  const list = (values: string[]) => h('ul', {}, ...values.map((value) => h('li', {}, h('code', {}, name(value)))));
  const field = (title: string, value: Node) => h('div', { class: 'field' }, h('dt', {}, title), h('dd', {}, value));
  return h('dl', { class: 'fields' }, field('ELF', document.createTextNode(what)),
    field('Interpreter', interpreter ? h('code', {}, name(interpreter)) : document.createTextNode('none')),
    field('RUNPATH', runpath.length > 0 ? list(runpath) : document.createTextNode('none')),
    field('Needed libraries', needed.length > 0 ? list(needed) : document.createTextNode('none')));
}
