//! The counters of `publish`, in Prometheus' text format.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use super::snapshot::SnapshotCounters;
use crate::bake::{Counts, Totals, UploadState};
use crate::task;

/// The kinds of requests that are counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    NarInfo,
    Nar,
    Gateway,
    Other,
}

const KINDS: [(RequestKind, &str); 4] = [
    (RequestKind::NarInfo, "narinfo"),
    (RequestKind::Nar, "nar"),
    (RequestKind::Gateway, "ipfs"),
    (RequestKind::Other, "other"),
];

/// Counts requests since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// For each kind: requests that found something, and those that didn't.
    requests: [[AtomicU64; 2]; KINDS.len()],
}

impl Metrics {
    pub(super) fn count(&self, kind: RequestKind, found: bool) {
        let index = KINDS.iter().position(|(other, _)| *other == kind);
        if let Some([yes, no]) = index.and_then(|index| self.requests.get(index)) {
            if found { yes } else { no }.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn text(
        &self,
        counts: Counts,
        space: Option<(Totals, u64)>,
        upload: Option<&UploadState>,
        snapshots: Option<&SnapshotCounters>,
    ) -> String {
        let mut text = String::from("# TYPE interplanar_requests_total counter\n");
        let mut line = |name: &str, value: u64| {
            // Writing into a String doesn't fail.
            let _ = writeln!(text, "{name} {value}");
        };
        for ((_, kind), [found, missed]) in KINDS.iter().zip(&self.requests) {
            for (counter, result) in [(found, "found"), (missed, "missed")] {
                let name =
                    format!("interplanar_requests_total{{kind=\"{kind}\",result=\"{result}\"}}");
                line(&name, counter.load(Ordering::Relaxed));
            }
        }
        let mut metric = |name: &str, kind: &str, value: u64| {
            line(
                &format!("# TYPE interplanar_{name} {kind}\ninterplanar_{name}"),
                value,
            );
        };
        metric("baked_total", "counter", counts.baked);
        metric("bakes_failed_total", "counter", counts.failed);
        metric("publish_panics_total", "counter", task::panics());
        metric("bakes_running", "gauge", counts.running as u64);
        metric("bakes_queued", "gauge", counts.queued as u64);
        if let Some((totals, disk)) = space {
            metric("items", "gauge", totals.items);
            metric("nar_bytes", "gauge", totals.nar_bytes);
            metric("offered_bytes", "gauge", totals.offered_bytes);
            metric("disk_bytes", "gauge", disk);
        }
        if let Some(upload) = upload {
            metric("kubo_up", "gauge", u64::from(upload.is_up()));
            metric("kubo_published_total", "counter", upload.published());
            metric("kubo_waiting", "gauge", upload.waiting());
        }
        if let Some(snapshots) = snapshots {
            let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let (made, published) = (value(&snapshots.made), value(&snapshots.published));
            metric("snapshots_total", "counter", made);
            metric("snapshots_published_total", "counter", published);
            metric(
                "snapshots_failed_total",
                "counter",
                value(&snapshots.failed),
            );
            metric(
                "snapshot_published_seconds",
                "gauge",
                value(&snapshots.last),
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_kind() {
        let metrics = Metrics::default();
        metrics.count(RequestKind::Nar, true);
        metrics.count(RequestKind::Nar, true);
        metrics.count(RequestKind::NarInfo, false);
        let text = metrics.text(Counts::default(), None, None, None);
        assert!(text.contains("interplanar_requests_total{kind=\"nar\",result=\"found\"} 2\n"));
        assert!(text.contains("{kind=\"narinfo\",result=\"missed\"} 1\n"));
        assert!(
            text.contains("# TYPE interplanar_baked_total counter\ninterplanar_baked_total 0\n")
        );
        assert!(text.contains("# TYPE interplanar_publish_panics_total counter\n"));
        // Values that are not known are left out, not reported as 0.
        assert!(!text.contains("kubo") && !text.contains("bytes"));
    }
}
