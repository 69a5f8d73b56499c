//! Keeps the cache folder from growing for ever: now and then what nobody asks for any more goes.
//!
//! As in `guix publish`, `--ttl` lets items go that have left the store and were not asked for in that time; `--max-cache-size` also
//! those that are still there, the ones that were asked for longest ago first. What goes is baked anew when it is asked for.

use std::time::Duration;

use interplanar_core::cid::Cid;

use crate::bake::space::Policy;
use crate::bake::{BakeError, Baker};
use crate::kubo::Kubo;
use crate::net::server::Shutdown;

/// Least and longest time between two looks.
const EVERY: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Looks at once, and then as often as the policy makes sensible, until `shutdown`.
pub(super) async fn run(baker: Baker, kubo: Option<Kubo>, policy: Policy, shutdown: Shutdown) {
    let every = (policy.keep_for / 4).clamp(*EVERY.start(), *EVERY.end());
    loop {
        let (baker, kubo) = (baker.clone(), kubo.clone());
        let collecting =
            tokio::task::spawn_blocking(move || collect(&baker, kubo.as_ref(), policy));
        // A panic was logged by the runtime's hook.
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
            "what nobody asks for is gone from the cache"
        ),
        Err(BakeError::Stopped) => {}
        Err(error) => tracing::error!(%error, "the cache can't be tidied"),
    }
}

/// Unpins DAGs in Kubo; whether none of them is pinned now. Blocks; within a runtime's blocking thread.
pub(crate) fn unpin(kubo: Option<&Kubo>, pins: &[Cid]) -> bool {
    let Some(kubo) = kubo else {
        return false;
    };
    let runtime = tokio::runtime::Handle::current();
    pins.iter()
        .all(|cid| match runtime.block_on(kubo.pin_rm(cid)) {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%cid, %error, "Kubo doesn't unpin it");
                false
            }
        })
}
