//! Documents: DAG-CBOR and DAG-JSON, as far as paths and links need them. The order of map entries is kept: it is the order of a walk.

use std::cell::Cell;
use std::fmt;

use interplanar_core::cid::{self, Cid};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};

/// The deepest nesting; serde_json has the same limit.
const MAX_DEPTH: usize = 127;

/// The most values of one document: a block of tiny ones would take fifty times its size in memory.
const MAX_VALUES: usize = 1 << 18;

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tree {
    Link(Box<Cid>),
    Map(Vec<(Vec<u8>, Tree)>),
    List(Vec<Tree>),
    /// Anything that leads nowhere.
    Leaf,
}

impl Tree {
    /// The value under a key or an index.
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

    /// All links, in order.
    pub(crate) fn links(&self) -> Vec<Cid> {
        let (mut links, mut rest) = (Vec::new(), vec![self]);
        while let Some(tree) = rest.pop() {
            match tree {
                Self::Link(cid) => links.push(**cid),
                Self::Map(entries) => rest.extend(entries.iter().rev().map(|(_, value)| value)),
                Self::List(values) => rest.extend(values.iter().rev()),
                Self::Leaf => {}
            }
        }
        links
    }

    /// Reads CBOR (`links`: DAG-CBOR, where tag 42 is a link). `None` if it is malformed.
    pub(crate) fn cbor(data: &[u8], links: bool) -> Option<Self> {
        let mut reader = Cbor {
            rest: data,
            links,
            left: MAX_VALUES,
        };
        let tree = reader.value(0)?;
        reader.rest.is_empty().then_some(tree)
    }

    /// Reads JSON (`links`: DAG-JSON, where `{"/": "<cid>"}` is a link). `None` if it is malformed.
    pub(crate) fn json(data: &[u8], links: bool) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_slice(data);
        let left = Cell::new(MAX_VALUES);
        let tree = Json { links, left: &left }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(tree)
    }
}

struct Cbor<'a> {
    rest: &'a [u8],
    links: bool,
    /// Values that may still come.
    left: usize,
}

impl<'a> Cbor<'a> {
    /// The major type and argument of the next item; floats and simple values have their bytes taken.
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

    fn value(&mut self, depth: usize) -> Option<Tree> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let (major, argument) = self.head()?;
        match major {
            0 | 1 | 7 => Some(Tree::Leaf),
            2 | 3 => self.take(argument).map(|_| Tree::Leaf),
            4 => {
                let mut values = Vec::new();
                for _ in 0..argument {
                    values.push(self.value(depth + 1)?);
                }
                Some(Tree::List(values))
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
                Some(Tree::Map(entries))
            }
            _ if self.links && argument == 42 => {
                let (2, length) = self.head()? else {
                    return None;
                };
                let cid = self.take(length)?.strip_prefix(&[0])?;
                Cid::try_from(cid).ok().map(Box::new).map(Tree::Link)
            }
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
struct Json<'a> {
    links: bool,
    /// Values that may still come.
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Tree, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left
            .set(left.ok_or_else(|| D::Error::custom("too many values"))?);
        input.deserialize_any(self)
    }
}

/// A string that may be a CID: the value of `"/"`.
enum Text {
    Cid(Cid),
    Other,
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(input)?;
        Ok(cid::parse(&text).map_or(Self::Other, Self::Cid))
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Tree::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = items.next_key::<String>()? {
            if key == "/" && self.links && entries.is_empty() {
                return special(items);
            }
            entries.push((key.into_bytes(), items.next_value_seed(self)?));
        }
        Ok(Tree::Map(entries))
    }
}

/// `{"/": "<cid>"}`, or `{"/": {"bytes": "…"}}`, which leads nowhere.
fn special<'de, A: MapAccess<'de>>(mut items: A) -> Result<Tree, A::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Value {
        Text(Text),
        Bytes(serde::de::IgnoredAny),
    }
    let value = match items.next_value()? {
        Value::Text(Text::Cid(cid)) => Tree::Link(Box::new(cid)),
        Value::Text(Text::Other) | Value::Bytes(_) => Tree::Leaf,
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
        let tree = Tree::json(text.as_bytes(), true).unwrap();
        let cid = cid::parse(CID).unwrap();
        assert_eq!(tree.links(), [cid]);
        let list = tree.get(b"z").unwrap();
        assert_eq!(list.get(b"1"), Some(&Tree::Link(Box::new(cid))));
        assert_eq!(list.get(b"2"), None);
        assert_eq!(tree.get(b"a"), Some(&Tree::Leaf));
        assert!(
            Tree::json(text.as_bytes(), false)
                .unwrap()
                .links()
                .is_empty()
        );
        assert_eq!(Tree::json(b"{", true), None);
        assert_eq!(Tree::json(b"{} {}", true), None);
    }

    #[test]
    fn cbor_finds_links_and_refuses_the_torn() {
        let mut data = b"\xa2\x61z\x82\x01\xd8\x2a\x58\x25\x00".to_vec();
        data.extend(cid::parse(CID).unwrap().to_bytes());
        data.extend(b"\x61a\xfb\x00\x00\x00\x00\x00\x00\x00\x00");
        let tree = Tree::cbor(&data, true).unwrap();
        assert_eq!(tree.links(), [cid::parse(CID).unwrap()]);
        assert_eq!(tree.get(b"a"), Some(&Tree::Leaf));
        for cut in 0..data.len() {
            assert_eq!(Tree::cbor(&data[..cut], true), None, "{cut}");
        }
        assert_eq!(Tree::cbor(&data, false), None);
        assert_eq!(Tree::cbor(&[0x81; 1000], true), None);
        assert_eq!(
            Tree::cbor(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x01", true),
            None
        );
    }
}
