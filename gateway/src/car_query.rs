//! Parameters of a CAR request: `dag-scope`, `entity-bytes`, `car-version`, `car-order`,
//! `car-dups`.
//!
//! The last three may also be parameters of the type in `Accept` (`version`, `order`, `dups`). The
//! URL takes precedence.

use std::ops::Range;

use interplanar_core::cid::Cid;
use interplanar_core::hash::Sha256;

use crate::format::RequestedFormat;
use crate::path::ContentPath;
use crate::query::Query;
use crate::refusal::Refusal;

/// The part of the DAG that a CAR contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The whole DAG below the path.
    All,
    /// A file or a range of it, a directory without the content of its entries, or one block of
    /// anything else.
    Entity,
    /// One block.
    Block,
}

/// `FROM:TO` with both ends included, or `FROM:*`. Negative numbers count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntityBytes {
    pub(crate) from: i64,
    pub(crate) to: Option<i64>,
}

/// A parsed request for a CAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CarQuery {
    pub(crate) scope: Scope,
    pub(crate) bytes: Option<EntityBytes>,
    /// `order=unk`: the client accepts any order. The gateway always sends depth first.
    any_order: bool,
    pub(crate) duplicates: bool,
}

impl CarQuery {
    pub(crate) fn parse(query: &Query, wanted: &RequestedFormat) -> Result<Self, Refusal> {
        let unsupported = |what: &str| Refusal::bad_request(format!("unsupported CAR {what}"));
        let parameter = |url: &str, accept: &str| {
            query
                .get(url)
                .or_else(|| wanted.parameter(accept))
                .map(str::to_owned)
        };
        let bytes = query
            .value("entity-bytes")
            .map(EntityBytes::parse)
            .transpose()?;
        let scope = match query.value("dag-scope") {
            None | Some("all") => Scope::All,
            Some("entity") => Scope::Entity,
            Some("block") => Scope::Block,
            Some(_) => return Err(unsupported("scope")),
        };
        match parameter("car-version", "version").as_deref() {
            None | Some("1") => {}
            Some(_) => return Err(unsupported("version")),
        }
        let any_order = match parameter("car-order", "order").as_deref() {
            None | Some("dfs") => false,
            Some("unk") => true,
            Some(_) => return Err(unsupported("order")),
        };
        let duplicates = match parameter("car-dups", "dups").as_deref() {
            None | Some("n") => false,
            Some("y") => true,
            Some(_) => return Err(unsupported("dups")),
        };
        Ok(Self {
            scope,
            bytes,
            any_order,
            duplicates,
        })
    }

    pub(crate) fn content_type(&self) -> String {
        let order = if self.any_order { "unk" } else { "dfs" };
        let dups = if self.duplicates { "y" } else { "n" };
        format!("application/vnd.ipld.car; version=1; order={order}; dups={dups}")
    }

    /// Returns the parameters that select the blocks, for a request to another gateway.
    pub(crate) fn scope_query(&self) -> String {
        let scope = match self.scope {
            Scope::All => "all",
            Scope::Entity => "entity",
            Scope::Block => "block",
        };
        let bytes = match self.bytes {
            None => String::new(),
            Some(EntityBytes { from, to: None }) => format!("&entity-bytes={from}:*"),
            Some(EntityBytes { from, to: Some(to) }) => format!("&entity-bytes={from}:{to}"),
        };
        format!("&dag-scope={scope}{bytes}")
    }

    /// Returns a weak ETag from the root of the path and a hash of everything that selects the
    /// blocks.
    pub(crate) fn etag(&self, path: &ContentPath, root: &Cid) -> String {
        let all = format!(
            "{path}\0{:?}\0{:?}\0{}\0{}",
            self.scope, self.bytes, self.any_order, self.duplicates
        );
        let hash = Sha256::of(all.as_bytes()).to_hex();
        format!("W/\"{root}.car.{}\"", hash.get(..16).unwrap_or_default())
    }
}

impl EntityBytes {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let invalid = || Refusal::bad_request("invalid entity-bytes");
        let (from, to) = text.split_once(':').ok_or_else(invalid)?;
        let from: i64 = from.parse().map_err(|_| invalid())?;
        let to: Option<i64> = match to {
            "*" => None,
            to => Some(to.parse().map_err(|_| invalid())?),
        };
        let same_side = |to: i64| (from < 0) == (to < 0);
        if to.is_some_and(|to| same_side(to) && from > to) {
            return Err(invalid());
        }
        Ok(Self { from, to })
    }

    /// Returns the half-open range in a file of `size` bytes. `None` if the end is before the
    /// start.
    pub(crate) fn resolve(self, size: u64) -> Option<Range<u64>> {
        let offset = |at: i64| match u64::try_from(at) {
            Ok(at) => Some(at),
            Err(_) => size.checked_sub(at.unsigned_abs()),
        };
        let from = offset(self.from).unwrap_or(0);
        let end = match self.to {
            None => size,
            // An end before the start of the file: an empty range, or an error if the range starts
            // later.
            Some(to) => offset(to).map_or(0, |to| to.saturating_add(1)),
        };
        (end >= from).then(|| from.min(size)..end.min(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn parse(query: &str) -> Result<CarQuery, Refusal> {
        let query = Query::parse(Some(query));
        let wanted = RequestedFormat::parse(&query, &HeaderMap::new())?;
        CarQuery::parse(&query, &wanted)
    }

    #[test]
    fn parameters_are_parsed_and_invalid_ones_rejected() {
        let car = parse("format=car&dag-scope=entity&entity-bytes=-10:*&car-order=unk&car-dups=y")
            .unwrap();
        assert_eq!(car.scope, Scope::Entity);
        assert_eq!(
            car.bytes,
            Some(EntityBytes {
                from: -10,
                to: None
            })
        );
        assert_eq!(
            car.content_type(),
            "application/vnd.ipld.car; version=1; order=unk; dups=y"
        );
        let plain = parse("format=car").unwrap();
        assert_eq!(
            plain.content_type(),
            "application/vnd.ipld.car; version=1; order=dfs; dups=n"
        );
        for query in [
            "dag-scope=",
            "dag-scope=some",
            "car-version=2",
            "car-order=bfs",
            "car-dups=maybe",
            "entity-bytes=",
            "entity-bytes=5",
            "entity-bytes=5:4",
            "entity-bytes=-4:-5",
            "entity-bytes=a:b",
            "entity-bytes=0:1:2",
        ] {
            let refusal = parse(query).unwrap_err();
            assert_eq!(refusal.status, http::StatusCode::BAD_REQUEST, "{query}");
        }
    }

    #[test]
    fn ranges_count_from_either_end() {
        let table = [
            (0, None, Some(0..10)),
            (3, None, Some(3..10)),
            (3, Some(4), Some(3..5)),
            (-4, None, Some(6..10)),
            (-40, None, Some(0..10)),
            (-4, Some(-2), Some(6..9)),
            (2, Some(-2), Some(2..9)),
            (2, Some(99), Some(2..10)),
            (8, Some(-5), None),
            (20, None, None),
            (0, Some(0), Some(0..1)),
        ];
        for (from, to, expected) in table {
            assert_eq!(
                EntityBytes { from, to }.resolve(10),
                expected,
                "{from}:{to:?}"
            );
        }
    }
}
