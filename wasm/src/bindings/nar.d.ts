
/** One way to download a NAR. No signature covers it. */
export interface NarInfoEntry {
  /** Absolute, or relative to the cache's URL. */
  url: string;
  compression: "none" | "gzip" | "zstd" | "lzip" | "xz" | "bzip2" | "br";
  /** Size of the compressed file in bytes. */
  fileSize?: number;
}

/** A link of a block. */
export interface BlockLink {
  cid: string;
  /** Bytes of the linked block and all below it, as this block states. */
  size: number;
  /** Whether the linked block is plain bytes, without links. */
  leaf: boolean;
}

/** A piece of a NAR. */
export interface Chunk {
  /** Offset in the NAR. */
  offset: number;
  /** Uncompressed bytes. */
  length: number;
  /** CIDs of the raw blocks that contain the compressed piece. */
  leaves: string[];
}

/** A signature of a narinfo. */
export interface NarInfoSignature {
  /**
   * The name of a Nix key, or the fingerprint of a Guix key; empty if the signature is malformed.
   */
  signer: string;
  /**
   * `TRUST_UNKNOWN_KEY`, `TRUST_BAD`, `TRUST_INCOMPLETE` or `TRUST_MALFORMED`; absent if a trusted
   * key signed all fields that a signature must cover.
   */
  code?: string;
  message?: string;
}

/** An entry of a NAR. */
export type NarEntry =
  | { type: "directory"; path: string }
  | { type: "regular"; path: string; executable: boolean; size: number; narOffset: number }
  | { type: "symlink"; path: string; target: string };
