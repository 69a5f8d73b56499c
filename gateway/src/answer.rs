//! Answers requests.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LOCATION, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, StatusCode};
use interplanar_core::cid::Cid;

use crate::car::CarBody;
use crate::car_query::CarQuery;
use crate::content::{self, Plan, check_range, etag_of, plan, respond};
use crate::dag::Dag;
use crate::etag::{TagMatch, weak};
use crate::format::{Format, RequestedFormat};
use crate::headers::{
    self, IMMUTABLE, LISTING_CACHE, X_IPFS_PATH, set, set_disposition, set_immutable, set_roots,
};
use crate::path::ContentPath;
use crate::query::Query;
use crate::redirects::answer_without_blocks;
use crate::refusal::Refusal;
use crate::resolve::{ResolveError, Resolved, resolve};
use crate::source::BlockSource;
use crate::stop::{Pending, Stop};
use crate::{Answer, Body, Request};

/// A parsed request for content.
pub(crate) struct ContentRequest<'a> {
    pub(crate) dag: &'a Dag,
    pub(crate) request: &'a Request,
    pub(crate) query: Query,
    pub(crate) path: ContentPath,
    wanted: RequestedFormat,
}

/// Returns whether the gateway answers this URL path.
#[must_use]
pub fn owns(path: &str) -> bool {
    path == "/ipfs" || path.starts_with("/ipfs/")
}

/// Returns whether a request must not cause a fetch. A caller that fetches blocks then returns
/// [`Absent`](crate::Lookup::Absent) for blocks that it hasn't stored.
#[must_use]
pub fn only_if_cached(headers: &HeaderMap) -> bool {
    let control = headers.get(CACHE_CONTROL);
    control.is_some_and(|value| value == "only-if-cached")
}

/// Answers a request for `/ipfs/…` with GET, HEAD or OPTIONS, and rejects other methods.
///
/// # Errors
/// The block that is needed for the answer. After looking for it, call again; nothing is kept
/// between the calls.
pub fn answer(source: &Arc<dyn BlockSource>, request: &Request) -> Result<Answer, Pending> {
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(allow(StatusCode::OK)),
        _ => return Ok(allow(StatusCode::METHOD_NOT_ALLOWED)),
    }
    let dag = Dag(Arc::clone(source));
    let mut headers = headers::common();
    match try_answer(&dag, request, &mut headers) {
        Ok(answer) => Ok(answer),
        Err(Stop::Refused(refusal)) => Ok(refusal.answer(headers)),
        Err(Stop::Pending(cid)) => Err(Pending(cid)),
    }
}

/// Returns a response that lists the allowed methods.
fn allow(status: StatusCode) -> Answer {
    let mut headers = headers::common();
    headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    if status == StatusCode::OK {
        return content::build(status, headers, Body::Empty);
    }
    Refusal::new(status, "method not allowed: use GET, HEAD or OPTIONS").answer(headers)
}

fn try_answer(dag: &Dag, request: &Request, out: &mut HeaderMap) -> Result<Answer, Stop> {
    let query = Query::parse(request.uri().query());
    if let Some(answer) = answer_without_blocks(request, &query, out)? {
        return Ok(answer);
    }
    let path = ContentPath::parse(request.uri().path())?;
    if let Some(answer) = cached(dag, request, &path, out)? {
        return Ok(answer);
    }
    let wanted = RequestedFormat::parse(&query, request.headers())?;
    if let Some(value) = path.header() {
        out.insert(X_IPFS_PATH, value);
    }
    if let Some(location) = wanted.location(request.uri().path(), &query) {
        set(out, CONTENT_LOCATION, &location);
    }
    let content_request = ContentRequest {
        dag,
        request,
        query,
        path,
        wanted,
    };
    match content_request.wanted.format {
        Format::Car => return content_request.car(out),
        Format::Unsupported => {
            return Err(Refusal::bad_request(
                "unsupported format: use raw, car, json, cbor, dag-json or dag-cbor",
            )
            .into());
        }
        Format::Default | Format::Json | Format::Cbor if request.method() == Method::GET => {
            check_range(request.headers())?;
        }
        _ => {}
    }
    let resolved = resolve(dag, &content_request.path)?;
    if let Some(answer) = content_request.not_modified(&resolved, out) {
        return Ok(answer);
    }
    match content_request.wanted.format {
        Format::Default | Format::Json | Format::Cbor => content_request.default(&resolved, out),
        Format::Raw => content_request.raw(&resolved, out),
        _ => {
            let data = dag.load(&resolved.cid)?;
            set_roots(out, &resolved);
            content_request.document(&resolved, data, out)
        }
    }
}

/// Handles `Cache-Control: only-if-cached`: 412 for missing content. A `HEAD` request is answered
/// completely here.
fn cached(
    dag: &Dag,
    request: &Request,
    path: &ContentPath,
    out: &HeaderMap,
) -> Result<Option<Answer>, Stop> {
    if !only_if_cached(request.headers()) {
        return Ok(None);
    }
    let here = match resolve(dag, path) {
        Ok(resolved) => dag.has(&resolved.cid)?,
        Err(ResolveError::Stopped(pending @ Stop::Pending(_))) => return Err(pending),
        Err(_) => false,
    };
    let head = request.method() == Method::HEAD;
    if !here && !head {
        return Err(Refusal::new(
            StatusCode::PRECONDITION_FAILED,
            "this gateway doesn't have the content, and only-if-cached forbids fetching it",
        )
        .into());
    }
    let status = if here {
        StatusCode::OK
    } else {
        StatusCode::PRECONDITION_FAILED
    };
    Ok(head.then(|| content::build(status, out.clone(), Body::Empty)))
}

impl ContentRequest<'_> {
    pub(crate) fn etag(&self, cid: &Cid, format: Format) -> String {
        let format = match format {
            Format::Default => Format::of_codec(cid.codec()).unwrap_or(Format::Default),
            format => format,
        };
        format!("\"{cid}{}\"", format.suffix())
    }

    /// Returns a 304 if the client already has the content, or the listing.
    fn not_modified(&self, resolved: &Resolved, out: &HeaderMap) -> Option<Answer> {
        let content = self.etag(&resolved.cid, self.wanted.format);
        let listing = headers::listing_etag(&resolved.cid);
        for (etag, cache_control) in [(content, IMMUTABLE), (listing, LISTING_CACHE)] {
            if weak(self.request.headers(), IF_NONE_MATCH, &etag) == TagMatch::Yes {
                let mut headers = out.clone();
                set(&mut headers, ETAG, &etag);
                set(&mut headers, CACHE_CONTROL, cache_control);
                return Some(content::build(
                    StatusCode::NOT_MODIFIED,
                    headers,
                    Body::Empty,
                ));
            }
        }
        None
    }

    /// Returns the bytes of a block, with conditions and ranges. An invalid range is a 400.
    fn block(&self, data: Bytes, out: &HeaderMap) -> Result<Answer, Stop> {
        check_range(self.request.headers())?;
        self.bytes(data, out)
    }

    /// Returns bytes in memory, with conditions and ranges.
    pub(crate) fn bytes(&self, data: Bytes, out: &HeaderMap) -> Result<Answer, Stop> {
        let size = data.len() as u64;
        let plan = self.plan(out, size)?;
        // The length of a block always fits in memory.
        Ok(respond(out.clone(), size, plan, |part| {
            data.slice(part.start as usize..part.end as usize).into()
        }))
    }

    pub(crate) fn plan(&self, out: &HeaderMap, size: u64) -> Result<Plan, Refusal> {
        plan(self.request.headers(), &etag_of(out), size)
    }

    fn raw(&self, resolved: &Resolved, out: &mut HeaderMap) -> Result<Answer, Stop> {
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

    pub(crate) fn downloads(&self) -> bool {
        self.query.get("download") == Some("true")
    }

    fn car(&self, out: &mut HeaderMap) -> Result<Answer, Stop> {
        let query = CarQuery::parse(&self.query, &self.wanted)?;
        let name = self.file_name(|| match self.path.name() {
            Some(last) => format!("{}_{last}.car", self.path.cid),
            None => format!("{}.car", self.path.cid),
        });
        set_disposition(out, "attachment", &name);
        let etag = query.etag(&self.path, &self.path.cid);
        set_immutable(out, &etag);
        if weak(self.request.headers(), IF_NONE_MATCH, &etag) == TagMatch::Yes {
            return Ok(content::build(
                StatusCode::NOT_MODIFIED,
                out.clone(),
                Body::Empty,
            ));
        }
        let stream = match resolve(self.dag, &self.path) {
            Ok(resolved) => {
                // Without its first block, a CAR is a 404 instead of an incomplete stream.
                if !self.dag.has(&resolved.cid)? {
                    let message = format!("this gateway doesn't have block {}", resolved.cid);
                    return Err(Refusal::not_found(message).into());
                }
                set_roots(out, &resolved);
                CarBody::new(self.dag.clone(), query, &resolved)
            }
            Err(ResolveError::NoLink { visited }) => {
                set(out, headers::X_IPFS_ROOTS, &self.path.cid.to_string());
                CarBody::proof(self.dag.clone(), query, visited)?
            }
            Err(ResolveError::Stopped(stop)) => return Err(stop),
        };
        set(out, ACCEPT_RANGES, "none");
        set(out, CONTENT_TYPE, &query.content_type());
        out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(content::build(
            StatusCode::OK,
            out.clone(),
            Body::Car(Box::new(stream)),
        ))
    }

    /// Returns a document in its own codec, or as JSON or CBOR if its codec is a form of that.
    pub(crate) fn document(
        &self,
        resolved: &Resolved,
        data: Bytes,
        out: &mut HeaderMap,
    ) -> Result<Answer, Stop> {
        let own = Format::of_codec(resolved.cid.codec());
        let wanted = match self.wanted.format {
            Format::Default => own.unwrap_or(Format::Default),
            wanted => wanted,
        };
        if !resolved.remainder.is_empty() {
            return Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "reading a value inside a document is not implemented; use ?format=raw for the whole block",
            )
            .into());
        }
        let plain = matches!(
            (wanted, own),
            (Format::Json, Some(Format::DagJson)) | (Format::Cbor, Some(Format::DagCbor))
        );
        if own != Some(wanted) && !plain {
            let refusal = match wanted {
                Format::DagJson | Format::DagCbor => Refusal::new(
                    StatusCode::NOT_ACCEPTABLE,
                    "can't convert between codecs; use ?format=raw for the block",
                ),
                _ => Refusal::bad_request("can't convert the content to the requested format"),
            };
            return Err(refusal.into());
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
}
