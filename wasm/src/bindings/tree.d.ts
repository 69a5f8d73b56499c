/** An entry of a tree. The `Uint8Array`s after a file are its content. */
export type TreeEntry = {
  /** Path from the root; empty for the root. Bytes that aren't UTF-8 are replaced. */
  path: string;
  /** CID of the entry. */
  cid: string;
} & (
  | { type: "directory" }
  | { type: "file"; /** Size in bytes. */ size: number }
  | { type: "symlink"; /** Target of the link; not checked. */ target: string }
);
