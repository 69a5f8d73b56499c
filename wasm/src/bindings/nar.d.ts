
/** Where a NAR can be had; no signature covers it. */
export interface NarInfoEntry {
  /** Absolute, or relative to the cache's URL. */
  url: string;
  compression: "none" | "gzip" | "zstd" | "lzip" | "xz" | "bzip2" | "br";
  /** Compressed bytes. */
  fileSize?: number;
}

/** A link of a block. */
export interface BlockLink {
  cid: string;
  /** Bytes of all blocks below, as the writer of the block says. */
  size: number;
  /** It leads to plain bytes, which have no links. */
  leaf: boolean;
}

/** A piece of a NAR. */
export interface Chunk {
  /** Where it starts in the NAR. */
  offset: number;
  /** Bytes in the NAR. */
  length: number;
  /** CIDs of the raw blocks that are it, compressed. */
  leaves: string[];
}

/** A signature of a narinfo. */
export interface NarInfoSignature {
  /** The name of a Nix key, or the fingerprint of a Guix key; empty of one that can't be read. */
  signer: string;
  /** Absent of a right signature by a trusted key; else `TRUST_UNKNOWN_KEY`, `TRUST_BAD` or `TRUST_MALFORMED`. */
  code?: string;
  message?: string;
}

/** What stands at a path of a NAR. */
export type NarEntry =
  | { type: "directory"; path: string }
  | { type: "regular"; path: string; executable: boolean; size: number; narOffset: number }
  | { type: "symlink"; path: string; target: string };
