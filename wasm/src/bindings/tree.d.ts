/** An entry of a tree. The pieces (`Uint8Array`) that follow a file are its content. */
export type TreeEntry = {
  /** Names from the root on, with `/` between them; empty for the root. Bytes that are not UTF-8 are replaced. */
  path: string;
  /** The root of what is there. */
  cid: string;
} & (
  | { type: "directory" }
  | { type: "file"; /** Bytes of its content. */ size: number }
  | { type: "symlink"; /** Where it leads; not checked. */ target: string }
);
