
/** Where a NAR can be had; no signature covers it. */
export interface NarInfoEntry {
  /** Absolute, or relative to the cache's URL. */
  url: string;
  compression: "none" | "gzip" | "zstd" | "lzip" | "xz" | "bzip2" | "br";
  /** Compressed bytes. */
  fileSize?: number;
}

/** What stands at a path of a NAR. */
export type NarEntry =
  | { type: "directory"; path: string }
  | { type: "regular"; path: string; executable: boolean; size: number; narOffset: number }
  | { type: "symlink"; path: string; target: string };
