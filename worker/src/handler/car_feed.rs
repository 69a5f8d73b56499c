//! Reads blocks from one CAR for walks that need many: a list of a large directory, or a CAR for a
//! client.
//!
//! The CAR is read only as far as blocks are needed, so it uses little memory. Each block is
//! verified. If the CAR ends early, contains wrong data or lacks a block, blocks are fetched one by
//! one.

use super::Task;
use super::gateways::warn;
use crate::block_cache::BlockCache;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car::{Item, Reader};
use interplanar_core::cid::Cid;
use interplanar_core::fetch::ACCEPT_CAR;
use interplanar_wasm::driver::{OpenedResponse, now_ms, open};

/// Most blocks in a CAR before the needed one. With more, the CAR isn't the requested one.
const MAX_BEFORE: usize = 4096;

/// A CAR that supplies blocks to a walk.
pub(super) enum CarFeed {
    /// Path and query of the request to a gateway.
    NotRequested(String),
    Open(Box<OpenCar>),
    Ended,
}

pub(super) struct OpenCar {
    gateway: String,
    response: OpenedResponse,
    reader: Reader,
    input: Bytes,
}

impl CarFeed {
    /// Creates a feed for a walk; `None` if a CAR doesn't help.
    pub(super) fn new(path: Option<String>) -> Self {
        path.map_or(Self::Ended, Self::NotRequested)
    }

    /// Reads until the block is in the block cache. Returns whether it is.
    pub(super) async fn read_until(
        &mut self,
        task: &Task,
        cid: &Cid,
        block_cache: &BlockCache,
    ) -> bool {
        if let Self::NotRequested(path) = self {
            let path = std::mem::take(path);
            *self = Self::open(task, &path).await;
        }
        let Self::Open(car) = self else {
            return false;
        };
        for _ in 0..MAX_BEFORE {
            match car.next().await {
                Ok(Some(block)) => {
                    let (found, data) = block.into_parts();
                    block_cache.put(found, Some(data));
                    if found == *cid {
                        return true;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    warn(&format!("{}: {error}", car.gateway));
                    break;
                }
            }
        }
        *self = Self::Ended;
        false
    }

    async fn open(task: &Task, path: &str) -> Self {
        let reports = task.pool().await.borrow().reports(now_ms() as u64);
        for report in reports
            .iter()
            .filter(|report| report.backoff_until_ms.is_none())
        {
            let url = format!("{}{path}", report.url);
            let Ok(response) = open(&task.client, &url, Some(ACCEPT_CAR)).await else {
                continue;
            };
            let car = response
                .header("Content-Type")
                .is_some_and(|media_type| media_type.starts_with("application/vnd.ipld.car"));
            if response.status() == 200 && car {
                return Self::Open(Box::new(OpenCar {
                    gateway: report.url.clone(),
                    response,
                    reader: Reader::new(),
                    input: Bytes::new(),
                }));
            }
        }
        Self::Ended
    }
}

impl OpenCar {
    /// Returns the next block, verified.
    async fn next(&mut self) -> Result<Option<Block>, String> {
        loop {
            match self.reader.push(&mut self.input) {
                Err(error) => return Err(error.to_string()),
                Ok(Some(Item::Header { .. })) => {}
                Ok(Some(Item::Block { cid, data })) => {
                    let block = Block::verify(cid, data);
                    return block.map(Some).map_err(|error| error.to_string());
                }
                Ok(None) => match self.response.next().await {
                    Ok(Some(chunk)) => self.input = chunk,
                    Ok(None) => return Ok(None),
                    Err(error) => return Err(error.to_string()),
                },
            }
        }
    }
}
