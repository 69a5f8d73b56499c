//! `/<hash part>.ls`: the list of files in a NAR, from the NAR itself after it was verified.

use super::narinfo::unreachable_upstreams;
use super::{Task, allow_pages, not_found};
use crate::page::Problem;
use crate::reply::Reply;
use futures_util::stream::StreamExt as _;
use http::StatusCode;
use interplanar_core::install::{Answer, is_hash_part};
use interplanar_core::nar::{Listing, Parser};

impl Task {
    pub(super) async fn listing(&self, hash_part: &str) -> Result<Reply, Problem> {
        if !is_hash_part(hash_part) {
            return Err(not_found(hash_part));
        }
        let known = match self.lookup(hash_part).await.0 {
            Answer::Found(known) => known,
            Answer::Absent => return Err(not_found(hash_part)),
            Answer::Unreachable => return Err(unreachable_upstreams()),
        };
        let bad_gateway =
            |detail: String| Problem::new(StatusCode::BAD_GATEWAY, "Can't list this item", detail);
        let mut chunks = self.open_nar(known).await?;
        let (mut parser, mut listing) = (Parser::new(), Listing::new());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(bad_gateway)?;
            let mut input = chunk.as_ref();
            while let Some(event) = parser
                .push(&mut input)
                .map_err(|error| bad_gateway(error.to_string()))?
            {
                listing
                    .push(event)
                    .map_err(|error| bad_gateway(error.to_string()))?;
            }
        }
        parser
            .finish()
            .map_err(|error| bad_gateway(error.to_string()))?;
        let mut reply = Reply::new(StatusCode::OK, "application/json", listing.to_json());
        allow_pages(&mut reply.headers);
        Ok(reply)
    }
}
