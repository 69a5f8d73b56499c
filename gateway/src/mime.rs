//! Detects media types by file name, or by the first bytes.

/// Types by extension, for files that browsers show or that are common in stores. Text is UTF-8.
const EXTENSIONS: [(&str, &str); 64] = [
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("c", "text/x-csrc; charset=utf-8"),
    ("car", "application/vnd.ipld.car"),
    ("cbor", "application/cbor"),
    ("conf", "text/plain; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("diff", "text/x-diff; charset=utf-8"),
    ("drv", "text/plain; charset=utf-8"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("h", "text/x-chdr; charset=utf-8"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jar", "application/java-archive"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("log", "text/plain; charset=utf-8"),
    ("ls", "application/json"),
    ("lz", "application/lzip"),
    ("m4a", "audio/mp4"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("nar", "application/x-nix-nar"),
    ("narinfo", "text/x-nix-narinfo"),
    ("ogg", "audio/ogg"),
    ("otf", "font/otf"),
    ("patch", "text/x-diff; charset=utf-8"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ps", "application/postscript"),
    ("py", "text/x-python; charset=utf-8"),
    ("scm", "text/x-scheme; charset=utf-8"),
    ("sh", "application/x-sh"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("toml", "application/toml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/x-wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "text/xml; charset=utf-8"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// Types by the first bytes.
const SIGNATURES: [(&[u8], &str); 22] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"\x1f\x8b", "application/gzip"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"LZIP", "application/lzip"),
    (b"BZh", "application/x-bzip2"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x7fELF", "application/x-elf"),
    (b"\0asm", "application/wasm"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"OggS", "application/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"<?xml", "text/xml; charset=utf-8"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\r\0\0\0\0\0\0\0nix-archive-1", "application/x-nix-nar"),
];

/// Starts of HTML in lower case, followed by white space or `>`.
const HTML: [&str; 5] = ["<!doctype html", "<html", "<head", "<body", "<script"];

/// Number of bytes that [`by_content`] examines.
pub(crate) const SNIFF_BYTES: usize = 3072;

/// Returns the type of a file name's extension.
pub(crate) fn by_name(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    let found = EXTENSIONS.binary_search_by(|(known, _)| (*known).cmp(extension.as_str()));
    found.ok().map(|index| EXTENSIONS[index].1)
}

/// Detects the type from the first bytes of the content: at least [`SNIFF_BYTES`] of them, or all.
pub(crate) fn by_content(data: &[u8]) -> &'static str {
    let data = &data[..data.len().min(SNIFF_BYTES)];
    if data.is_empty() {
        return "text/plain";
    }
    let known = SIGNATURES
        .iter()
        .find(|(signature, _)| data.starts_with(signature));
    if let Some((_, media_type)) = known {
        return media_type;
    }
    if data.len() > 262 && &data[257..262] == b"ustar" {
        return "application/x-tar";
    }
    if data.get(4..8) == Some(b"ftyp") {
        return "video/mp4";
    }
    if data.starts_with(b"RIFF") && data.get(8..12) == Some(b"WEBP") {
        return "image/webp";
    }
    if is_html(data) {
        return "text/html";
    }
    if is_json(data) {
        return "application/json";
    }
    let binary = data
        .iter()
        .any(|byte| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f));
    if binary {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

/// Returns whether the data is a complete JSON object or list.
fn is_json(data: &[u8]) -> bool {
    matches!(data.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
}

fn is_html(data: &[u8]) -> bool {
    let data = data.trim_ascii_start();
    let head = data[..data.len().min(16)].to_ascii_lowercase();
    HTML.iter().any(|begin| {
        head.strip_prefix(begin.as_bytes())
            .is_some_and(|rest| matches!(rest.first(), Some(b' ' | b'>' | b'\n' | b'\t')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(EXTENSIONS.is_sorted_by(|left, right| left.0 < right.0));
    }

    #[test]
    fn names_and_contents() {
        assert_eq!(by_name("a.tar.ZST"), Some("application/zstd"));
        assert_eq!(by_name("README"), None);
        assert_eq!(by_content(b""), "text/plain");
        assert_eq!(
            by_content("gr\u{fc}n".as_bytes()),
            "text/plain; charset=utf-8"
        );
        assert_eq!(by_content(b" \n<!DOCTYPE HTML>"), "text/html");
        assert_eq!(by_content(b"<htmlx>"), "text/plain; charset=utf-8");
        assert_eq!(by_content(b"{\"a\": [1]}\n"), "application/json");
        assert_eq!(by_content(b"{not}"), "text/plain; charset=utf-8");
        assert_eq!(by_content(&[0, 1, 2]), "application/octet-stream");
    }
}
