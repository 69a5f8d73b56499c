//! Store items: downloads their NARs through the proxy's engine.

use super::Bar;
use crate::cli::Failure;
use crate::proxy::{Available, Proxy};
use anyhow::anyhow;
use http_body_util::BodyExt as _;
use interplanar_core::nar::{Event, Listing, Parser};
use tokio::task::block_in_place;

/// Passes the plain NAR of an item to `consume`, piece by piece. The data may be used only after this
/// function returns `Ok`: NarHash is checked before the last piece is passed. No piece has an error
/// of the grammar.
///
/// # Errors
/// Exit code 3 when no source has the right NAR, or the signed NAR is malformed; errors of
/// `consume`.
pub async fn nar(
    proxy: &Proxy,
    item: &Available,
    consume: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let passed = pass(proxy, item, consume).await;
    // The command deletes its temporary folder next.
    proxy.settle().await;
    passed
}

async fn pass(
    proxy: &Proxy,
    item: &Available,
    mut consume: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let name = item.signed().store_path().name().to_owned();
    let wrong = || {
        Failure::verification(match proxy.malformed(item) {
            Some(error) => anyhow!(
                "the NAR of {name} has its signed hash, but it is malformed: {error}; \
                 tell the cache's operator"
            ),
            None => anyhow!("no source has the NAR of {name} with its signed hash; -v shows why"),
        })
    };
    let bar = Bar::new(&name, Some(item.signed().nar_size()));
    let mut body = proxy.open_nar(item).await.ok_or_else(wrong)?;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| wrong())?.into_data() {
            block_in_place(|| consume(&data))?;
            bar.add(data.len());
        }
    }
    Ok(())
}

/// Lists the files of an item.
///
/// # Errors
/// See [`nar`].
pub async fn listing(proxy: &Proxy, item: &Available) -> Result<Listing, Failure> {
    let (mut parser, mut listing) = (Parser::new(), Listing::new());
    nar(proxy, item, |mut data| {
        while let Some(event) = parser.push(&mut data)? {
            listing.push(event)?;
        }
        Ok(())
    })
    .await?;
    Ok(listing)
}

/// Passes the content of one file inside an item to `consume`. Returns whether the file exists.
///
/// # Errors
/// See [`nar`].
pub async fn file(
    proxy: &Proxy,
    item: &Available,
    path: &str,
    mut consume: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> Result<bool, Failure> {
    let wanted: Vec<u8> = path
        .split('/')
        .filter(|name| !name.is_empty())
        .collect::<Vec<_>>()
        .join("/")
        .into_bytes();
    let mut parser = Parser::new();
    let mut restore = interplanar_core::nar::Restore::new();
    let (mut inside, mut found) = (false, false);
    nar(proxy, item, |mut data| {
        while let Some(event) = parser.push(&mut data)? {
            if let Event::FileData(content) = event {
                if inside {
                    consume(content)?;
                }
                continue;
            }
            if let Some(interplanar_core::nar::RestoreStep::CreateFile { path, .. }) =
                restore.step(event)
            {
                inside = path == wanted;
                found |= inside;
            }
        }
        Ok(())
    })
    .await?;
    Ok(found)
}
