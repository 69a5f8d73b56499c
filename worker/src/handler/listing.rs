//! `/<hash part>.ls`: the tree of a NAR, made from the NAR itself once it is verified.

use super::narinfo::unreachable_upstreams;
use super::{Task, not_found, shared_with_pages};
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
        let bad =
            |detail: String| Problem::new(StatusCode::BAD_GATEWAY, "This can't be listed", detail);
        let mut pieces = self.open_nar(known).await?;
        let (mut parser, mut listing) = (Parser::new(), Listing::new());
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(bad)?;
            let mut input = piece.as_ref();
            while let Some(event) = parser
                .push(&mut input)
                .map_err(|error| bad(error.to_string()))?
            {
                listing
                    .push(event)
                    .map_err(|error| bad(error.to_string()))?;
            }
        }
        parser.finish().map_err(|error| bad(error.to_string()))?;
        let mut reply = Reply::new(StatusCode::OK, "application/json", listing.to_json());
        shared_with_pages(&mut reply.headers);
        Ok(reply)
    }
}
