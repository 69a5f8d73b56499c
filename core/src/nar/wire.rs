//! The grammar of the Nix archive, and its limits.
//!
//! ```text
//! archive   := str("nix-archive-1") node
//! node      := str("(") str("type") body str(")")
//! body      := str("regular") [str("executable") str("")] str("contents") bytes
//!            | str("symlink") str("target") str
//!            | str("directory") (str("entry") str("(") str("name") str str("node") node str(")"))*
//! str       := length(8 bytes, little-endian) bytes zeros to a multiple of 8
//! ```
//! An empty file has `contents` too. Sources: archive.cc in Nix's libutil, guix/serialization.scm
//! in Guix.

/// The string at the start of an archive.
pub(super) const MAGIC: &[u8] = b"nix-archive-1";
/// Longest name of a directory entry, in bytes (the kernel's `NAME_MAX`).
pub const MAX_NAME: usize = 255;
/// Longest target of a symlink, in bytes (the kernel's `PATH_MAX` without its NUL).
pub const MAX_TARGET: usize = 4095;
/// Most directories nested in each other (docs/design.md).
pub const MAX_DEPTH: usize = 64;

/// Returns the number of zeros after a string of this length.
pub(super) fn padding(length: u64) -> u64 {
    length.wrapping_neg() % 8
}

/// Returns whether a directory entry may have this name.
pub(super) fn is_name(name: &[u8]) -> bool {
    let valid = |byte: &u8| *byte != 0 && *byte != b'/';
    (1..=MAX_NAME).contains(&name.len()) && name != b"." && name != b".." && name.iter().all(valid)
}

/// Returns whether a symlink may have this target.
pub(super) fn is_target(target: &[u8]) -> bool {
    (1..=MAX_TARGET).contains(&target.len()) && !target.contains(&0)
}
