//! From a request to its answer.

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LOCATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::Kind;

use super::car::CarStream;
use super::car_query::CarQuery;
use super::content::{self, Plan, check_range, plan, respond, tag};
use super::dag::{Dag, Node};
use super::directory::Listing;
use super::early::{early, redirect};
use super::etag::{Match, weak};
use super::file;
use super::format::{Format, Wanted};
use super::headers::{
    self, IMMUTABLE, LISTING, X_IPFS_PATH, set, set_disposition, set_immutable, set_roots,
};
use super::mime;
use super::path::ContentPath;
use super::query::Query;
use super::refusal::Refusal;
use super::resolve::{Lost, Resolved, child, resolve};
use crate::net::server::{Request, Response, empty, from_blocking, whole};

/// A request on its way, and the headers of its answer so far.
struct Ask<'a> {
    dag: &'a Dag,
    request: &'a Request,
    query: Query,
    path: ContentPath,
    wanted: Wanted,
}

/// Answers a request. Blocks.
pub(super) fn answer(dag: &Dag, request: &Request) -> Response {
    let mut headers = headers::common();
    match begin(dag, request, &mut headers) {
        Ok(response) => response,
        Err(refusal) => refusal.response(headers),
    }
}

fn begin(dag: &Dag, request: &Request, out: &mut HeaderMap) -> Result<Response, Refusal> {
    let query = Query::parse(request.uri().query());
    if let Some(response) = early(request, &query, out)? {
        return Ok(response);
    }
    let path = ContentPath::parse(request.uri().path())?;
    if let Some(response) = only_if_cached(dag, request, &path, out)? {
        return Ok(response);
    }
    let wanted = Wanted::parse(&query, request.headers())?;
    if let Some(value) = path.header() {
        out.insert(X_IPFS_PATH, value);
    }
    if let Some(location) = wanted.location(request.uri().path(), &query) {
        set(out, CONTENT_LOCATION, &location);
    }
    let ask = Ask {
        dag,
        request,
        query,
        path,
        wanted,
    };
    match ask.wanted.format {
        Format::Car => return ask.car(out),
        Format::Unsupported => return Err(Refusal::bad_request("unsupported response format")),
        Format::Default | Format::Json | Format::Cbor if request.method() == Method::GET => {
            check_range(request.headers())?;
        }
        _ => {}
    }
    let resolved = resolve(dag, &ask.path)?;
    if let Some(response) = ask.not_modified(&resolved, out) {
        return Ok(response);
    }
    match ask.wanted.format {
        Format::Default | Format::Json | Format::Cbor => ask.default(&resolved, out),
        Format::Raw => ask.raw(&resolved, out),
        _ => {
            let data = dag.load(&resolved.cid)?;
            set_roots(out, &resolved);
            ask.document(&resolved, data, out)
        }
    }
}

/// `Cache-Control: only-if-cached`: 412 for what isn't here; for `HEAD` that is all there is to say.
fn only_if_cached(
    dag: &Dag,
    request: &Request,
    path: &ContentPath,
    out: &HeaderMap,
) -> Result<Option<Response>, Refusal> {
    if request
        .headers()
        .get(CACHE_CONTROL)
        .is_none_or(|value| value != "only-if-cached")
    {
        return Ok(None);
    }
    let here = match resolve(dag, path) {
        Ok(resolved) => dag.has(&resolved.cid)?,
        Err(_) => false,
    };
    let head = request.method() == Method::HEAD;
    if !here && !head {
        return Err(Refusal::new(
            StatusCode::PRECONDITION_FAILED,
            "not in the local blocks",
        ));
    }
    let status = if here {
        StatusCode::OK
    } else {
        StatusCode::PRECONDITION_FAILED
    };
    Ok(head.then(|| content::with(status, out.clone(), empty())))
}

impl Ask<'_> {
    fn etag(&self, cid: &Cid, format: Format) -> String {
        let format = match format {
            Format::Default => Format::of_codec(cid.codec()).unwrap_or(Format::Default),
            format => format,
        };
        format!("\"{cid}{}\"", format.suffix())
    }

    /// 304 if the client has what a path leads to, as content or as a listing.
    fn not_modified(&self, resolved: &Resolved, out: &HeaderMap) -> Option<Response> {
        let content = self.etag(&resolved.cid, self.wanted.format);
        let listing = headers::listing_etag(&resolved.cid);
        for (etag, keep) in [(content, IMMUTABLE), (listing, LISTING)] {
            if weak(self.request.headers(), IF_NONE_MATCH, &etag) == Match::Yes {
                let mut headers = out.clone();
                set(&mut headers, ETAG, &etag);
                set(&mut headers, CACHE_CONTROL, keep);
                return Some(content::with(StatusCode::NOT_MODIFIED, headers, empty()));
            }
        }
        None
    }

    /// The bytes of a block, with conditions and ranges; a range that is none is a 400.
    fn block(&self, data: Bytes, out: &HeaderMap) -> Result<Response, Refusal> {
        check_range(self.request.headers())?;
        self.bytes(data, out)
    }

    /// Bytes at hand, with conditions and ranges.
    fn bytes(&self, data: Bytes, out: &HeaderMap) -> Result<Response, Refusal> {
        let size = data.len() as u64;
        let plan = self.plan(out, size)?;
        // The length of a block fits into memory.
        Ok(respond(out.clone(), size, plan, |part| {
            whole(data.slice(part.start as usize..part.end as usize))
        }))
    }

    fn plan(&self, out: &HeaderMap, size: u64) -> Result<Plan, Refusal> {
        plan(self.request.headers(), &tag(out), size)
    }

    fn raw(&self, resolved: &Resolved, out: &mut HeaderMap) -> Result<Response, Refusal> {
        let data = self.dag.load(&resolved.cid)?;
        set_roots(out, resolved);
        let name = self.file_name(|| format!("{}.bin", resolved.cid));
        set_disposition(out, "attachment", &name);
        set_immutable(out, &self.etag(&resolved.cid, Format::Raw));
        set(out, CONTENT_TYPE, Format::Raw.media_type());
        out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.block(data, out)
    }

    fn file_name(&self, otherwise: impl FnOnce() -> String) -> String {
        self.query
            .get("filename")
            .map_or_else(otherwise, str::to_owned)
    }

    fn downloads(&self) -> bool {
        self.query.get("download") == Some("true")
    }

    fn car(&self, out: &mut HeaderMap) -> Result<Response, Refusal> {
        let query = CarQuery::parse(&self.query, &self.wanted)?;
        let name = self.file_name(|| match self.path.name() {
            Some(last) => format!("{}_{last}.car", self.path.cid),
            None => format!("{}.car", self.path.cid),
        });
        set_disposition(out, "attachment", &name);
        let etag = query.etag(&self.path, &self.path.cid);
        set_immutable(out, &etag);
        if weak(self.request.headers(), IF_NONE_MATCH, &etag) == Match::Yes {
            return Ok(content::with(
                StatusCode::NOT_MODIFIED,
                out.clone(),
                empty(),
            ));
        }
        let stream = match resolve(self.dag, &self.path) {
            Ok(resolved) => {
                // A stream that would break at its first block is a 404 instead.
                if !self.dag.has(&resolved.cid)? {
                    return Err(Refusal::not_found(format!(
                        "block {} is not here",
                        resolved.cid
                    )));
                }
                set_roots(out, &resolved);
                CarStream::new(self.dag.clone(), query, &resolved)
            }
            Err(Lost::NoLink { visited }) => {
                set(out, headers::X_IPFS_ROOTS, &self.path.cid.to_string());
                CarStream::proof(self.dag.clone(), query, visited)?
            }
            Err(Lost::Refused(refusal)) => return Err(refusal),
        };
        set(out, ACCEPT_RANGES, "none");
        set(out, CONTENT_TYPE, &query.content_type());
        out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(content::with(
            StatusCode::OK,
            out.clone(),
            from_blocking(stream, None),
        ))
    }

    /// What a browser gets.
    fn default(&self, resolved: &Resolved, out: &mut HeaderMap) -> Result<Response, Refusal> {
        let data = self.dag.load(&resolved.cid)?;
        if Format::of_codec(resolved.cid.codec()).is_some() {
            set_roots(out, resolved);
            return self.document(resolved, data, out);
        }
        let node = super::dag::decode(&resolved.cid, &data)?;
        set_roots(out, resolved);
        match kind(&node) {
            Some(Kind::Directory | Kind::HamtShard) => self.directory(resolved, out),
            Some(Kind::Symlink) => self.symlink(resolved, &node, out),
            Some(Kind::File | Kind::Raw) => {
                self.file(&resolved.cid, &resolved.cid, self.path.name(), None, out)
            }
            Some(Kind::Metadata) | None => Err(Refusal::malformed("UnixFS node")),
        }
    }

    /// A document in its own codec, or as the plain type that it also is.
    fn document(
        &self,
        resolved: &Resolved,
        data: Bytes,
        out: &mut HeaderMap,
    ) -> Result<Response, Refusal> {
        let own = Format::of_codec(resolved.cid.codec());
        let wanted = match self.wanted.format {
            Format::Default => own.unwrap_or(Format::Default),
            wanted => wanted,
        };
        if !resolved.remainder.is_empty() {
            return Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "reading a part of a document that is no link is not implemented",
            ));
        }
        let plain = matches!(
            (wanted, own),
            (Format::Json, Some(Format::DagJson)) | (Format::Cbor, Some(Format::DagCbor))
        );
        if own != Some(wanted) && !plain {
            return Err(match wanted {
                Format::DagJson | Format::DagCbor => Refusal::new(
                    StatusCode::NOT_ACCEPTABLE,
                    "codecs are not converted: fetch the block with ?format=raw",
                ),
                _ => Refusal::bad_request("converting to the requested format is not supported"),
            });
        }
        set_immutable(out, &self.etag(&resolved.cid, wanted));
        let text = matches!(wanted, Format::Json | Format::DagJson);
        let extension = if text { "json" } else { "cbor" };
        let name = self.file_name(|| format!("{}.{extension}", resolved.cid));
        let inline = text && !self.downloads();
        set_disposition(out, if inline { "inline" } else { "attachment" }, &name);
        set(out, CONTENT_TYPE, wanted.media_type());
        out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.block(data, out)
    }

    fn symlink(
        &self,
        resolved: &Resolved,
        node: &Node,
        out: &mut HeaderMap,
    ) -> Result<Response, Refusal> {
        let Node::Pb(node) = node else {
            return Err(Refusal::malformed("symlink"));
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

    /// `?filename=` names the download; `?download=true` makes it one.
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

    /// A file; `tagged` is what its tag names (the directory, for its `index.html`).
    fn file(
        &self,
        cid: &Cid,
        tagged: &Cid,
        name: Option<String>,
        known_type: Option<&'static str>,
        out: &mut HeaderMap,
    ) -> Result<Response, Refusal> {
        let size = file_size(&self.dag.node(cid)?, self.dag, cid)?;
        set_immutable(out, &self.etag(tagged, Format::Default));
        self.set_inline_name(out);
        let name = self.query.get("filename").map(str::to_owned).or(name);
        let plan = self.plan(out, size)?;
        let by_name = name.as_deref().and_then(mime::by_name);
        let media_type = match (by_name.or(known_type), &plan) {
            (Some(media_type), _) => media_type,
            // The blocks of a part may be here where those of the beginning aren't.
            (None, Plan::Part(part)) if part.start > 0 => self
                .beginning(cid, size)
                .map_or("application/octet-stream", |data| mime::by_content(&data)),
            (None, _) => mime::by_content(&self.beginning(cid, size)?),
        };
        set(out, CONTENT_TYPE, media_type);
        Ok(respond(out.clone(), size, plan, |part| {
            let length = part.end - part.start;
            from_blocking(file::content(self.dag.clone(), *cid, part), Some(length))
        }))
    }

    /// The first bytes of a file, for its type.
    fn beginning(&self, cid: &Cid, size: u64) -> Result<Vec<u8>, Refusal> {
        let range = 0..size.min(mime::SNIFFED as u64);
        let mut beginning = Vec::with_capacity(mime::SNIFFED);
        for piece in file::content(self.dag.clone(), *cid, range) {
            let piece = piece.map_err(|_| {
                Refusal::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the content cannot be read",
                )
            })?;
            beginning.extend_from_slice(&piece);
        }
        Ok(beginning)
    }

    fn directory(&self, resolved: &Resolved, out: &mut HeaderMap) -> Result<Response, Refusal> {
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
        set(out, CACHE_CONTROL, LISTING);
        let listing = Listing::new(self.dag.clone(), resolved.cid, &self.path);
        Ok(content::with(
            StatusCode::OK,
            out.clone(),
            from_blocking(listing, None),
        ))
    }

    /// The `index.html` of a directory, if it is here.
    fn index(&self, resolved: &Resolved) -> Result<Option<Cid>, Refusal> {
        let index = match child(self.dag, &resolved.cid, b"index.html") {
            Ok(index) => index,
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => None,
            Err(refusal) => return Err(refusal),
        };
        let Some(index) = index else {
            return Ok(None);
        };
        let Some(data) = self.dag.find(&index)? else {
            return Ok(None);
        };
        match kind(&super::dag::decode(&index, &data)?) {
            Some(Kind::File | Kind::Raw) => Ok(Some(index)),
            _ => Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "index.html is no file",
            )),
        }
    }
}

/// What a node is in UnixFS.
fn kind(node: &Node) -> Option<Kind> {
    match node {
        Node::Raw => Some(Kind::Raw),
        Node::Pb(node) => node.unixfs.as_ref().map(|unixfs| unixfs.kind),
        Node::Tree(_) => None,
    }
}

fn file_size(node: &Node, dag: &Dag, cid: &Cid) -> Result<u64, Refusal> {
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
        Node::Tree(_) => Err(Refusal::malformed("file")),
    }
}
