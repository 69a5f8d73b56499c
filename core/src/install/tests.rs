//! Tests of URLs, addresses, paces and trials.

use super::checker::{Fault, Stop};
use super::*;
use crate::decompress::DecompressError;
use crate::hash::Sha256;
use crate::nar::NarError;
use crate::narinfo::Compression;
use std::format;
use std::string::ToString;
use std::vec::Vec;

#[test]
fn urls_are_joined_as_browsers_join_them() {
    let table = [
        ("http://a/b/c/", "nar/x.nar", "http://a/b/c/nar/x.nar"),
        ("http://a/b/c", "nar/x.nar", "http://a/b/nar/x.nar"),
        ("http://a", "nar/x.nar", "http://a/nar/x.nar"),
        ("http://a/b/", "/nar/x", "http://a/nar/x"),
        ("http://a/b/", "//C:81/x", "http://c:81/x"),
        ("http://a/b/", "HTTPS://C/x", "https://c/x"),
        ("http://a/b/c?d=e", "?f", "http://a/b/c?f"),
        ("http://a/b/c/", "../../../x", "http://a/x"),
        ("http://a/b/c/", "./x/..", "http://a/b/c/"),
        ("http://a/b/", "%2E%2e/x#part", "http://a/x"),
        (
            "http://a/b/",
            "x y\\\u{e9}?q=\"",
            "http://a/b/x%20y%5C%C3%A9?q=%22",
        ),
        ("http://a/b/", "x%20y", "http://a/b/x%20y"),
        ("http://a/b/", "x:y/z", ""),
        ("http://a/b/", "ipfs://bafkqaaa", ""),
        ("http://a/b/", "http://user@c/", ""),
        ("http://a/b/", "http:///x", ""),
        ("http://a/b/", "http:/x", ""),
        ("http://a/b/", "\\\\c\\x", "http://a/b/%5C%5Cc%5Cx"),
        ("ftp://a/b/", "x", ""),
    ];
    for (base, reference, joined) in table {
        let found = join(base, reference).unwrap_or_default();
        assert_eq!(found, joined, "{base} {reference}");
    }
    assert_eq!(host("https://A.example:81/x").as_deref(), Some("a.example"));
    assert_eq!(host("http://[::1]:81/x").as_deref(), Some("::1"));
    assert_eq!(host("ipfs://a/"), None);
    assert_eq!(
        join("http://a/", &"x".repeat(crate::cid::MAX_URL + 1)),
        None
    );
}

#[test]
fn private_and_reserved_hosts_are_private() {
    for public in [
        "cache.example.org",
        "8.8.8.8",
        "172.32.0.1",
        "2606:4700::1111",
        "cache.example.org.",
    ] {
        assert!(!is_private(public), "{public}");
    }
    for private in [
        "localhost",
        "a.localhost",
        "router",
        "nas.local",
        "x.internal",
        "1.0.0.127.in-addr.arpa",
        "127.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.9.9",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "fe80::1",
        "fd00::1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001:0:1::",
        "64:ff9b::7f00:1",
        "ff02::1",
        "",
        "127.0.0.1.",
        "localhost.",
    ] {
        assert!(is_private(private), "{private}");
    }
}

fn source(name: &str) -> Source {
    Source {
        place: Place::Http(name.to_string()),
        compression: Compression::None,
        file_size: None,
    }
}

#[test]
fn the_end_of_a_source_shows_which_source_was_wrong() {
    type End = Attempt<DecompressError>;
    type Ends = [(bool, End)];
    let wrong = || {
        let (found, expected) = (Sha256::of(b"x"), Sha256::of(b"y"));
        Stop::Wrong(Fault::Hash { found, expected })
    };
    let short = Fault::TooShort {
        found: 1,
        expected: 2,
    };
    let judged = |ends: &[(bool, End)]| {
        let mut trial = Trial::default();
        let mut last = None;
        for (index, (contributed, end)) in ends.iter().enumerate() {
            last = Some(trial.judge(source(&format!("{index}")), *contributed, end));
        }
        let (next, wrong) = last.unwrap();
        (next, wrong.iter().map(Source::name).collect::<Vec<_>>())
    };
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let malformed = NarError::Padding { at: 1 };
    let table: [(&Ends, Next, Vec<_>); 11] = [
        (&[(true, End::Complete)], Next::Complete, names(&[])),
        (&[(true, End::Interrupted)], Next::Another, names(&[])),
        (&[(false, End::Unfit)], Next::Another, names(&["0"])),
        (&[(true, End::Unfit)], Next::Another, names(&["0"])),
        (
            &[(false, End::Stopped(wrong()))],
            Next::Another,
            names(&["0"]),
        ),
        (
            &[(true, End::Stopped(wrong()))],
            Next::GiveUp,
            names(&["0"]),
        ),
        (
            &[(true, End::Stopped(Stop::Wrong(short)))],
            Next::Another,
            names(&["0"]),
        ),
        (
            &[(
                true,
                End::Stopped(Stop::Wrong(Fault::Malformed(malformed.clone()))),
            )],
            Next::Another,
            names(&["0"]),
        ),
        (
            &[
                (true, End::Interrupted),
                (false, End::Stopped(Stop::Malformed(malformed))),
            ],
            Next::GiveUp,
            names(&[]),
        ),
        (
            &[(true, End::Stopped(Stop::Gone))],
            Next::GiveUp,
            names(&[]),
        ),
        (
            &[
                (true, End::Interrupted),
                (false, End::Interrupted),
                (true, End::Interrupted),
                (false, End::Stopped(Stop::TooLate)),
            ],
            Next::GiveUp,
            names(&["0", "2"]),
        ),
    ];
    for (ends, next, wrong) in table {
        assert_eq!(judged(ends), (next, wrong), "{ends:?}");
    }
}

#[test]
fn a_source_that_sends_too_slowly_is_detected() {
    let mut pace = Pace::default();
    assert!(pace.keeps(100, 29_999));
    assert!(!pace.keeps(100, 1));
    assert!(pace.keeps(40_000, 29_999));
    assert!(pace.keeps(1, 1));
}
