//! Documents in DAG-CBOR and DAG-JSON, as far as paths and links need them. Map entries keep their
//! order, because walks follow it.

use std::cell::Cell;
use std::fmt;

use interplanar_core::cid::{self, Cid};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};

/// Maximum nesting. serde_json has the same limit.
const MAX_DEPTH: usize = 127;

/// Maximum number of values in a document. A block of tiny values would take fifty times its size
/// in memory.
const MAX_VALUES: usize = 1 << 18;

/// A value in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    Link(Box<Cid>),
    Map(Vec<(Vec<u8>, Document)>),
    List(Vec<Document>),
    /// Any value without children or links.
    Leaf,
}

impl Document {
    /// Returns the value under a key or an index.
    pub(crate) fn get(&self, segment: &[u8]) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(key, _)| key == segment)
                .map(|(_, value)| value),
            Self::List(values) => {
                let index: usize = std::str::from_utf8(segment).ok()?.parse().ok()?;
                values.get(index)
            }
            Self::Link(_) | Self::Leaf => None,
        }
    }

    /// Returns all links, in order.
    pub(crate) fn links(&self) -> Vec<Cid> {
        let (mut links, mut rest) = (Vec::new(), vec![self]);
        while let Some(document) = rest.pop() {
            match document {
                Self::Link(cid) => links.push(**cid),
                Self::Map(entries) => rest.extend(entries.iter().rev().map(|(_, value)| value)),
                Self::List(values) => rest.extend(values.iter().rev()),
                Self::Leaf => {}
            }
        }
        links
    }

    /// Parses CBOR. With `links` it is DAG-CBOR, where tag 42 is a link. `None` if it is malformed.
    pub(crate) fn cbor(data: &[u8], links: bool) -> Option<Self> {
        let mut reader = CborReader {
            rest: data,
            links,
            left: MAX_VALUES,
        };
        let document = reader.value(0)?;
        reader.rest.is_empty().then_some(document)
    }

    /// Parses JSON. With `links` it is DAG-JSON, where `{"/": "<cid>"}` is a link. `None` if it is
    /// malformed.
    pub(crate) fn json(data: &[u8], links: bool) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_slice(data);
        let left = Cell::new(MAX_VALUES);
        let document = JsonReader { links, left: &left }
            .deserialize(&mut reader)
            .ok()?;
        reader.end().ok()?;
        Some(document)
    }
}

struct CborReader<'a> {
    rest: &'a [u8],
    links: bool,
    /// Number of values that may still follow.
    left: usize,
}

impl<'a> CborReader<'a> {
    /// Reads the major type and the argument of the next item. For floats and simple values it also
    /// reads their bytes.
    fn head(&mut self) -> Option<(u8, u64)> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        let (major, info) = (first >> 5, first & 0x1f);
        let argument = match info {
            0..24 => u64::from(info),
            24..28 => {
                let bytes = self.take(1 << (info - 24))?;
                bytes
                    .iter()
                    .fold(0, |value, byte| value << 8 | u64::from(*byte))
            }
            _ => return None,
        };
        Some((major, argument))
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn value(&mut self, depth: usize) -> Option<Document> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let (major, argument) = self.head()?;
        match major {
            0 | 1 | 7 => Some(Document::Leaf),
            2 | 3 => self.take(argument).map(|_| Document::Leaf),
            4 => {
                let mut values = Vec::new();
                for _ in 0..argument {
                    values.push(self.value(depth + 1)?);
                }
                Some(Document::List(values))
            }
            5 => {
                let mut entries = Vec::new();
                for _ in 0..argument {
                    let (3, length) = self.head()? else {
                        return None;
                    };
                    let key = self.take(length)?.to_vec();
                    entries.push((key, self.value(depth + 1)?));
                }
                Some(Document::Map(entries))
            }
            _ if self.links && argument == 42 => {
                let (2, length) = self.head()? else {
                    return None;
                };
                let cid = self.take(length)?.strip_prefix(&[0])?;
                Cid::try_from(cid).ok().map(Box::new).map(Document::Link)
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
struct JsonReader<'a> {
    links: bool,
    /// Number of values that may still follow.
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for JsonReader<'_> {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Document, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left
            .set(left.ok_or_else(|| D::Error::custom("too many values"))?);
        input.deserialize_any(self)
    }
}

/// A string that may be a CID: the value of `"/"`.
enum MaybeCid {
    Cid(Cid),
    Other,
}

impl<'de> Deserialize<'de> for MaybeCid {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(input)?;
        Ok(cid::parse(&text).map_or(Self::Other, Self::Cid))
    }
}

impl<'de> Visitor<'de> for JsonReader<'_> {
    type Value = Document;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Document::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = items.next_key::<String>()? {
            if key == "/" && self.links && entries.is_empty() {
                return slash_value(items);
            }
            entries.push((key.into_bytes(), items.next_value_seed(self)?));
        }
        Ok(Document::Map(entries))
    }
}

/// Reads the rest of `{"/": "<cid>"}`, a link, or `{"/": {"bytes": "…"}}`, a value without links.
fn slash_value<'de, A: MapAccess<'de>>(mut items: A) -> Result<Document, A::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Value {
        MaybeCid(MaybeCid),
        Bytes(serde::de::IgnoredAny),
    }
    let value = match items.next_value()? {
        Value::MaybeCid(MaybeCid::Cid(cid)) => Document::Link(Box::new(cid)),
        Value::MaybeCid(MaybeCid::Other) | Value::Bytes(_) => Document::Leaf,
    };
    while items
        .next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?
        .is_some()
    {}
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    #[test]
    fn json_keeps_its_order_and_finds_links() {
        let text = format!(r#"{{"z":[1,{{"/":"{CID}"}}],"a":{{"/":{{"bytes":"AA"}}}},"b":null}}"#);
        let document = Document::json(text.as_bytes(), true).unwrap();
        let cid = cid::parse(CID).unwrap();
        assert_eq!(document.links(), [cid]);
        let list = document.get(b"z").unwrap();
        assert_eq!(list.get(b"1"), Some(&Document::Link(Box::new(cid))));
        assert_eq!(list.get(b"2"), None);
        assert_eq!(document.get(b"a"), Some(&Document::Leaf));
        assert!(
            Document::json(text.as_bytes(), false)
                .unwrap()
                .links()
                .is_empty()
        );
        assert_eq!(Document::json(b"{", true), None);
        assert_eq!(Document::json(b"{} {}", true), None);
    }

    #[test]
    fn cbor_finds_links_and_rejects_truncated_data() {
        let mut data = b"\xa2\x61z\x82\x01\xd8\x2a\x58\x25\x00".to_vec();
        data.extend(cid::parse(CID).unwrap().to_bytes());
        data.extend(b"\x61a\xfb\x00\x00\x00\x00\x00\x00\x00\x00");
        let document = Document::cbor(&data, true).unwrap();
        assert_eq!(document.links(), [cid::parse(CID).unwrap()]);
        assert_eq!(document.get(b"a"), Some(&Document::Leaf));
        for cut in 0..data.len() {
            assert_eq!(Document::cbor(&data[..cut], true), None, "{cut}");
        }
        assert_eq!(Document::cbor(&data, false), None);
        assert_eq!(Document::cbor(&[0x81; 1000], true), None);
        assert_eq!(
            Document::cbor(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01", true),
            None
        );
    }
}
