//! The format that a request asks for: `?format=`, or else the first type in `Accept` that names a
//! format.

use http::HeaderMap;
use http::header::ACCEPT;

use crate::query::Query;
use crate::refusal::Refusal;

/// A format of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// No format: files and directories for browsers, documents as they are.
    Default,
    Raw,
    Car,
    Json,
    Cbor,
    DagJson,
    DagCbor,
    /// A format that this gateway doesn't support.
    Unsupported,
}

/// Names in `?format=`, media types, and formats.
const FORMATS: [(&str, &str, Format); 8] = [
    ("raw", "application/vnd.ipld.raw", Format::Raw),
    ("car", "application/vnd.ipld.car", Format::Car),
    ("tar", "application/x-tar", Format::Unsupported),
    ("json", "application/json", Format::Json),
    ("cbor", "application/cbor", Format::Cbor),
    ("dag-json", "application/vnd.ipld.dag-json", Format::DagJson),
    ("dag-cbor", "application/vnd.ipld.dag-cbor", Format::DagCbor),
    (
        "ipns-record",
        "application/vnd.ipfs.ipns-record",
        Format::Unsupported,
    ),
];

/// Prefixes of media types in `Accept` that select a format.
const FORMAT_TYPES: [&str; 5] = [
    "application/vnd.ipld",
    "application/vnd.ipfs",
    "application/x-tar",
    "application/json",
    "application/cbor",
];

/// The format that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestedFormat {
    pub(crate) format: Format,
    /// The format's name in `?format=`; empty if it has none.
    pub(crate) name: &'static str,
    /// Parameters of the media type in `Accept`.
    pub(crate) parameters: Vec<(String, String)>,
}

impl RequestedFormat {
    pub(crate) fn parse(query: &Query, headers: &HeaderMap) -> Result<Self, Refusal> {
        let named = query
            .get("format")
            .and_then(|name| FORMATS.iter().find(|(known, ..)| *known == name));
        let accepted = accepted(headers)?;
        if let Some((name, media_type, format)) = named {
            let same = accepted.filter(|(accepted, _)| accepted == media_type);
            return Ok(Self {
                format: *format,
                name,
                parameters: same.map(|(_, parameters)| parameters).unwrap_or_default(),
            });
        }
        Ok(match accepted {
            Some((media_type, parameters)) => {
                let known = FORMATS.iter().find(|(_, known, _)| *known == media_type);
                Self {
                    format: known.map_or(Format::Unsupported, |(.., format)| *format),
                    name: known.map_or("", |(name, ..)| name),
                    parameters,
                }
            }
            None => Self {
                format: Format::Default,
                name: "",
                parameters: Vec::new(),
            },
        })
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Returns the URL of the same content with `?format=`, unless the URL has it already.
    pub(crate) fn location(&self, url_path: &str, query: &Query) -> Option<String> {
        let in_url = query.get("format").is_some_and(|name| name == self.name);
        if self.format == Format::Default || in_url {
            return None;
        }
        let parameters: Vec<(String, String)> = self
            .parameters
            .iter()
            .map(|(key, value)| (format!("{}-{key}", self.name), value.clone()))
            .collect();
        Some(format!("{url_path}?{}", query.with(self.name, &parameters)))
    }
}

impl Format {
    /// Returns the format of a codec.
    pub(crate) fn of_codec(codec: u64) -> Option<Self> {
        match codec {
            0x51 => Some(Self::Cbor),
            0x71 => Some(Self::DagCbor),
            0x0129 => Some(Self::DagJson),
            0x0200 => Some(Self::Json),
            _ => None,
        }
    }

    pub(crate) fn media_type(self) -> &'static str {
        let known = FORMATS.iter().find(|(.., format)| *format == self);
        known.map_or("application/octet-stream", |(_, media_type, _)| media_type)
    }

    /// Returns what follows the CID in an ETag.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Raw => ".raw",
            Self::Json => ".json",
            Self::Cbor => ".cbor",
            Self::DagJson => ".dag-json",
            Self::DagCbor => ".dag-cbor",
            Self::Default | Self::Car | Self::Unsupported => "",
        }
    }
}

type MediaType = (String, Vec<(String, String)>);

fn accepted(headers: &HeaderMap) -> Result<Option<MediaType>, Refusal> {
    let values = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let selecting = values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .find(|value| FORMAT_TYPES.iter().any(|prefix| value.starts_with(prefix)));
    selecting.map(media_type).transpose()
}

/// Parses `type/subtype; key=value; key="value"`.
fn media_type(text: &str) -> Result<MediaType, Refusal> {
    let invalid = || Refusal::bad_request("invalid media type in the Accept header");
    let mut parts = text.split(';');
    let media_type = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type.contains(char::is_whitespace) {
        return Err(invalid());
    }
    let mut parameters = Vec::new();
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(invalid)?;
        let key = key.trim().to_ascii_lowercase();
        if key.is_empty() || parameters.iter().any(|(known, _)| *known == key) {
            return Err(invalid());
        }
        parameters.push((key, value.trim().trim_matches('"').to_owned()));
    }
    Ok((media_type, parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str, accept: &str) -> Result<RequestedFormat, Refusal> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, accept.parse().unwrap());
        }
        RequestedFormat::parse(&Query::parse(Some(query)), &headers)
    }

    #[test]
    fn the_query_takes_precedence() {
        let table = [
            ("", "", Format::Default),
            ("", "text/html,*/*;q=0.8", Format::Default),
            ("format=raw", "", Format::Raw),
            ("format=raw", "application/vnd.ipld.car", Format::Raw),
            ("format=nonsense", "", Format::Default),
            ("format=", "application/vnd.ipld.car", Format::Car),
            ("", "text/html, application/vnd.ipld.raw", Format::Raw),
            ("", "application/vnd.ipld.nonsense", Format::Unsupported),
            ("format=tar", "", Format::Unsupported),
        ];
        for (query, accept, format) in table {
            assert_eq!(
                wanted(query, accept).unwrap().format,
                format,
                "{query} {accept}"
            );
        }
    }

    #[test]
    fn parameters_apply_only_to_their_own_type() {
        let accept = "application/vnd.ipld.car; version=1; order=\"dfs\"; dups=n";
        assert_eq!(wanted("", accept).unwrap().parameter("order"), Some("dfs"));
        assert_eq!(
            wanted("format=car", accept).unwrap().parameter("dups"),
            Some("n")
        );
        assert_eq!(
            wanted("format=raw", accept).unwrap().parameter("dups"),
            None
        );
        assert!(wanted("", "application/vnd.ipld.car; version").is_err());
    }

    #[test]
    fn an_accept_header_has_a_url() {
        let query = Query::parse(Some("filename=a b&car-dups=y"));
        let mut headers = HeaderMap::new();
        headers.insert(
            ACCEPT,
            "application/vnd.ipld.car;order=dfs;dups=n".parse().unwrap(),
        );
        let location = RequestedFormat::parse(&query, &headers)
            .unwrap()
            .location("/ipfs/x", &query);
        let expected = "/ipfs/x?car-dups=y&car-order=dfs&filename=a+b&format=car";
        assert_eq!(location.as_deref(), Some(expected));
        let query = Query::parse(Some("format=car"));
        assert_eq!(
            RequestedFormat::parse(&query, &headers)
                .unwrap()
                .location("/ipfs/x", &query),
            None
        );
    }
}
