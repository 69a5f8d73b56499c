// Explains the fields of a narinfo.

export const FIELDS: Record<string, string> = {
  StorePath: 'The item’s path in the store. Its 32 characters are a hash of everything that the item was built from.',
  NarHash: 'SHA-256 of the NAR, the archive of all files. A NAR with this hash is this item, wherever it came from.',
  NarSize: 'Size of the uncompressed NAR in bytes.',
  References: 'Store items that this one names in its files, and needs to run. It may name itself.',
  Deriver: 'The derivation (build recipe) that built it. Only Guix signs it, and only above the line Signature.',
  System: 'The kind of machine that the item was built for.',
  Signature: 'Guix’s signature over all lines above this one.',
  Sig: 'A Nix signature over StorePath, NarHash, NarSize and References.',
  URL: 'Address of the NAR. It is a hint: no signature covers it.',
  Compression: 'How the NAR at this URL is compressed.',
  FileSize: 'Bytes to download from this URL.',
  FileHash: 'SHA-256 of the compressed file.',
  CA: 'Content address. The store path depends on the content alone, so the item needs no signature.',
  ChunkIndex: 'CID of the list of this NAR’s pieces. A client that has some of them from other items fetches only the rest.',
  SmallPieces: 'A file with all the small pieces, so that one request fetches them.',
  Tree: 'The same files as a directory on IPFS.',
};

/** Longest value that is shown, in characters. */
const MAX_LINE = 400;

/** Splits a narinfo into pairs of key and value, in file order. */
export function lines(text: string): [string, string][] {
  return text
    .split('\n')
    .filter((line) => line.includes(':'))
    .map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at), line.slice(at + 1).trim()];
    });
}

/** Shortens a long value. */
export function cut(value: string): string {
  return value.length > MAX_LINE ? `${value.slice(0, MAX_LINE)}…` : value;
}
