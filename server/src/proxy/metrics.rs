//! Counters, and `/metrics` in the text format of Prometheus.

use crate::installed::Progress;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the proxy counts since its start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) narinfo_requests: Counter,
    pub(super) narinfo_cached: Counter,
    pub(super) narinfo_absent: Counter,
    pub(super) narinfo_refused: Counter,
    pub(super) nar_requests: Counter,
    pub(super) nar_complete: Counter,
    pub(super) nar_aborted: Counter,
    pub(super) nar_bytes: Counter,
    pub(super) ipfs_bytes: Counter,
    pub(super) http_bytes: Counter,
    pub(super) installed_bytes: Counter,
    pub(super) rebuilt_bytes: Counter,
    pub(super) wrong_sources: Counter,
    pub(super) records_refused: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// The text that `/metrics` answers.
    pub(super) fn text(&self, index: Option<&Progress>) -> String {
        let table = [
            (
                "narinfo_requests",
                "Requests for narinfos.",
                &self.narinfo_requests,
            ),
            (
                "narinfo_cached",
                "Narinfo requests answered from memory.",
                &self.narinfo_cached,
            ),
            (
                "narinfo_absent",
                "Narinfo requests answered with 404.",
                &self.narinfo_absent,
            ),
            (
                "narinfo_refused",
                "Narinfos of upstreams without a valid signature of a trusted key.",
                &self.narinfo_refused,
            ),
            ("nar_requests", "Requests for NARs.", &self.nar_requests),
            ("nar_complete", "NARs sent whole.", &self.nar_complete),
            (
                "nar_aborted",
                "NARs that could not be sent, or not whole.",
                &self.nar_aborted,
            ),
            (
                "nar_bytes",
                "Verified NAR bytes of complete responses.",
                &self.nar_bytes,
            ),
            (
                "ipfs_bytes",
                "Bytes of content from IPFS, local blocks included.",
                &self.ipfs_bytes,
            ),
            (
                "http_bytes",
                "Bytes of content from upstreams over HTTP.",
                &self.http_bytes,
            ),
            (
                "rebuilt_bytes",
                "Bytes of NARs that were rebuilt from pieces, fetched ones included.",
                &self.rebuilt_bytes,
            ),
            (
                "installed_bytes",
                "Bytes of them that installed store items had.",
                &self.installed_bytes,
            ),
            (
                "wrong_sources",
                "Sources whose content was not what was signed.",
                &self.wrong_sources,
            ),
            (
                "records_refused",
                "IPNS records that were forged, old or expired.",
                &self.records_refused,
            ),
        ];
        let mut text = String::new();
        for (name, help, counter) in table {
            // Writing to a String can't fail.
            let _ = writeln!(
                text,
                "# HELP interplanar_proxy_{name}_total {help}\n# TYPE interplanar_proxy_{name}_total counter\n\
                 interplanar_proxy_{name}_total {}",
                counter.get()
            );
        }
        index.into_iter().for_each(|index| say(&mut text, index));
        text
    }
}

/// The numbers of the index of installed items.
fn say(text: &mut String, index: &Progress) {
    let table = [
        (
            "items",
            "gauge",
            "Installed items in the index.",
            &index.items,
        ),
        ("bytes", "gauge", "Bytes of the index.", &index.bytes),
        (
            "waiting",
            "gauge",
            "Installed items that are still to be indexed.",
            &index.waiting,
        ),
        (
            "cut_bytes_total",
            "counter",
            "Bytes of installed items that were indexed.",
            &index.cut,
        ),
        (
            "gone_total",
            "counter",
            "Items that left the index, as they are not installed any more.",
            &index.gone,
        ),
    ];
    for (name, kind, help, number) in table {
        let _ = writeln!(
            text,
            "# HELP interplanar_proxy_index_{name} {help}\n# TYPE interplanar_proxy_index_{name} {kind}\n\
             interplanar_proxy_index_{name} {}",
            number.load(Ordering::Relaxed)
        );
    }
}
