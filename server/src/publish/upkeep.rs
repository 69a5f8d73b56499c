//! Limits the size of the cache folder: deletes items that nobody requests, from time to time.
//!
//! As in `guix publish`, `--ttl` deletes items that have left the store and were not requested for
//! that time. `--max-cache-size` also deletes items that are still in the store, the least recently
//! requested first. A deleted item is baked again when it is requested.

use std::time::Duration;

use interplanar_core::cid::Cid;

use crate::bake::space::Policy;
use crate::bake::{BakeError, Baker};
use crate::kubo::Kubo;
use crate::net::server::Shutdown;
use crate::task;

/// The shortest and the longest time between two passes.
const EVERY: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Deletes at once, and then as often as the policy needs, until `shutdown`.
pub(super) async fn run(baker: Baker, kubo: Option<Kubo>, policy: Policy, shutdown: Shutdown) {
    let every = (policy.keep_for / 4).clamp(*EVERY.start(), *EVERY.end());
    loop {
        let (baker, kubo) = (baker.clone(), kubo.clone());
        let collecting = task::blocking("deleting unused items", move || {
            collect(&baker, kubo.as_ref(), policy)
        });
        // A panic was logged. The next pass tries again.
        let _ = collecting.await;
        if shutdown
            .run_until_cancelled(tokio::time::sleep(every))
            .await
            .is_none()
        {
            return;
        }
    }
}

fn collect(baker: &Baker, kubo: Option<&Kubo>, policy: Policy) {
    match baker.collect(&policy, &mut |pins| unpin(kubo, pins)) {
        Ok(done) if done.items.is_empty() && done.pinned.is_empty() => {}
        Ok(done) => tracing::info!(
            items = done.items.len(),
            blocks = done.blocks,
            bytes = done.bytes,
            still_pinned = done.pinned.len(),
            "deleted unused items from the cache folder"
        ),
        Err(BakeError::Stopped) => {}
        Err(error) => tracing::error!(%error, "can't delete unused items from the cache folder"),
    }
}

/// Unpins DAGs in Kubo. Returns whether none of them is pinned now. Blocks; call it from a
/// runtime's blocking thread.
pub(crate) fn unpin(kubo: Option<&Kubo>, pins: &[Cid]) -> bool {
    let Some(kubo) = kubo else {
        return false;
    };
    let runtime = tokio::runtime::Handle::current();
    pins.iter()
        .all(|cid| match runtime.block_on(kubo.pin_rm(cid)) {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%cid, %error, "can't unpin the root in Kubo");
                false
            }
        })
}
