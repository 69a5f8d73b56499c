//! The proxy's counters, and their text for `/metrics` in the Prometheus format.

use crate::installed::Progress;
use crate::task;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start of the proxy.
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

/// A number that only increases.
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
    /// Returns the text for `/metrics`.
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
                "Narinfos from upstreams without a valid signature by a trusted key.",
                &self.narinfo_refused,
            ),
            ("nar_requests", "Requests for NARs.", &self.nar_requests),
            (
                "nar_complete",
                "NARs that were sent completely.",
                &self.nar_complete,
            ),
            (
                "nar_aborted",
                "NARs that were sent partly or not at all.",
                &self.nar_aborted,
            ),
            (
                "nar_bytes",
                "Bytes of NARs that were sent completely.",
                &self.nar_bytes,
            ),
            (
                "ipfs_bytes",
                "Bytes received over IPFS, including local blocks.",
                &self.ipfs_bytes,
            ),
            (
                "http_bytes",
                "Bytes received from upstreams over HTTP.",
                &self.http_bytes,
            ),
            (
                "rebuilt_bytes",
                "Bytes of NARs rebuilt from pieces, including fetched pieces.",
                &self.rebuilt_bytes,
            ),
            (
                "installed_bytes",
                "Bytes of rebuilt NARs that came from installed store items.",
                &self.installed_bytes,
            ),
            (
                "wrong_sources",
                "Sources whose content did not have the signed NarHash.",
                &self.wrong_sources,
            ),
            (
                "records_refused",
                "IPNS records rejected because they were forged, old or expired.",
                &self.records_refused,
            ),
        ];
        let panics = Counter(AtomicU64::new(task::panics()));
        let panics = (
            "panics",
            "Panics, which are bugs: the log has them.",
            &panics,
        );
        let mut text = String::new();
        for (name, help, counter) in table.into_iter().chain([panics]) {
            // Writing to a String can't fail.
            let _ = writeln!(
                text,
                "# HELP interplanar_proxy_{name}_total {help}\n# TYPE interplanar_proxy_{name}_total counter\n\
                 interplanar_proxy_{name}_total {}",
                counter.get()
            );
        }
        index
            .into_iter()
            .for_each(|index| write_index_metrics(&mut text, index));
        text
    }
}

/// Writes the metrics of the installed index.
fn write_index_metrics(text: &mut String, index: &Progress) {
    let table = [
        (
            "items",
            "gauge",
            "Installed items in the index.",
            &index.items,
        ),
        (
            "bytes",
            "gauge",
            "Size of the index in bytes.",
            &index.bytes,
        ),
        (
            "waiting",
            "gauge",
            "Installed items that are not indexed yet.",
            &index.waiting,
        ),
        (
            "cut_bytes_total",
            "counter",
            "Bytes of installed items that were read for indexing.",
            &index.cut,
        ),
        (
            "gone_total",
            "counter",
            "Items removed from the index because they are no longer installed.",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_counted() {
        let count = |text: &str| -> Option<u64> {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix("interplanar_proxy_panics_total "));
            value?.parse().ok()
        };
        let before = count(&Metrics::default().text(None)).unwrap();
        let failed = task::caught("testing", || panic!("a bug"));
        assert_eq!(failed, Err::<(), _>(task::WorkError::Panicked("testing")));
        assert!(count(&Metrics::default().text(None)).unwrap() > before);
    }
}
