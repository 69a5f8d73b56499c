//! The HTML page that lists a directory.

use std::fmt::Write as _;

use bytes::Bytes;
use interplanar_core::cid::Cid;
use interplanar_core::unixfs::NodeType;

use crate::dag::{Dag, Node, PbNode};
use crate::hamt::{self, HamtEntry};
use crate::html;
use crate::path::{ContentPath, escape};
use crate::refusal::Refusal;
use crate::stop::Stop;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
h1{font-size:1.1rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}\
td{padding:.2rem .6rem .2rem 0;border-top:1px solid #ddd;overflow-wrap:anywhere}\
td+td{text-align:right;white-space:nowrap;color:#666}a{color:#0550ae;text-decoration:none}a:hover{text-decoration:underline}\
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}td{border-color:#333}a{color:#7ab7ff}}";

/// A page that lists a directory, produced shard by shard.
#[derive(Debug)]
pub struct Listing {
    dag: Dag,
    root: Cid,
    /// The page up to the entries.
    head: Option<String>,
    /// Shards that are still to be listed, or the whole directory. The next one is last.
    remaining: Vec<Cid>,
    done: bool,
}

impl Listing {
    pub(crate) fn new(dag: Dag, cid: Cid, path: &ContentPath) -> Self {
        Self {
            dag,
            root: cid,
            head: Some(head(&cid, path)),
            remaining: vec![cid],
            done: false,
        }
    }

    /// Returns the CID of the directory.
    #[must_use]
    pub fn root(&self) -> Cid {
        self.root
    }

    /// Returns the next part of the page.
    pub(crate) fn next(&mut self) -> Option<Result<Bytes, Stop>> {
        if let Some(head) = self.head.take() {
            return Some(Ok(head.into()));
        }
        while !self.done {
            let Some(cid) = self.remaining.last().copied() else {
                self.done = true;
                return Some(Ok(Bytes::from_static(b"</table>\n</body>\n</html>\n")));
            };
            match self.rows(&cid) {
                // A shard may contain only shards.
                Ok(rows) if rows.is_empty() => {}
                Ok(rows) => return Some(Ok(rows.into())),
                Err(stop) => {
                    self.done = matches!(stop, Stop::Refused(_));
                    return Some(Err(stop));
                }
            }
        }
        None
    }

    /// Returns the rows of the next block and removes it from the list, if the source has it.
    fn rows(&mut self, cid: &Cid) -> Result<String, Stop> {
        let Node::Pb(node) = self.dag.node(cid)? else {
            return Err(Refusal::malformed("directory").into());
        };
        let mut rows = String::new();
        let mut shards = Vec::new();
        for entry in entries(&node)? {
            match entry {
                HamtEntry::Shard(cid) => shards.push(cid),
                HamtEntry::Named { name, cid, tsize } => row(&mut rows, &name, &cid, tsize),
            }
        }
        self.remaining.pop();
        self.remaining.extend(shards.into_iter().rev());
        Ok(rows)
    }
}

fn entries(node: &PbNode) -> Result<Vec<HamtEntry>, Refusal> {
    if node
        .unixfs
        .as_ref()
        .is_some_and(|unixfs| unixfs.kind == NodeType::HamtShard)
    {
        return hamt::entries(node);
    }
    let links = node.links.iter().map(|link| HamtEntry::Named {
        name: link.name.clone(),
        cid: link.cid,
        tsize: link.tsize,
    });
    Ok(links.collect())
}

fn head(cid: &Cid, path: &ContentPath) -> String {
    let shown = html::escape(&String::from_utf8_lossy(
        path.header()
            .as_ref()
            .map_or(b"", http::HeaderValue::as_bytes),
    ));
    let up = if path.segments.is_empty() {
        String::new()
    } else {
        "<tr><td><a href=\"../\">..</a></td><td></td></tr>\n".to_owned()
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{shown}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{shown}</h1>\n\
         <p><a href=\"/ipfs/{cid}?format=car\">{cid}</a></p>\n<table>\n{up}"
    )
}

fn row(rows: &mut String, name: &[u8], cid: &Cid, tsize: u64) {
    let link = escape(name);
    let shown = html::escape(&String::from_utf8_lossy(name));
    let size = size(tsize);
    // Writing to a String can't fail.
    let _ = writeln!(
        rows,
        "<tr><td><a href=\"./{link}\">{shown}</a></td><td><a href=\"/ipfs/{cid}?filename={link}\">{size}</a></td></tr>"
    );
}

/// Formats a number of bytes with a decimal unit.
fn size(bytes: u64) -> String {
    let mut unit = "B";
    let mut value = bytes as f64;
    for larger in ["kB", "MB", "GB", "TB", "PB"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = larger;
    }
    if unit == "B" || value >= 9.95 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let mut rows = String::new();
        let cid = interplanar_core::cid::parse("bafkqaaa").unwrap();
        row(&mut rows, b"\"><script>&'\xff", &cid, 1500);
        assert!(
            rows.contains("&quot;&gt;&lt;script&gt;&amp;&#39;\u{fffd}</a>"),
            "{rows}"
        );
        assert!(
            rows.contains("href=\"./%22%3E%3Cscript%3E%26%27%FF\""),
            "{rows}"
        );
        assert!(rows.contains("1.5 kB"), "{rows}");
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_960, "1.0 MB"),
            (12_345_678, "12 MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
