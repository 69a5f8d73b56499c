// Reads the headers of an ELF file: its kind, its interpreter, and where it looks for libraries.
// The sizes in it are untrusted, so the file's length and the limits here bound every read.

const MAX_HEADERS = 64;
const MAX_STRINGS = 1 << 20;
const MAX_DYNAMIC = 1 << 16;
const [LOAD, DYNAMIC, INTERP] = [1, 2, 3];
const [NEEDED, STRTAB, RPATH, RUNPATH] = [1, 5, 15, 29];

const MACHINES: Record<number, string> = { 3: 'i386', 8: 'MIPS', 20: 'PowerPC', 21: 'PowerPC 64', 40: 'ARM', 62: 'x86-64', 183: 'AArch64', 243: 'RISC-V' };
const KINDS: Record<number, string> = { 1: 'object', 2: 'program', 3: 'shared object or program', 4: 'core' };

export interface Elf {
  what: string;
  interpreter?: string;
  runpath: string[];
  needed: string[];
}

/** Reads the headers. Returns `undefined` if the file isn't an ELF file, or a broken one. */
export async function elf(file: Blob): Promise<Elf | undefined> {
  try {
    return await read(file);
  } catch {
    // A read went past the end: the numbers in the file are wrong.
    return undefined;
  }
}

async function view(file: Blob, at: number, length: number): Promise<DataView> {
  return new DataView(await file.slice(at, at + length).arrayBuffer());
}

async function read(file: Blob): Promise<Elf | undefined> {
  const head = await view(file, 0, 64);
  if (head.getUint32(0) !== 0x7f454c46) return undefined;
  const wide = head.getUint8(4) === 2;
  const little = head.getUint8(5) === 1;
  const word = (data: DataView, at: number) => (wide ? Number(data.getBigUint64(at, little)) : data.getUint32(at, little));
  const machine = head.getUint16(18, little);
  const what = `${KINDS[head.getUint16(16, little)] ?? 'ELF'}, ${wide ? 64 : 32} bits, ${MACHINES[machine] ?? `machine ${machine}`}`;
  const found: Elf = { what, runpath: [], needed: [] };
  const table = word(head, wide ? 32 : 28);
  const size = head.getUint16(wide ? 54 : 42, little);
  const count = Math.min(head.getUint16(wide ? 56 : 44, little), MAX_HEADERS);
  const headers = await view(file, table, size * count);
  const parts = Array.from({ length: count }, (_, index) => {
    const at = index * size;
    return { type: headers.getUint32(at, little), offset: word(headers, at + (wide ? 8 : 4)), address: word(headers, at + (wide ? 16 : 8)), length: word(headers, at + (wide ? 32 : 16)) };
  });
  const interpreter = parts.find(({ type }) => type === INTERP);
  if (interpreter) found.interpreter = text(await view(file, interpreter.offset, Math.min(interpreter.length, 4096)), 0);
  const dynamic = parts.find(({ type }) => type === DYNAMIC);
  if (!dynamic) return found;
  const entry = wide ? 16 : 8;
  const data = await view(file, dynamic.offset, Math.min(dynamic.length, MAX_DYNAMIC));
  const tags: [number, number][] = [];
  for (let at = 0; at + entry <= data.byteLength; at += entry) tags.push([word(data, at), word(data, at + entry / 2)]);
  const strings = tags.find(([tag]) => tag === STRTAB)?.[1];
  const load = parts.find(({ type, address, length }) => strings !== undefined && type === LOAD && address <= strings && strings < address + length);
  if (strings === undefined || !load) return found;
  const names = await view(file, strings - load.address + load.offset, MAX_STRINGS);
  for (const [tag, value] of tags) {
    if (tag === NEEDED) found.needed.push(text(names, value));
    if (tag === RUNPATH || tag === RPATH) found.runpath.push(...text(names, value).split(':'));
  }
  return found;
}

function text(data: DataView, at: number): string {
  let end = at;
  while (end < data.byteLength && data.getUint8(end) !== 0) end += 1;
  return new TextDecoder().decode(new Uint8Array(data.buffer, data.byteOffset + at, end - at));
}
