// The npm package. Everything that parses, verifies or decompresses is in it.

import init from '../../wasm/pkg/interplanar.js';

export { blockLinks, CarReader, ChunkIndex, DecompressStream, Gateways, NarInfo, NarReader, NarSkim, TrustedKeys, fetchBlock, fetchIpfs, fetchOutline } from '../../wasm/pkg/interplanar.js';
export type { Blocks, FetchEvent, FetchOptions, InterplanarError, NarEntry, NarInfoEntry, NarInfoSignature } from '../../wasm/pkg/interplanar.js';

let loading: Promise<unknown> | undefined;

/** Loads the module, once. */
export async function ready(): Promise<void> {
  await (loading ??= init());
}

/** The code of an error of the package, `NAR_HASH`. */
export function code(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** What an error says, with what caused it. */
export function words(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? `: ${words(error.cause)}` : '';
  const at = 'at' in error ? ` (at ${String(error.at)})` : '';
  return error.message + at + cause;
}
