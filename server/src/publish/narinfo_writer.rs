//! Writes narinfos, of baked items and of items that are not baked yet.
//!
//! Before an item is baked, its entries are those of `guix publish` without a cache: only the plain
//! NAR has a known size. Afterwards each entry has a size, and the same bytes are also offered over
//! IPFS. The order of the entries is one that every stock client can read ([`order_entries`]).
//! Narinfos of a binary cache keep their text and signatures, but their entries point to this
//! server.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_core::dedup;
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::{
    Compression, Dialect, Draft, Entry, NarInfo, NarInfoError, order_entries,
};

use super::keys::Keys;
use super::routes::NarPath;
use crate::bake::snapshot::SnapshotItem;
use crate::bake::{Compressor, Record, Representation};
use crate::store::{Item, Prepared};

/// Writes and signs narinfos.
pub(super) struct NarinfoWriter {
    pub(super) dialect: Dialect,
    pub(super) nar_path: NarPath,
    pub(super) keys: Arc<Keys>,
    /// The name of the signer in Guix's signatures.
    pub(super) host: String,
    /// Gateways that clients can reach, without a slash at the end.
    pub(super) gateways: Vec<String>,
    /// Whether only files that are in Kubo are offered over IPFS.
    pub(super) published_only: bool,
}

/// One form in which clients can download the NAR of an item.
#[derive(Debug, Clone, Copy)]
struct OfferedForm {
    method: Compression,
    /// The method's name in URLs.
    name: &'static str,
    size: Option<u64>,
    hash: Option<Sha256>,
    cid: Option<Cid>,
}

impl NarinfoWriter {
    /// Writes the narinfo of an item that isn't baked.
    pub(super) fn unbaked(
        &self,
        item: &Item,
        compressors: &[Compressor],
    ) -> Result<Bytes, NarInfoError> {
        // Offer the plain NAR of a tree only once it is baked: Guix prefers an entry with a size to
        // those without, and only the plain one has a size before.
        let asked: Vec<Compressor> = compressors
            .iter()
            .copied()
            .filter(|one| !one.is_tree() || compressors.len() == 1)
            .collect();
        let forms = asked.iter().map(|compressor| {
            let plain = compressor.method() == Compression::None;
            OfferedForm {
                method: compressor.method(),
                name: compressor.name(),
                size: plain.then_some(item.nar_size),
                hash: plain.then_some(item.nar_hash),
                cid: None,
            }
        });
        let entries = self.entries(self.dialect, item, forms.collect());
        self.write(item, entries, Vec::new())
    }

    /// Writes the narinfo of a baked item, with the compression methods of the command line.
    pub(super) fn baked(
        &self,
        record: &Record,
        compressors: &[Compressor],
    ) -> Result<Bytes, NarInfoError> {
        let item = &record.item;
        let offered = |one: &Representation| one.published || !self.published_only;
        let form = |one: &Representation, name| OfferedForm {
            method: one.compression,
            name,
            size: Some(one.file_size),
            hash: Some(one.file_hash),
            cid: offered(one).then_some(one.cid),
        };
        if let Some(text) = &record.narinfo {
            let all = record.representations.iter();
            let extra = extra(all.clone().filter(|one| offered(one)));
            let forms = all.map(|one| form(one, one.compression.as_str()));
            let forms = forms.collect();
            return self.rewrite(NarInfo::parse(text.as_bytes())?, item, forms, extra);
        }
        let wanted = compressors
            .iter()
            .filter_map(|one| record.of(*one).map(|found| (found, one.name())));
        let forms = wanted.clone().map(|(one, name)| form(one, name)).collect();
        let extra = extra(wanted.map(|(one, _)| one).filter(|one| offered(one)));
        let entries = self.entries(self.dialect, item, forms);
        self.write(item, entries, extra)
    }

    /// Writes the narinfo of a baked item for a snapshot, and lists the files that its URLs refer
    /// to.
    ///
    /// URLs are relative, and all of it is understood by stock clients. Returns `None` while a file
    /// of the item is not in Kubo yet.
    pub(super) fn in_snapshot(
        &self,
        record: &Record,
        compressors: &[Compressor],
    ) -> Option<Result<SnapshotItem, NarInfoError>> {
        let all: Vec<(&Representation, &'static str)> = if record.narinfo.is_some() {
            let all = record.representations.iter();
            all.map(|one| (one, one.compression.as_str())).collect()
        } else {
            let all = compressors.iter();
            all.filter_map(|one| record.of(*one).map(|found| (found, one.name())))
                .collect()
        };
        if all.is_empty() || (self.published_only && all.iter().any(|(one, _)| !one.published)) {
            return None;
        }
        let form = |&(one, name): &(&Representation, &'static str)| OfferedForm {
            method: one.compression,
            name,
            size: Some(one.file_size),
            hash: Some(one.file_hash),
            cid: None,
        };
        let forms = all.iter().map(form).collect();
        let item = &record.item;
        let extra = extra(all.iter().map(|(one, _)| *one));
        let narinfo = match &record.narinfo {
            Some(text) => NarInfo::parse(text.as_bytes())
                .and_then(|narinfo| self.rewrite(narinfo, item, forms, extra)),
            None => {
                let entries = self.entries(self.dialect, item, forms);
                self.write(item, entries, extra)
            }
        };
        let base = item.store_path.base_name();
        let file = |(one, name): &(&Representation, &str)| (self.nar_path.url(name, base), one.cid);
        Some(narinfo.map(|narinfo| SnapshotItem {
            hash_part: item.store_path.hash_part().to_owned(),
            narinfo,
            files: all.iter().map(file).collect(),
        }))
    }

    /// Writes the narinfo of an item that a binary cache has already compressed.
    pub(super) fn prepared(&self, item: &Item, prepared: &Prepared) -> Result<Bytes, NarInfoError> {
        let form = |file: &crate::store::PreparedFile| OfferedForm {
            method: file.entry.compression,
            name: file.entry.compression.as_str(),
            size: Some(file.size),
            hash: file.entry.file_hash,
            cid: None,
        };
        let forms = prepared.files.iter().map(form).collect();
        self.rewrite(prepared.narinfo.clone(), item, forms, Vec::new())
    }

    fn entries(&self, dialect: Dialect, item: &Item, forms: Vec<OfferedForm>) -> Vec<Entry> {
        let entry = |form: &OfferedForm, url: String| Entry {
            url,
            compression: form.method,
            file_size: form.size,
            file_hash: form.hash,
        };
        let base = item.store_path.base_name();
        let mut http = Vec::with_capacity(forms.len());
        let (mut gateways, mut ipfs) = (Vec::new(), Vec::new());
        for form in &forms {
            http.push(entry(form, self.nar_path.url(form.name, base)));
            let Some(cid) = form.cid else { continue };
            for gateway in &self.gateways {
                gateways.push(entry(form, format!("{gateway}/ipfs/{cid}")));
            }
            ipfs.push(entry(form, format!("ipfs://{cid}")));
        }
        if dialect == Dialect::Nix {
            // Nix uses the last entry: so the smallest comes last, or the preferred one if a size
            // is unknown. Nix doesn't know lzip.
            let all_known = http.iter().all(|one| one.file_size.is_some());
            let rank = |one: &Entry| {
                let size = one.file_size.filter(|_| all_known);
                (one.compression != Compression::Lzip, Reverse(size))
            };
            http.reverse();
            http.sort_by_key(rank);
        }
        order_entries(dialect, http, gateways, ipfs)
    }

    fn write(
        &self,
        item: &Item,
        entries: Vec<Entry>,
        extra: Vec<(&'static str, String)>,
    ) -> Result<Bytes, NarInfoError> {
        let draft = Draft {
            store_path: item.store_path.clone(),
            entries,
            nar_hash: item.nar_hash,
            nar_size: item.nar_size,
            references: item.references.clone(),
            deriver: item.deriver.clone(),
            // Guix 1.5.0 no longer writes it.
            system: None,
            ca: item.ca.clone(),
            signatures: item.signatures.clone(),
            extra,
        };
        let narinfo = match (self.dialect, &self.keys.guix) {
            (Dialect::Guix, Some((_, key))) => draft.sign_guix(key, &self.host)?,
            (Dialect::Guix, None) => draft.unsigned(Dialect::Guix)?,
            (Dialect::Nix, _) => draft.sign_nix(&self.keys.nix)?,
        };
        Ok(Bytes::from(narinfo.to_string()))
    }

    /// Points the entries of a binary cache's narinfo to this server. In Nix's dialect, adds our
    /// signatures to the existing ones.
    fn rewrite(
        &self,
        mut narinfo: NarInfo,
        item: &Item,
        forms: Vec<OfferedForm>,
        extra: Vec<(&'static str, String)>,
    ) -> Result<Bytes, NarInfoError> {
        let entries = self.entries(narinfo.dialect(), item, forms);
        if narinfo.dialect() == Dialect::Nix && !self.keys.nix.is_empty() {
            let draft = Draft {
                store_path: item.store_path.clone(),
                entries,
                nar_hash: narinfo.nar_hash(),
                nar_size: narinfo.nar_size(),
                references: narinfo.references().to_vec(),
                deriver: narinfo.deriver().map(str::to_owned),
                system: None,
                ca: narinfo.ca().map(str::to_owned),
                signatures: narinfo.signatures().to_vec(),
                extra,
            };
            return Ok(Bytes::from(draft.sign_nix(&self.keys.nix)?.to_string()));
        }
        narinfo.set_entries(entries);
        let mut text = narinfo.to_string();
        for (field, cid) in extra {
            // At the end, so that no signature covers it.
            text.push_str(&format!("{field}: {cid}\n"));
        }
        Ok(Bytes::from(text))
    }
}

/// Returns the extra fields that name what else is on IPFS: chunk index, small pieces, tree.
fn extra<'a>(
    offered: impl Iterator<Item = &'a Representation> + Clone,
) -> Vec<(&'static str, String)> {
    let index = offered.clone().find_map(|one| one.index);
    // The small pieces belong to the form that has the index.
    let small = offered.clone().find(|one| one.index.is_some());
    let small = small.and_then(|one| one.small);
    let tree = offered.clone().find_map(|one| one.tree);
    let fields = [
        (dedup::FIELD, index),
        (dedup::SMALL_FIELD, small),
        (dedup::TREE_FIELD, tree),
    ];
    fields
        .into_iter()
        .filter_map(|(field, cid)| Some((field, cid?.to_string())))
        .collect()
}

/// Returns the name of this machine, for Guix's signatures.
pub(super) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .filter(|c| c.is_ascii_graphic() && *c != ';')
        .collect();
    if name.is_empty() {
        return "localhost".to_owned();
    }
    name
}
