//! Writing narinfos: collect the fields, then sign, then produce the text.

use super::{Dialect, Entry, NarInfo, NarInfoError};
use crate::hash::Sha256;
use crate::signature::{guix, nix};
use crate::store_path::StorePath;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The content of a narinfo that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The store item.
    pub store_path: StorePath,
    /// Where the NAR can be downloaded: at least one entry, in the order of
    /// [`super::order_entries`].
    pub entries: Vec<Entry>,
    /// SHA-256 of the uncompressed NAR.
    pub nar_hash: Sha256,
    /// Bytes of the uncompressed NAR.
    pub nar_size: u64,
    /// Base names of the items that it refers to.
    pub references: Vec<String>,
    /// Base name of the derivation that built it.
    pub deriver: Option<String>,
    /// System that the item was built for.
    pub system: Option<String>,
    /// Content address, in Nix's form.
    pub ca: Option<String>,
    /// Values of `Sig` lines that already exist.
    pub signatures: Vec<String>,
    /// Further fields, unsigned. Stock clients ignore fields that they don't know.
    pub extra: Vec<(&'static str, String)>,
}

impl Draft {
    /// Builds the narinfo as `guix publish` writes it, signed with `key`. `host` names the signer.
    ///
    /// # Errors
    /// [`NarInfoError`] for values that a narinfo can't hold, such as a URL with a space.
    pub fn sign_guix(self, key: &guix::SecretKey, host: &str) -> Result<NarInfo, NarInfoError> {
        let signed = self.guix_fields();
        let signature = key.sign(host, signed.as_bytes());
        self.finish(format!("{signed}Signature: {signature}\n"), Dialect::Guix)
    }

    /// Builds the narinfo as Nix writes it, signed with each of `keys`.
    ///
    /// # Errors
    /// As [`Draft::sign_guix`].
    pub fn sign_nix(mut self, keys: &[nix::SecretKey]) -> Result<NarInfo, NarInfoError> {
        if keys.is_empty() {
            return self.unsigned(Dialect::Nix);
        }
        let fingerprint = self.clone().unsigned(Dialect::Nix)?.fingerprint();
        for key in keys {
            let signature = format!("{}", key.sign(fingerprint.as_bytes()));
            if !self.signatures.contains(&signature) {
                self.signatures.push(signature);
            }
        }
        self.unsigned(Dialect::Nix)
    }

    /// Builds the narinfo in the form of a dialect, without a further signature.
    ///
    /// # Errors
    /// As [`Draft::sign_guix`].
    pub fn unsigned(self, dialect: Dialect) -> Result<NarInfo, NarInfoError> {
        let fields = match dialect {
            Dialect::Guix => self.guix_fields(),
            Dialect::Nix => format!("StorePath: {}\n", self.store_path),
        };
        self.finish(fields, dialect)
    }

    fn guix_fields(&self) -> String {
        let mut text = format!("StorePath: {}\n", self.store_path);
        text.push_str(&self.nar_lines());
        if let Some(system) = &self.system {
            text.push_str(&format!("System: {system}\n"));
        }
        text
    }

    /// Returns the lines that both dialects share, in their common order.
    fn nar_lines(&self) -> String {
        let references = self.references.join(" ");
        let mut text = format!(
            "NarHash: {}\nNarSize: {}\nReferences: {references}\n",
            self.nar_hash, self.nar_size
        );
        if let Some(deriver) = &self.deriver {
            text.push_str(&format!("Deriver: {deriver}\n"));
        }
        text
    }

    fn finish(self, mut text: String, dialect: Dialect) -> Result<NarInfo, NarInfoError> {
        for entry in &self.entries {
            text.push_str(&entry.lines(dialect));
        }
        if dialect == Dialect::Nix {
            text.push_str(&self.nar_lines());
            for signature in &self.signatures {
                text.push_str(&format!("Sig: {signature}\n"));
            }
            if let Some(ca) = &self.ca {
                text.push_str(&format!("CA: {ca}\n"));
            }
        }
        for (key, value) in &self.extra {
            text.push_str(&format!("{key}: {value}\n"));
        }
        NarInfo::parse(text.as_bytes())
    }
}
