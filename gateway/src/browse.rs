//! Answers for browsers: files, symlinks and directories.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap};
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::NodeType;

use crate::answer::ContentRequest;
use crate::content::{self, Plan, respond};
use crate::dag::{Dag, Node, decode};
use crate::directory::Listing;
use crate::file::FileBody;
use crate::format::Format;
use crate::headers::{self, LISTING_CACHE, set, set_disposition, set_immutable, set_roots};
use crate::mime;
use crate::redirects::redirect;
use crate::refusal::Refusal;
use crate::resolve::{Resolved, child};
use crate::stop::Stop;
use crate::{Answer, Body};

impl ContentRequest<'_> {
    /// Answers a request without a format.
    pub(crate) fn default(&self, resolved: &Resolved, out: &mut HeaderMap) -> Result<Answer, Stop> {
        let data = self.dag.load(&resolved.cid)?;
        if Format::of_codec(resolved.cid.codec()).is_some() {
            set_roots(out, resolved);
            return self.document(resolved, data, out);
        }
        let node = decode(&resolved.cid, &data)?;
        set_roots(out, resolved);
        match kind(&node) {
            Some(NodeType::Directory | NodeType::HamtShard) => self.directory(resolved, out),
            Some(NodeType::Symlink) => self.symlink(resolved, &node, out),
            Some(NodeType::File | NodeType::Raw) => {
                self.file(&resolved.cid, &resolved.cid, self.path.name(), None, out)
            }
            Some(NodeType::Metadata) | None => Err(Refusal::malformed("UnixFS node").into()),
        }
    }

    fn symlink(
        &self,
        resolved: &Resolved,
        node: &Node,
        out: &mut HeaderMap,
    ) -> Result<Answer, Stop> {
        let Node::Pb(node) = node else {
            return Err(Refusal::malformed("symlink").into());
        };
        let target = node
            .unixfs
            .as_ref()
            .and_then(|unixfs| unixfs.data.clone())
            .unwrap_or_default();
        set_immutable(out, &self.etag(&resolved.cid, Format::Default));
        self.set_inline_name(out);
        set(out, CONTENT_TYPE, "inode/symlink");
        self.bytes(target, out)
    }

    /// Sets the file name from `?filename=`. With `?download=true` the browser saves the file.
    fn set_inline_name(&self, out: &mut HeaderMap) {
        if let Some(name) = self.query.get("filename") {
            let disposition = if self.downloads() {
                "attachment"
            } else {
                "inline"
            };
            set_disposition(out, disposition, name);
        }
    }

    /// Answers with a file. The ETag names `tagged`: the file, or the directory of an `index.html`.
    fn file(
        &self,
        cid: &Cid,
        tagged: &Cid,
        name: Option<String>,
        known_type: Option<&'static str>,
        out: &mut HeaderMap,
    ) -> Result<Answer, Stop> {
        let size = file_size(&self.dag.node(cid)?, self.dag, cid)?;
        set_immutable(out, &self.etag(tagged, Format::Default));
        self.set_inline_name(out);
        let name = self.query.get("filename").map(str::to_owned).or(name);
        let plan = self.plan(out, size)?;
        let by_name = name.as_deref().and_then(mime::by_name);
        let media_type = match (by_name.or(known_type), &plan) {
            (Some(media_type), _) => media_type,
            // The source may have the blocks of a part but not the first ones.
            (None, Plan::Part(part)) if part.start > 0 => match self.beginning(cid, size) {
                Ok(data) => mime::by_content(&data),
                Err(Stop::Refused(_)) => "application/octet-stream",
                Err(pending) => return Err(pending),
            },
            (None, _) => mime::by_content(&self.beginning(cid, size)?),
        };
        set(out, CONTENT_TYPE, media_type);
        Ok(respond(out.clone(), size, plan, |part| {
            Body::File(FileBody::new(self.dag.clone(), *cid, part))
        }))
    }

    /// Reads the first bytes of a file, to detect its type.
    fn beginning(&self, cid: &Cid, size: u64) -> Result<Vec<u8>, Stop> {
        let range = 0..size.min(mime::SNIFF_BYTES as u64);
        let mut beginning = Vec::with_capacity(mime::SNIFF_BYTES);
        let mut content = FileBody::new(self.dag.clone(), *cid, range);
        while let Some(piece) = content.next() {
            match piece {
                Ok(piece) => beginning.extend_from_slice(&piece),
                Err(Stop::Refused(_)) => {
                    let status = StatusCode::INTERNAL_SERVER_ERROR;
                    return Err(Refusal::new(status, "can't read the content").into());
                }
                Err(pending) => return Err(pending),
            }
        }
        Ok(beginning)
    }

    fn directory(&self, resolved: &Resolved, out: &mut HeaderMap) -> Result<Answer, Stop> {
        let url = self.request.uri();
        if !url.path().ends_with('/') && self.query.get("go-get") != Some("1") {
            let query = url
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            let target = format!("{}/{query}", self.path);
            return Ok(redirect(
                out.clone(),
                StatusCode::MOVED_PERMANENTLY,
                &target,
            ));
        }
        if let Some(index) = self.index(resolved)? {
            let name = Some("index.html".to_owned());
            return self.file(&index, &resolved.cid, name, Some("text/html"), out);
        }
        set(out, CONTENT_TYPE, "text/html");
        set(out, ETAG, &headers::listing_etag(&resolved.cid));
        set(out, CACHE_CONTROL, LISTING_CACHE);
        let listing = Listing::new(self.dag.clone(), resolved.cid, &self.path);
        Ok(content::build(
            StatusCode::OK,
            out.clone(),
            Body::Listing(listing),
        ))
    }

    /// Returns the `index.html` of a directory, if the source has it.
    fn index(&self, resolved: &Resolved) -> Result<Option<Cid>, Stop> {
        let index = match child(self.dag, &resolved.cid, b"index.html") {
            Ok(index) => index,
            Err(Stop::Refused(refusal)) if refusal.status == StatusCode::NOT_FOUND => None,
            Err(stop) => return Err(stop),
        };
        let Some(index) = index else {
            return Ok(None);
        };
        let Some(data) = self.dag.find(&index)? else {
            return Ok(None);
        };
        match kind(&decode(&index, &data)?) {
            Some(NodeType::File | NodeType::Raw) => Ok(Some(index)),
            _ => Err(
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "index.html is not a file").into(),
            ),
        }
    }
}

/// Returns the UnixFS kind of a node.
fn kind(node: &Node) -> Option<NodeType> {
    match node {
        Node::Raw => Some(NodeType::Raw),
        Node::Pb(node) => node.unixfs.as_ref().map(|unixfs| unixfs.kind),
        Node::Document(_) => None,
    }
}

fn file_size(node: &Node, dag: &Dag, cid: &Cid) -> Result<u64, Stop> {
    match node {
        Node::Raw => Ok(dag.load(cid)?.len() as u64),
        Node::Pb(node) => {
            let unixfs = node
                .unixfs
                .as_ref()
                .ok_or_else(|| Refusal::malformed("file"))?;
            let own = unixfs.data.as_ref().map_or(0, Bytes::len);
            let summed = || {
                let sizes = unixfs.blocksizes.iter();
                sizes.fold(own as u64, |sum, size| sum.saturating_add(*size))
            };
            Ok(unixfs.filesize.unwrap_or_else(summed))
        }
        Node::Document(_) => Err(Refusal::malformed("file").into()),
    }
}
