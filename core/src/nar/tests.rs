use super::*;
use crate::hash::Sha256;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;
use std::{format, fs, vec};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

/// Every plain NAR that Guix 1.5.0 and Nix 2.34.8 wrote.
fn nars() -> Vec<Vec<u8>> {
    let folders = ["guix-1.5.0/nar/none", "nix-2.34.8/none/nar"];
    let files = folders
        .iter()
        .flat_map(|folder| fs::read_dir(fixtures().join(folder)).unwrap());
    let all: Vec<_> = files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert_eq!(all.len(), 4);
    all
}

/// Events without borrowed data, with adjacent file data joined.
#[derive(Debug, Clone, PartialEq)]
enum OwnedEvent {
    Plain(String),
    Data(Vec<u8>),
}

fn parse(nar: &[u8], step: usize) -> Result<Vec<OwnedEvent>, NarError> {
    let mut parser = Parser::new();
    let mut events = vec![];
    for mut piece in nar.chunks(step) {
        loop {
            match parser.push(&mut piece)? {
                Some(Event::FileData(data)) => match events.last_mut() {
                    Some(OwnedEvent::Data(all)) => all.extend_from_slice(data),
                    _ => events.push(OwnedEvent::Data(data.to_vec())),
                },
                Some(event) => events.push(OwnedEvent::Plain(format!("{event:?}"))),
                None if piece.is_empty() => break,
                None => {}
            }
        }
    }
    parser.finish()?;
    Ok(events)
}

fn encode(nar: &[u8]) -> Vec<u8> {
    let (mut parser, mut encoder, mut out) = (Parser::new(), Encoder::new(), vec![]);
    let mut input = nar;
    while let Some(event) = parser.push(&mut input).unwrap() {
        encoder.write(event, &mut out).unwrap();
    }
    assert_eq!(encoder.position(), out.len() as u64);
    out
}

#[test]
fn real_archives_read_and_write_back_byte_for_byte() {
    for nar in nars() {
        assert_eq!(encode(&nar), nar);
    }
}

#[test]
fn the_hash_of_a_real_archive_is_its_narinfos() {
    let narinfo = fs::read_to_string(
        fixtures().join("nix-2.34.8/none/bnfap3gvj3v0k345a5zkxwyd38m1f2s5.narinfo"),
    )
    .unwrap();
    assert!(
        nars()
            .iter()
            .any(|nar| narinfo.contains(&format!("NarHash: {}\n", Sha256::of(nar))))
    );
}

#[test]
fn every_split_of_the_input_gives_the_same_events() {
    for nar in nars() {
        let whole = parse(&nar, nar.len()).unwrap();
        for step in 1..nar.len() {
            assert_eq!(parse(&nar, step).as_ref(), Ok(&whole), "{step}");
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    for nar in nars() {
        for end in 0..nar.len() {
            assert_eq!(
                parse(&nar[..end], 64),
                Err(NarError::Truncated { at: end as u64 })
            );
        }
    }
}

#[test]
fn bytes_after_the_archive_are_an_error() {
    for mut nar in nars() {
        nar.push(0);
        let at = nar.len() as u64 - 1;
        assert_eq!(parse(&nar, 7), Err(NarError::Trailing { at }));
    }
}

/// A flipped byte never yields the original events. (Flipped content parses, but its hash differs.)
#[test]
fn no_flipped_byte_reads_as_the_original() {
    for nar in nars() {
        let whole = parse(&nar, nar.len()).unwrap();
        for at in 0..nar.len() {
            let mut flipped = nar.clone();
            flipped[at] ^= 0x20;
            assert_ne!(parse(&flipped, flipped.len()).as_ref(), Ok(&whole), "{at}");
        }
    }
}

fn archive(events: &[Event<'_>]) -> Result<Vec<u8>, NarError> {
    let (mut encoder, mut out) = (Encoder::new(), vec![]);
    for event in events {
        encoder.write(*event, &mut out)?;
    }
    Ok(out)
}

/// Each archive gives its error, however it is split, and hashes to what it is.
#[test]
fn each_broken_rule_of_the_grammar_has_its_error() {
    let all = malformed::malformed();
    assert!(all.len() > 100, "{}", all.len());
    for one in all {
        for step in [1, 7, 64, one.nar.len().max(1)] {
            let found = parse(&one.nar, step);
            assert_eq!(found, Err(one.error.clone()), "{} in {step}s", one.rule);
            let mut hasher = NarHasher::new();
            one.nar.chunks(step).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finish(), Err(one.error.clone()), "{}", one.rule);
            let size = one.nar.len() as u64;
            assert_eq!((hasher.hash(), hasher.size()), (Sha256::of(&one.nar), size));
        }
    }
}

#[test]
fn a_well_formed_archive_passes_the_hasher() {
    for nar in nars() {
        for step in [1, 7, nar.len()] {
            let mut hasher = NarHasher::new();
            nar.chunks(step).for_each(|piece| hasher.update(piece));
            assert_eq!((hasher.finish(), hasher.error()), (Ok(()), None));
            assert_eq!(hasher.hash(), Sha256::of(&nar));
        }
    }
}

/// Encodes a directory of symlinks with these names, without any check.
fn unchecked(names: &[&[u8]]) -> Vec<u8> {
    let string = |bytes: &[u8]| {
        let mut out = (bytes.len() as u64).to_le_bytes().to_vec();
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    };
    let mut all: Vec<&[u8]> = vec![b"nix-archive-1", b"(", b"type", b"directory"];
    for name in names {
        all.extend([
            b"entry".as_slice(),
            b"(",
            b"name",
            name,
            b"node",
            b"(",
            b"type",
            b"symlink",
            b"target",
            b"t",
            b")",
            b")",
        ]);
    }
    all.push(b")");
    all.into_iter().flat_map(string).collect()
}

#[test]
fn unsafe_names_are_refused_by_parser_and_encoder() {
    let long = [b'x'; 256];
    for name in [b"".as_slice(), b".", b"..", b"a/b", b"/", b"a\0b", &long] {
        assert_eq!(
            parse(&unchecked(&[name]), 999),
            Err(NarError::Name { at: 128 }),
            "{name:?}"
        );
        let written = archive(&[Event::DirectoryStart, Event::EntryStart { name }]);
        assert!(matches!(written, Err(NarError::Name { .. })), "{name:?}");
    }
    assert!(parse(&unchecked(&[&[b'x'; 255]]), 999).is_ok());
}

#[test]
fn names_must_increase() {
    for names in [[b"b".as_slice(), b"a"], [b"a", b"a"], [b"a\xff", b"a"]] {
        assert!(
            matches!(parse(&unchecked(&names), 999), Err(NarError::Order { .. })),
            "{names:?}"
        );
    }
    assert!(parse(&unchecked(&[b"A", b"a", b"aa", b"b"]), 999).is_ok());
}

#[test]
fn a_huge_length_is_refused_before_anything_is_buffered() {
    let mut nar = unchecked(&[b"a"]);
    nar[128..136].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(parse(&nar, 999), Err(NarError::Name { at: 128 }));
    nar[..8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    assert_eq!(
        parse(&nar, 999),
        Err(NarError::Token {
            at: 0,
            expected: "\"nix-archive-1\""
        })
    );
}

#[test]
fn padding_must_be_zero() {
    let mut nar = unchecked(&[b"a"]);
    nar[137] = 1;
    assert_eq!(parse(&nar, 999), Err(NarError::Padding { at: 137 }));
}

#[test]
fn nested_directories_have_a_limit() {
    let mut events = vec![];
    for _ in 0..MAX_DEPTH {
        events.extend([Event::DirectoryStart, Event::EntryStart { name: b"d" }]);
    }
    assert!(archive(&events).is_ok());
    events.push(Event::DirectoryStart);
    assert!(matches!(archive(&events), Err(NarError::Depth { .. })));
}

#[test]
fn the_encoder_refuses_what_the_grammar_does_not_allow() {
    let file = |size| Event::FileStart {
        executable: true,
        size,
        offset: 0,
    };
    assert_eq!(archive(&[Event::End]), Err(NarError::Misplaced { at: 0 }));
    assert!(matches!(
        archive(&[file(1), Event::FileEnd]),
        Err(NarError::Misplaced { .. })
    ));
    assert!(matches!(
        archive(&[file(1), Event::FileData(b"ab")]),
        Err(NarError::Misplaced { .. })
    ));
    assert!(matches!(
        archive(&[Event::Symlink { target: b"" }]),
        Err(NarError::Target { .. })
    ));
    assert!(archive(&[file(0), Event::FileEnd, Event::End]).is_ok());
}

fn listing(nar: &[u8]) -> Listing {
    let (mut parser, mut listing) = (Parser::new(), Listing::new());
    let mut input = nar;
    while let Some(event) = parser.push(&mut input).unwrap() {
        listing.push(event).unwrap();
    }
    listing
}

#[test]
fn the_listing_equals_that_of_nix() {
    let folder = fixtures().join("nix-2.34.8/none");
    let ls = fs::read_to_string(folder.join("bnfap3gvj3v0k345a5zkxwyd38m1f2s5.ls")).unwrap();
    let nar = fs::read(folder.join("nar/0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww.nar"))
        .unwrap();
    let listing = listing(&nar);
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(&listing.to_json()), value(&ls));
    assert_eq!(Listing::from_json(&ls), Some(listing.clone()));
    for entry in listing.entries() {
        if let Node::File {
            size, nar_offset, ..
        } = entry.node
        {
            assert!(nar_offset + size <= nar.len() as u64);
        }
    }
    let found = listing.lookup("sub/naïve ü".as_bytes()).unwrap();
    let Node::File {
        size: 2,
        nar_offset: 1184,
        executable: false,
    } = found.node
    else {
        panic!("{found:?}")
    };
    assert_eq!(
        listing.lookup(b"").map(|entry| &entry.node),
        Some(&Node::Directory)
    );
    assert_eq!(listing.lookup(b"a/x"), None);
    assert_eq!(listing.lookup(b"naive"), None);
}

#[test]
fn malformed_listings_give_none() {
    for text in [
        "",
        "{}",
        r#"{"version":2,"root":{"type":"directory","entries":{}}}"#,
        r#"{"version":1,"root":{"type":"fifo"}}"#,
    ] {
        assert_eq!(Listing::from_json(text), None, "{text}");
    }
}

#[test]
fn a_restore_plan_has_whole_paths() {
    let nar = unchecked(&[b"a", b"b"]);
    let (mut parser, mut restore, mut steps) = (Parser::new(), Restore::new(), vec![]);
    let mut input = nar.as_slice();
    while let Some(event) = parser.push(&mut input).unwrap() {
        steps.extend(restore.step(event).map(|step| format!("{step:?}")));
    }
    let expected = [
        RestoreStep::CreateDirectory { path: b"" },
        RestoreStep::Symlink {
            path: b"a",
            target: b"t",
        },
        RestoreStep::Symlink {
            path: b"b",
            target: b"t",
        },
        RestoreStep::FinishDirectory { path: b"" },
    ];
    assert_eq!(steps, expected.map(|step| format!("{step:?}")));
}

#[test]
fn a_skim_gives_the_whole_listing_however_the_archive_is_split() {
    for nar in nars() {
        let (mut parser, mut listing, mut rest) = (Parser::new(), Listing::new(), nar.as_slice());
        while let Some(event) = parser.push(&mut rest).unwrap() {
            listing.push(event).unwrap();
        }
        for step in [1, 3, 100, 4096, nar.len()] {
            let (mut skim, mut read) = (NarSkimmer::new(), 0);
            while !skim.is_done() {
                let at = usize::try_from(skim.position()).unwrap();
                let end = nar.len().min((at / step + 1) * step);
                read += end - at;
                skim.push(&nar[at..end]).unwrap();
            }
            assert_eq!(skim.position(), nar.len() as u64);
            assert_eq!(*skim.listing(), listing);
            assert!(step > 1 || read < nar.len(), "contents were read");
        }
    }
}

#[test]
fn a_skim_of_half_an_archive_is_not_done_and_of_a_malformed_one_fails() {
    let nar = nars().swap_remove(0);
    let mut skim = NarSkimmer::new();
    skim.push(&nar[..100]).unwrap();
    assert!(!skim.is_done());
    let mut skim = NarSkimmer::new();
    let error = skim.push(&[1; 100]);
    assert!(
        matches!(error, Err(NarError::Token { at: 0, .. })),
        "{error:?}"
    );
}
