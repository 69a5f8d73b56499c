//! `/nar/…`: sends a NAR from blocks, from a binary cache's file, or compressed on the way.

use std::sync::Arc;

use http::{HeaderMap, Method};
use interplanar_core::narinfo::Compression;
use interplanar_core::store_path::StorePath;

use super::answers::{self, NotFoundPhrase};
use super::{Inner, files, live};
use crate::bake::{Baked, Compressor, Content, Representation};
use crate::net::server::{self, Response};
use crate::store::{Item, PreparedFile, SourceError};
use crate::task;

/// Where the bytes of a NAR come from.
enum NarSource {
    Baked(Arc<Baked>, Box<Representation>),
    Prepared(PreparedFile),
    Live(Item, Compressor),
    Missing,
}

impl Inner {
    pub(super) async fn nar(
        self: &Arc<Self>,
        request: &http::Request<()>,
        compression: Compression,
        whole: bool,
        base_name: &str,
    ) -> Response {
        let path = request.uri().path();
        let store_dir = self.baker.source().store_dir();
        let Ok(store_path) = StorePath::in_directory(store_dir, base_name) else {
            return answers::not_found(NotFoundPhrase::NotFound, path, None);
        };
        let inner = Arc::clone(self);
        let asked = store_path.clone();
        let found = task::blocking(("finding a NAR", &store_path), move || {
            inner.nar_source(&asked, compression, whole)
        })
        .await;
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return answers::failed(&error, path),
            Err(error) => return answers::failed(&error, path),
        };
        match found {
            NarSource::Baked(baked, one) => self.baked_nar(request.headers(), &baked, &one),
            NarSource::Prepared(file) => prepared(request.headers(), &file, path),
            NarSource::Live(item, compressor) => {
                self.live_nar(request.method(), item, compressor).await
            }
            NarSource::Missing => answers::not_found(NotFoundPhrase::NotFound, path, None),
        }
    }

    /// Selects the source of a NAR. Blocks.
    fn nar_source(
        &self,
        path: &StorePath,
        compression: Compression,
        whole: bool,
    ) -> Result<NarSource, SourceError> {
        let baked = self.baker.get(path.hash_part());
        if let Some(baked) = baked.filter(|baked| baked.record.item.store_path == *path) {
            let record = &baked.record;
            let one = if whole {
                record.whole(compression)
            } else {
                record.representation(compression)
            };
            if let Some(one) = one.cloned() {
                return Ok(NarSource::Baked(baked, Box::new(one)));
            }
        }
        let source = self.baker.source();
        let Some(item) = source.find_path(path)? else {
            return Ok(NarSource::Missing);
        };
        if let Some(prepared) = source.prepared(&item) {
            let mut files = prepared.files.into_iter();
            if let Some(file) = files.find(|file| file.entry.compression == compression) {
                return Ok(NarSource::Prepared(file));
            }
        }
        let requested = self.baker.requested().iter();
        let requested = requested.copied().find(|one| one.method() == compression);
        Ok(match requested.or_else(|| Compressor::of(compression)) {
            None => NarSource::Missing,
            Some(_) if self.cached && item.nar_size >= self.bypass_threshold => NarSource::Missing,
            // The item is being baked meanwhile, so a low level will do.
            Some(compressor) if self.cached => NarSource::Live(item, compressor.low()),
            Some(compressor) => NarSource::Live(item, compressor),
        })
    }

    fn baked_nar(&self, headers: &HeaderMap, baked: &Baked, one: &Representation) -> Response {
        let hash_part = baked.record.item.store_path.hash_part();
        // `guix publish` sends other headers for files in its cache.
        let (content_type, ttl) = if self.cached {
            (answers::FILE, self.ttl)
        } else {
            (answers::LIVE_NAR, None)
        };
        let response = answers::ranged(headers, content_type, one.file_size, |range| {
            let length = range.end.saturating_sub(range.start);
            let content = Content::new(&self.baker, hash_part, one.cid, range);
            server::from_blocking(content, Some(length))
        });
        answers::with_ttl(response, ttl)
    }

    async fn live_nar(&self, method: &Method, item: Item, compressor: Compressor) -> Response {
        let status = http::StatusCode::OK;
        if method == Method::HEAD {
            let plain = compressor.method() == Compression::None;
            let length = plain.then_some(item.nar_size);
            let nothing = futures_util::stream::empty();
            return server::stream(
                status,
                answers::LIVE_NAR,
                server::from_stream(nothing, length),
            );
        }
        // The semaphore is closed only with the server.
        let Ok(permit) = Arc::clone(&self.live).acquire_owned().await else {
            return server::full(http::StatusCode::SERVICE_UNAVAILABLE, answers::TEXT, "");
        };
        let source = Arc::clone(self.baker.source());
        let body = live::body(source, item, compressor, permit);
        server::stream(status, answers::LIVE_NAR, body)
    }
}

fn prepared(headers: &HeaderMap, file: &PreparedFile, path: &str) -> Response {
    match files::open(&file.path) {
        Some(open) => answers::ranged(headers, answers::FILE, file.size, |range| {
            files::body(open, range)
        }),
        None => answers::not_found(NotFoundPhrase::NotFound, path, None),
    }
}
