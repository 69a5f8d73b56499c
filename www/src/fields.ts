// What the fields of a narinfo mean.

export const FIELDS: Record<string, string> = {
  StorePath: 'Where the item lies in the store. The 32 characters are made from all that it was built from.',
  NarHash: 'SHA-256 of the NAR, the archive of all its files. Whoever has a NAR with this hash has the item, wherever it came from.',
  NarSize: 'Bytes of the NAR, uncompressed.',
  References: 'Items that this one names in its files, and needs to run. Itself included if it names itself.',
  Deriver: 'The derivation (build recipe) that built it.',
  System: 'The kind of machine that it was built for.',
  Signature: 'Guix’s signature over all lines above it.',
  Sig: 'A Nix signature over store path, NarHash, NarSize and references.',
  URL: 'Where the NAR can be had. Not signed: a hint.',
  Compression: 'How the NAR at this URL is compressed.',
  FileSize: 'Bytes to download from this URL.',
  FileHash: 'SHA-256 of the compressed file.',
  CA: 'How its content alone decides its store path: no signature is needed then.',
  ChunkIndex: 'Where the list of this NAR’s pieces is, for clients that have some of them from other items.',
  SmallPieces: 'The small ones of those pieces as a file of their own, which takes one request instead of many.',
  Tree: 'The same files as a directory on IPFS.',
};

const MAX_LINE = 400;

/** Lines in their order: key and value. */
export function lines(text: string): [string, string][] {
  return text
    .split('\n')
    .filter((line) => line.includes(':'))
    .map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at), line.slice(at + 1).trim()];
    });
}

/** A value that fits. */
export function cut(value: string): string {
  return value.length > MAX_LINE ? `${value.slice(0, MAX_LINE)}…` : value;
}
