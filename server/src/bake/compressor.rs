//! Compression methods with levels: `METHOD[:LEVEL]`, as in `guix publish --compression`.
//!
//! ```text
//! spec   := method [":" level] | level          a level alone means gzip
//! method := "gzip" | "zstd" | "zstd-whole" | "lzip" | "none"
//! level  := digits; 3 if absent; 0 means `none`
//! ```
//! `zstd` is one zstd frame whose pieces other items can share ([`interplanar_core::dedup`]).
//! `zstd-whole` is compressed as one stream: it is a fifth smaller, and shares nothing.
//!
//! Restrictions: gzip and lzip have levels up to 9, zstd up to 22.
//!
//! ```
//! use interplanar_server::bake::Compressor;
//! assert_eq!("zstd:19".parse::<Compressor>().unwrap().to_string(), "zstd:19");
//! assert_eq!("gzip:0".parse::<Compressor>().unwrap(), Compressor::NONE);
//! assert!("xz".parse::<Compressor>().is_err());
//! ```

use std::fmt;
use std::str::FromStr;

use interplanar_core::narinfo::Compression;

/// The level if none is given; that of `guix publish` 1.5.0.
const DEFAULT_LEVEL: u32 = 3;
/// The highest level while a client waits; as in `guix publish`.
const LOW_LEVEL: u32 = 2;
/// The name of the method that compresses with zstd as one stream.
pub(crate) const WHOLE: &str = "zstd-whole";
/// Extensions of files that are compressed already (Guix's list).
const COMPRESSED: [&str; 10] = [
    "gz", "bz2", "xz", "lz", "lzma", "tgz", "tbz2", "tzst", "zip", "zst",
];

/// A method that we can compress with, its level and its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressor {
    method: Compression,
    level: u32,
    form: NarForm,
}

/// The form in which a NAR is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NarForm {
    /// Compressed as one stream.
    Whole,
    /// Compressed piece by piece.
    Pieces,
    /// Uncompressed, made of the blocks of the item's files.
    Tree,
}

impl Compressor {
    /// No compression.
    pub const NONE: Self = Self {
        method: Compression::None,
        level: 0,
        form: NarForm::Whole,
    };

    /// No compression, made of the blocks of the item's files, with a directory: what
    /// `--publish-tree` adds.
    pub const TREE: Self = Self {
        form: NarForm::Tree,
        ..Self::NONE
    };

    /// Returns a method at its default level; `None` for methods that can only be decompressed.
    pub fn of(method: Compression) -> Option<Self> {
        match method {
            Compression::None => Some(Self::NONE),
            Compression::Gzip | Compression::Zstd | Compression::Lzip => Some(Self {
                method,
                level: DEFAULT_LEVEL,
                form: match method {
                    Compression::Zstd => NarForm::Pieces,
                    _ => NarForm::Whole,
                },
            }),
            _ => None,
        }
    }

    /// The compression method.
    pub fn method(self) -> Compression {
        self.method
    }

    /// The level; 0 for no compression.
    pub fn level(self) -> u32 {
        self.level
    }

    /// Returns whether pieces are compressed one by one, so that items share them.
    pub fn is_pieces(self) -> bool {
        self.form == NarForm::Pieces
    }

    /// Returns whether the form is the plain NAR, made of the blocks of the item's files.
    pub fn is_tree(self) -> bool {
        self.form == NarForm::Tree
    }

    /// The name on the command line and in URLs.
    pub fn name(self) -> &'static str {
        match self.method {
            Compression::Zstd if self.form == NarForm::Whole => WHOLE,
            method => method.as_str(),
        }
    }

    /// Returns the same method with a level that is fast enough while a client waits.
    #[must_use]
    pub fn low(self) -> Self {
        Self {
            level: self.level.min(LOW_LEVEL),
            ..self
        }
    }

    /// Returns the methods for an item with this name: no compression if the name has the extension
    /// of a compressed file.
    pub fn for_item(name: &str, requested: &[Self]) -> Vec<Self> {
        match name.rsplit_once('.') {
            Some((_, extension)) if COMPRESSED.contains(&extension) => {
                let tree = requested.contains(&Self::TREE);
                vec![if tree { Self::TREE } else { Self::NONE }]
            }
            _ => requested.to_vec(),
        }
    }
}

/// Why a `METHOD:LEVEL` can't be used.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompressorError {
    /// The method isn't gzip, zstd, zstd-whole, lzip or none.
    #[error(
        "expected gzip, zstd, zstd-whole, lzip or none, optionally followed by a colon and a level"
    )]
    Method,
    /// The level is not a number, or too high.
    #[error("expected a level between 0 and {most}")]
    Level {
        /// The highest level of the method.
        most: u32,
    },
}

impl FromStr for Compressor {
    type Err = CompressorError;

    fn from_str(text: &str) -> Result<Self, CompressorError> {
        let (method, level) = match text.split_once(':') {
            Some((method, level)) => (method, Some(level)),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => ("gzip", Some(text)),
            None => (text, None),
        };
        let (name, form) = match method {
            WHOLE => ("zstd", NarForm::Whole),
            "zstd" => ("zstd", NarForm::Pieces),
            name => (name, NarForm::Whole),
        };
        let method = Compression::parse(name)
            .and_then(Self::of)
            .ok_or(CompressorError::Method)?
            .method;
        let most = if method == Compression::Zstd { 22 } else { 9 };
        let level = match level {
            None => DEFAULT_LEVEL,
            Some(level) => level
                .parse()
                .ok()
                .filter(|level| *level <= most)
                .ok_or(CompressorError::Level { most })?,
        };
        if level == 0 || method == Compression::None {
            return Ok(Self::NONE);
        }
        Ok(Self {
            method,
            level,
            form,
        })
    }
}

impl fmt::Display for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.method {
            Compression::None if self.is_tree() => f.write_str("tree"),
            Compression::None => f.write_str("none"),
            _ => write!(f, "{}:{}", self.name(), self.level),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_guix_parses() {
        for (text, expected) in [
            ("gzip", "gzip:3"),
            ("9", "gzip:9"),
            ("lzip:9", "lzip:9"),
            ("zstd", "zstd:3"),
            ("zstd-whole:19", "zstd-whole:19"),
            ("zstd-whole:0", "none"),
            ("zstd:0", "none"),
            ("none", "none"),
            ("0", "none"),
        ] {
            assert_eq!(text.parse::<Compressor>().unwrap().to_string(), expected);
        }
        for text in [
            "",
            "rot13",
            "gzip:",
            "gzip:x",
            "gzip:10",
            "xz:3",
            "zstd:23",
            "gzip-whole",
        ] {
            assert!(text.parse::<Compressor>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn compressed_files_are_not_compressed_again() {
        let requested = ["zstd".parse().unwrap()];
        assert_eq!(Compressor::for_item("hello-2.12", &requested), requested);
        for name in ["hello.tar.gz", "x.zst"] {
            assert_eq!(Compressor::for_item(name, &requested), [Compressor::NONE]);
        }
        let with_tree = [requested[0], Compressor::TREE];
        assert_eq!(Compressor::for_item("x.gz", &with_tree), [Compressor::TREE]);
    }
}
