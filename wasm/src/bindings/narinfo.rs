//! Narinfos and trusted keys.

use super::error::{Coded, js};
use interplanar_core::narinfo::{Dialect, NarInfo as Info};
use interplanar_core::signature::{guix, nix};
use interplanar_core::trust::TrustedKeys as Keys;
use serde::Serialize;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `NarInfoEntry[]`.
    #[wasm_bindgen(typescript_type = "NarInfoEntry[]")]
    pub type NarInfoEntries;

    /// `NarInfoSignature[]`.
    #[wasm_bindgen(typescript_type = "NarInfoSignature[]")]
    pub type NarInfoSignatures;
}

/// A narinfo: a cache's description of one store item.
#[wasm_bindgen]
pub struct NarInfo {
    pub(super) info: Info,
}

#[wasm_bindgen]
impl NarInfo {
    /// Parses a narinfo of Guix or Nix. Don't trust it before `verify`.
    ///
    /// Throws `NARINFO_…`; `at` is the line.
    pub fn parse(bytes: &[u8]) -> Result<NarInfo, JsValue> {
        let info = Info::parse(bytes).map_err(js)?;
        Ok(Self { info })
    }

    /// Checks that a trusted key signed it, and that the signature covers the store path, the hash
    /// and size of the NAR, and the references. All else is a hint.
    ///
    /// Throws `TRUST_…`.
    pub fn verify(&self, keys: &TrustedKeys) -> Result<(), JsValue> {
        keys.keys.verify(&self.info).map(drop).map_err(js)
    }

    /// Checks each signature. A result has the name of the key (for Guix, its fingerprint), and the
    /// code and message of the error, if there is one.
    pub fn signatures(&self, keys: &TrustedKeys) -> Result<NarInfoSignatures, JsValue> {
        let checked = keys.keys.signatures(&self.info).map(|checked| {
            let error = checked.result.err();
            Signature {
                signer: checked.signer,
                code: error.as_ref().map(Coded::code),
                message: error.map(|error| error.to_string()),
            }
        });
        let signatures: Vec<Signature> = checked.collect();
        Ok(serde_wasm_bindgen::to_value(&signatures)?.unchecked_into())
    }

    /// `"guix"` or `"nix"`.
    #[wasm_bindgen(getter, unchecked_return_type = "\"guix\" | \"nix\"")]
    pub fn dialect(&self) -> String {
        match self.info.dialect() {
            Dialect::Guix => "guix".to_owned(),
            Dialect::Nix => "nix".to_owned(),
        }
    }

    /// `/gnu/store/…` or `/nix/store/…`.
    #[wasm_bindgen(getter, js_name = storePath)]
    pub fn store_path(&self) -> String {
        self.info.store_path().as_str().to_owned()
    }

    /// SHA-256 of the uncompressed NAR: `sha256:` and Nix's base 32.
    #[wasm_bindgen(getter, js_name = narHash)]
    pub fn nar_hash(&self) -> String {
        self.info.nar_hash().to_string()
    }

    /// Size of the uncompressed NAR in bytes.
    #[wasm_bindgen(getter, js_name = narSize)]
    pub fn nar_size(&self) -> f64 {
        self.info.nar_size() as f64
    }

    /// Base names of the references.
    #[wasm_bindgen(getter)]
    pub fn references(&self) -> Vec<String> {
        self.info.references().to_vec()
    }

    /// Base name of the derivation that built it. `verify` doesn't check this: it is a hint.
    #[wasm_bindgen(getter)]
    pub fn deriver(&self) -> Option<String> {
        self.info.deriver().map(str::to_owned)
    }

    /// The system for which the item was built. `verify` doesn't check this: it is a hint.
    #[wasm_bindgen(getter)]
    pub fn system(&self) -> Option<String> {
        self.info.system().map(str::to_owned)
    }

    /// The entries of the narinfo, in file order.
    #[wasm_bindgen(getter)]
    pub fn entries(&self) -> Result<NarInfoEntries, JsValue> {
        let entries = self.info.entries().iter();
        let entries: Vec<Entry<'_>> = entries
            .map(|entry| Entry {
                url: &entry.url,
                compression: entry.compression.as_str(),
                file_size: entry.file_size,
            })
            .collect();
        Ok(serde_wasm_bindgen::to_value(&entries)?.unchecked_into())
    }

    /// The original text of the narinfo.
    #[wasm_bindgen(js_name = toString)]
    #[expect(clippy::inherent_to_string, reason = "JavaScript's toString")]
    pub fn to_string(&self) -> String {
        self.info.to_string()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    url: &'a str,
    compression: &'a str,
    file_size: Option<u64>,
}

#[derive(Serialize)]
struct Signature {
    signer: String,
    code: Option<&'static str>,
    message: Option<String>,
}

/// The keys whose signatures are accepted.
#[wasm_bindgen]
#[derive(Default)]
pub struct TrustedKeys {
    keys: Keys,
}

#[wasm_bindgen]
impl TrustedKeys {
    /// Creates an empty set.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a public key of Nix, `name:base64`.
    ///
    /// Throws `SIGNATURE_…`.
    #[wasm_bindgen(js_name = addNix)]
    pub fn add_nix(&mut self, key: &str) -> Result<(), JsValue> {
        self.keys.nix.push(nix::PublicKey::parse(key).map_err(js)?);
        Ok(())
    }

    /// Adds a public key of Guix, `(public-key …)`.
    ///
    /// Throws `SIGNATURE_…`.
    #[wasm_bindgen(js_name = addGuix)]
    pub fn add_guix(&mut self, key: &str) -> Result<(), JsValue> {
        self.keys
            .guix
            .push(guix::PublicKey::parse(key).map_err(js)?);
        Ok(())
    }

    /// Adds all keys of an ACL like /etc/guix/acl. Returns their number.
    ///
    /// Throws `SIGNATURE_…`.
    #[wasm_bindgen(js_name = addGuixAcl)]
    pub fn add_guix_acl(&mut self, acl: &str) -> Result<usize, JsValue> {
        let acl = guix::Acl::parse(acl).map_err(js)?;
        let count = acl.keys.len();
        self.keys.guix.extend(acl.keys);
        Ok(count)
    }
}
