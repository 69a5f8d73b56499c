//! Blocks out of one CAR, where a walk needs many: a listing of a large directory, or a CAR that somebody asked for.
//!
//! The CAR is read as far as blocks are needed, so it costs no memory; each block is hashed. Where it ends, lies or leaves one out,
//! blocks are asked for one by one.

use super::Task;
use super::gateways::warn;
use crate::block_cache::BlockCache;
use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car::{Item, Reader};
use interplanar_core::cid::Cid;
use interplanar_core::fetch::ACCEPT_CAR;
use interplanar_wasm::driver::{Opened, now_ms, open};

/// Blocks in a CAR before the one that is needed; more are not what was asked for.
const MAX_BEFORE: usize = 4096;

/// See the module.
pub(super) enum Feed {
    /// The path and query to ask a gateway by.
    Asked(String),
    Open(Box<Car>),
    Over,
}

pub(super) struct Car {
    gateway: String,
    answer: Opened,
    reader: Reader,
    input: Bytes,
}

impl Feed {
    /// A feed for a walk; `None` where a CAR is of no use.
    pub(super) fn new(path: Option<String>) -> Self {
        path.map_or(Self::Over, Self::Asked)
    }

    /// Reads until a block is on the block_cache; whether it is.
    pub(super) async fn bring(&mut self, task: &Task, cid: &Cid, block_cache: &BlockCache) -> bool {
        if let Self::Asked(path) = self {
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
                Err(why) => {
                    warn(&format!("{}: {why}", car.gateway));
                    break;
                }
            }
        }
        *self = Self::Over;
        false
    }

    async fn open(task: &Task, path: &str) -> Self {
        let reports = task.pool().await.borrow().reports(now_ms() as u64);
        for report in reports
            .iter()
            .filter(|report| report.backoff_until_ms.is_none())
        {
            let url = format!("{}{path}", report.url);
            let Ok(answer) = open(&task.client, &url, Some(ACCEPT_CAR)).await else {
                continue;
            };
            let car = answer
                .header("Content-Type")
                .is_some_and(|told| told.starts_with("application/vnd.ipld.car"));
            if answer.status() == 200 && car {
                return Self::Open(Box::new(Car {
                    gateway: report.url.clone(),
                    answer,
                    reader: Reader::new(),
                    input: Bytes::new(),
                }));
            }
        }
        Self::Over
    }
}

impl Car {
    /// The next block, verified.
    async fn next(&mut self) -> Result<Option<Block>, String> {
        loop {
            match self.reader.push(&mut self.input) {
                Err(error) => return Err(error.to_string()),
                Ok(Some(Item::Header { .. })) => {}
                Ok(Some(Item::Block { cid, data })) => {
                    let block = Block::verify(cid, data);
                    return block.map(Some).map_err(|error| error.to_string());
                }
                Ok(None) => match self.answer.next().await {
                    Ok(Some(piece)) => self.input = piece,
                    Ok(None) => return Ok(None),
                    Err(error) => return Err(error.to_string()),
                },
            }
        }
    }
}
