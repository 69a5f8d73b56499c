//! `interplanar publish` responds as the real `guix publish` does on the same store, request by
//! request.

use interplanar_tests::guix::{Guix, Items};
use interplanar_tests::peer_version::GUIX;
use interplanar_tests::program::{Program, free_port, narinfo};
use reqwest::blocking::{Client, Response};

/// The headers that clients use.
const COMPARED_HEADERS: [&str; 4] = [
    "content-type",
    "cache-control",
    "content-disposition",
    "x-baking",
];

/// The parts of a response that must be equal.
#[derive(Debug, PartialEq)]
struct Comparable {
    status: u16,
    headers: Vec<(&'static str, Option<String>)>,
    body: Vec<u8>,
}

/// Sends a GET, and returns the comparable parts of the response.
fn request(client: &Client, server: &str, path: &str) -> Comparable {
    // guix publish sends no length for a NAR that it makes on the fly. The end of the connection
    // ends it.
    let response = client
        .get(format!("{server}{path}"))
        .header("connection", "close")
        .send()
        .unwrap_or_else(|e| panic!("{path}: {e}"));
    let (status, headers) = head(&response);
    let body = response
        .bytes()
        .unwrap_or_else(|e| panic!("{path}: {e}"))
        .to_vec();
    let body = match path {
        _ if path.ends_with(".narinfo") && status == 200 => {
            common(&String::from_utf8_lossy(&body)).into_bytes()
        }
        // The two programs have different names on this page.
        "/" => Vec::new(),
        _ => decoded(path, body),
    };
    Comparable {
        status,
        headers,
        body,
    }
}

/// Returns the status and the compared headers.
fn head(response: &Response) -> (u16, Vec<(&'static str, Option<String>)>) {
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(|value| value.replace(' ', ""))
    };
    (
        response.status().as_u16(),
        COMPARED_HEADERS
            .iter()
            .map(|name| (*name, header(name)))
            .collect(),
    )
}

/// Returns a narinfo without the lines that may differ: the entries over IPFS, and compressed
/// sizes.
///
/// The signatures are equal, because RFC 6979 derives their nonces from the text.
fn common(narinfo: &str) -> String {
    let mut kept = String::new();
    let mut over_ipfs = false;
    for line in narinfo.lines() {
        if let Some(url) = line.strip_prefix("URL: ") {
            over_ipfs = url.starts_with("ipfs:");
        }
        // Another library compresses, so sizes differ by some bytes.
        if !over_ipfs && !line.starts_with("FileSize: ") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Returns the NAR in a body, because two libraries compress the same NAR to different bytes.
fn decoded(path: &str, body: Vec<u8>) -> Vec<u8> {
    use interplanar_core::decompress::{Decoder, Limits};
    use interplanar_core::narinfo::Compression;
    let method = match path.split('/').nth(2) {
        Some("gzip") => Compression::Gzip,
        Some("zstd") => Compression::Zstd,
        Some("lzip") => Compression::Lzip,
        _ => return body,
    };
    if !path.starts_with("/nar/") {
        return body;
    }
    let limits = Limits {
        max_output: 1 << 30,
        max_window: 1 << 27,
    };
    let mut decoder = Decoder::new(method, limits).expect("a method that we read");
    let (mut input, mut nar) = (body.as_slice(), Vec::new());
    while !input.is_empty() {
        if decoder.push(&mut input, &mut nar).is_err() {
            return body;
        }
    }
    loop {
        match decoder.finish(&mut nar) {
            Ok(true) => return nar,
            Ok(false) => {}
            Err(_) => return body,
        }
    }
}

/// Returns the paths of every kind of request, good and bad.
fn requests(items: &Items, methods: &[&str]) -> Vec<String> {
    let base = |item: &str| item.rsplit('/').next().expect("a base name").to_owned();
    let mut paths: Vec<String> = [
        "/",
        "/nix-cache-info",
        "/signing-key.pub",
        "/nonsense",
        "/nonsense.narinfo",
        "/00000000000000000000000000000000.narinfo",
        "/nar/00000000000000000000000000000000-absent",
        "/nar/gzip/00000000000000000000000000000000-absent",
        "/nar/rot13/00000000000000000000000000000000-absent",
        "/nar/gzip/../../../etc/passwd",
        "/log/00000000000000000000000000000000-absent",
        "/file/absent/sha256/0000000000000000000000000000000000000000000000000000",
        "/file/absent/sha256/eee",
        "/file/absent/md5/zzz",
    ]
    .map(str::to_owned)
    .into();
    for item in [&items.tree, &items.user] {
        let base = base(item);
        paths.push(format!("/{}.narinfo", &base[..32]));
        paths.push(format!("/nar/{base}"));
        paths.extend(methods.iter().map(|method| format!("/nar/{method}/{base}")));
        paths.push(format!("/log/{base}"));
    }
    paths
}

/// Asserts that both servers respond alike to all paths.
fn compare(theirs: &str, ours: &str, paths: &[String]) {
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let mut differences = Vec::new();
    for path in paths {
        let (expected, got) = (request(&client, theirs, path), request(&client, ours, path));
        if expected != got {
            differences.push(format!(
                "GET {path}\n  guix publish: {}\n  interplanar:  {}",
                show(&expected),
                show(&got)
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} requests differ:\n{}",
        differences.len(),
        paths.len(),
        differences.join("\n")
    );
}

/// Returns a readable form of a response.
fn show(answer: &Comparable) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let body: String = body.chars().take(900).collect();
    format!("{} {:?}\n    {body:?}", answer.status, answer.headers)
}

#[test]
fn responses_without_a_cache_are_those_of_guix_publish() {
    GUIX.expect();
    let machine = Guix::new();
    let items = machine.items();
    let _key = machine.key();
    let options = [
        "--compression=gzip:6",
        "--compression=zstd:3",
        "--compression=lzip:3",
        "--ttl=2h",
        "--negative-ttl=5m",
    ];
    let theirs = machine.publish(free_port(), &options);
    let mut arguments = vec!["publish", "--port=0", "--listen=127.0.0.1"];
    arguments.extend(options);
    let ours = Program::inside(&machine.root, &arguments);
    compare(
        &theirs.url,
        &ours.url,
        &requests(&items, &["gzip", "zstd", "lzip"]),
    );
}

#[test]
fn responses_with_a_cache_are_those_of_guix_publish() {
    GUIX.expect();
    let machine = Guix::new();
    let items = machine.items();
    let _key = machine.key();
    let common = [
        "--compression=gzip:6",
        "--compression=zstd:3",
        "--ttl=30d",
        "--workers=1",
    ];
    let mut options = vec!["--cache=/var/cache/theirs"];
    options.extend(common);
    let theirs = machine.publish(free_port(), &options);
    let mut arguments = vec![
        "publish",
        "--port=0",
        "--listen=127.0.0.1",
        "--cache=/var/cache/ours",
    ];
    arguments.extend(common);
    let ours = Program::inside(&machine.root, &arguments);
    for item in [&items.tree, &items.user] {
        narinfo(&theirs.url, item, |text| text.contains("FileSize"));
        narinfo(&ours.url, item, |text| text.contains("FileSize"));
    }
    compare(&theirs.url, &ours.url, &requests(&items, &["gzip", "zstd"]));

    // An item above the bypass threshold is absent until it is baked, and the response says that it
    // bakes.
    let base = items.big.rsplit('/').next().expect("a base name");
    let client = Client::new();
    let path = format!("/{}.narinfo", &base[..32]);
    let (expected, got) = (
        request(&client, &theirs.url, &path),
        request(&client, &ours.url, &path),
    );
    assert_eq!(
        (expected.status, expected.headers),
        (got.status, got.headers)
    );
}
