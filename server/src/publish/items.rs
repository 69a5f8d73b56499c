//! `/items.json`: lists the items of the store page by page, for the search in the inspector.
//!
//! ```text
//! GET /items.json?name=<text>&after=<store path>&limit=<n>
//! {"items":[{"path":"/gnu/store/…","narSize":1272,"references":2,"baked":true}],
//!  "next":"/gnu/store/…"}
//! ```
//! `name` is a part of the base name; upper and lower case are the same. `next` is the value of
//! `after` for the next page; it is absent at the end. A page can be short or empty before the end,
//! because a request scans at most [`MAX_SCAN`] items: no search makes the server read its whole
//! store.

use std::sync::Arc;

use serde::Serialize;
use url::form_urlencoded;

use super::{Found, Inner, answers};
use crate::net::server::Request;
use crate::task;

/// Most items that one request scans.
pub(super) const MAX_SCAN: usize = 1_000;
/// Items of a page if the request has no `limit`.
const LIMIT: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedItem {
    path: String,
    nar_size: u64,
    references: usize,
    baked: bool,
}

#[derive(Serialize)]
struct ItemsPage {
    items: Vec<ListedItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// The query of a request.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    name: String,
    after: Option<String>,
    limit: usize,
}

impl Query {
    fn parse(query: &str) -> Self {
        let mut parsed = Self {
            limit: LIMIT,
            ..Self::default()
        };
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "name" => parsed.name = value.to_lowercase(),
                "after" => parsed.after = Some(value.into_owned()),
                "limit" => parsed.limit = value.parse().unwrap_or(LIMIT).clamp(1, MAX_SCAN),
                _ => {}
            }
        }
        parsed
    }
}

impl Inner {
    pub(super) async fn items(self: &Arc<Self>, request: &Request) -> Found {
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let inner = Arc::clone(self);
        let page = task::blocking("listing the items", move || inner.page(query)).await?;
        let text = page.and_then(|page| serde_json::to_vec(&page).ok());
        Ok(text.map(|text| answers::ok(answers::JSON, text)))
    }

    fn page(&self, query: Query) -> Option<ItemsPage> {
        let source = self.baker.source();
        // Without a name, every scanned item is listed.
        let scan = if query.name.is_empty() {
            query.limit
        } else {
            MAX_SCAN
        };
        let seen = source.items(query.after.as_deref(), scan);
        let seen = seen
            .inspect_err(|error| tracing::warn!(%error, "can't list the items"))
            .ok()?;
        let at_end = seen.is_empty();
        let mut page = ItemsPage {
            items: Vec::new(),
            next: seen.last().map(|item| item.store_path.as_str().to_owned()),
        };
        for item in seen {
            let path = item.store_path.as_str();
            if !item
                .store_path
                .base_name()
                .to_lowercase()
                .contains(&query.name)
            {
                continue;
            }
            page.items.push(ListedItem {
                path: path.to_owned(),
                nar_size: item.nar_size,
                references: item.references.len(),
                baked: self.baker.get(item.store_path.hash_part()).is_some(),
            });
            if page.items.len() == query.limit {
                page.next = Some(path.to_owned());
                break;
            }
        }
        if at_end {
            page.next = None;
        }
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_clamped() {
        let query = Query::parse("name=G%2B%2B&after=/gnu/store/x&limit=999999999&other=1");
        let expected = Query {
            name: "g++".into(),
            after: Some("/gnu/store/x".into()),
            limit: MAX_SCAN,
        };
        assert_eq!(query, expected);
        assert_eq!(Query::parse("limit=0").limit, 1);
        assert_eq!(Query::parse("limit=x").limit, LIMIT);
    }
}
