// The npm package. All parsing, verifying and decompressing happens in it.

import init from '../../wasm/pkg/interplanar.js';

export { blockLinks, CarReader, ChunkIndex, DecompressStream, Gateways, NarInfo, NarReader, NarSkim, TrustedKeys, fetchBlock, fetchIpfs, fetchOutline } from '../../wasm/pkg/interplanar.js';
export type { Blocks, FetchEvent, FetchOptions, InterplanarError, NarEntry, NarInfoEntry, NarInfoSignature } from '../../wasm/pkg/interplanar.js';

let loading: Promise<unknown> | undefined;

/** Loads the module, once. */
export async function ready(): Promise<void> {
  await (loading ??= init());
}

/** Returns the code of one of the package's errors, like `NAR_TRUNCATED`. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** Returns the message of an error, with those of its causes. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? `: ${errorText(error.cause)}` : '';
  const at = 'at' in error ? ` (at ${String(error.at)})` : '';
  return error.message + at + cause;
}
