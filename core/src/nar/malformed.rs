//! Malformed archives: each breaks one rule of the grammar once. Tests of other crates include this
//! file too, so `super` has to provide `NarError`.

use super::NarError;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

/// An archive that breaks one rule.
pub(crate) struct Malformed {
    /// The rule, for messages of tests.
    pub(crate) rule: String,
    /// The bytes.
    pub(crate) nar: Vec<u8>,
    /// The error that names the rule.
    pub(crate) error: NarError,
}

const FILE: [&[u8]; 7] = [
    b"nix-archive-1",
    b"(",
    b"type",
    b"regular",
    b"contents",
    b"abc",
    b")",
];
const EXECUTABLE: [&[u8]; 9] = [
    b"nix-archive-1",
    b"(",
    b"type",
    b"regular",
    b"executable",
    b"",
    b"contents",
    b"abc",
    b")",
];
const LINK: [&[u8]; 7] = [
    b"nix-archive-1",
    b"(",
    b"type",
    b"symlink",
    b"target",
    b"elsewhere",
    b")",
];
/// Index of a file's content in [`FILE`].
const CONTENT: usize = 5;
/// Index of the target in [`LINK`].
const TARGET: usize = 5;
/// Index of the first name in [`directory`].
const NAME: usize = 7;
/// Strings of an entry in [`directory`].
const ENTRY: usize = 12;
/// A string that the grammar doesn't have.
const UNKNOWN: &[u8] = b"x";

/// Returns the strings of a directory of symlinks with these names.
fn directory<'a>(names: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut strings: Vec<&[u8]> = vec![b"nix-archive-1", b"(", b"type", b"directory"];
    for name in names {
        strings.extend([b"entry".as_slice(), b"(", b"name", name, b"node"]);
        strings.extend([b"(".as_slice(), b"type", b"symlink", b"target", b"t", b")"]);
        strings.push(b")");
    }
    strings.push(b")");
    strings
}

/// Encodes a string with its length and padding.
fn encode(string: &[u8]) -> Vec<u8> {
    let mut out = (string.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(string);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

fn archive(strings: &[&[u8]]) -> Vec<u8> {
    strings.iter().flat_map(|string| encode(string)).collect()
}

/// Returns the offset of the string with this index.
fn offset(strings: &[&[u8]], index: usize) -> u64 {
    archive(&strings[..index]).len() as u64
}

/// Returns the archives of all kinds.
pub(crate) fn malformed() -> Vec<Malformed> {
    let mut all = vec![];
    let mut add = |rule: &str, nar, error| {
        let rule = String::from(rule);
        all.push(Malformed { rule, nar, error });
    };
    tokens(&mut add);
    names_and_targets(&mut add);
    sizes_and_padding(&mut add);
    ends(&mut add);
    all
}

type Add<'a> = &'a mut dyn FnMut(&str, Vec<u8>, NarError);

/// One string of the grammar is another one, or the strings are in the wrong order.
fn tokens(add: Add<'_>) {
    let type_of_node = "\"regular\", \"symlink\" or \"directory\"";
    let one = directory(&[b"a"]);
    let replaced: [(&[&[u8]], usize, &'static str); 21] = [
        (&FILE, 0, "\"nix-archive-1\""),
        (&FILE, 1, "\"(\""),
        (&FILE, 2, "\"type\""),
        (&FILE, 3, type_of_node),
        (&FILE, 4, "\"executable\" or \"contents\""),
        (&FILE, 6, "\")\""),
        (&EXECUTABLE, 5, "\"\""),
        (&EXECUTABLE, 6, "\"contents\""),
        (&EXECUTABLE, 8, "\")\""),
        (&LINK, 4, "\"target\""),
        (&LINK, 6, "\")\""),
        (&one, 4, "\"entry\" or \")\""),
        (&one, 5, "\"(\""),
        (&one, 6, "\"name\""),
        (&one, 8, "\"node\""),
        (&one, 9, "\"(\""),
        (&one, 10, "\"type\""),
        (&one, 11, type_of_node),
        (&one, 14, "\")\""),
        (&one, 15, "\")\""),
        (&one, 16, "\"entry\" or \")\""),
    ];
    for (strings, index, expected) in replaced {
        let at = offset(strings, index);
        let mut wrong = strings.to_vec();
        wrong[index] = UNKNOWN;
        let rule = format!("string {index} of {} is unknown", strings.len());
        add(&rule, archive(&wrong), NarError::Token { at, expected });
    }
    let mut older = FILE;
    older[0] = b"nix-archive-0";
    let (at, expected) = (0, "\"nix-archive-1\"");
    add(
        "another version",
        archive(&older),
        NarError::Token { at, expected },
    );
    let mut content_first = EXECUTABLE.to_vec();
    content_first[4..8].rotate_left(2);
    let (at, expected) = (offset(&content_first, 6), "\")\"");
    add(
        "the executable mark after the content",
        archive(&content_first),
        NarError::Token { at, expected },
    );
    let mut node_first = one.clone();
    node_first.swap(NAME - 1, NAME + 1);
    let (at, expected) = (offset(&one, NAME - 1), "\"name\"");
    add(
        "the node before the name",
        archive(&node_first),
        NarError::Token { at, expected },
    );
    let mut twice = FILE.to_vec();
    twice.splice(2..2, [b"type".as_slice(), b"regular"]);
    let (at, expected) = (offset(&twice, 4), "\"executable\" or \"contents\"");
    add(
        "two types",
        archive(&twice),
        NarError::Token { at, expected },
    );
    let empty = [FILE[0], b"(", b"type", b"regular", b")"];
    let at = offset(&empty, 4);
    add(
        "a file without content",
        archive(&empty),
        NarError::Token { at, expected },
    );
    // Nix's oldest writers had files without the parenthesis that ends them.
    let unopened = [FILE[0], b"type", b"regular"];
    let (at, expected) = (offset(&unopened, 1), "\"(\"");
    add(
        "a node without a parenthesis",
        archive(&unopened),
        NarError::Token { at, expected },
    );
}

/// Names that lead elsewhere or are out of order, and targets that no link can have.
fn names_and_targets(add: Add<'_>) {
    let at = offset(&directory(&[b"a"]), NAME);
    let long = [b'x'; 256];
    let names: [(&str, &[u8]); 9] = [
        ("an empty name", b""),
        ("the name .", b"."),
        ("the name ..", b".."),
        ("a slash in a name", b"a/b"),
        ("a slash at the start of a name", b"/a"),
        ("a slash at the end of a name", b"a/"),
        ("only a slash as a name", b"/"),
        ("NUL in a name", b"a\0b"),
        ("a name of 256 bytes", &long),
    ];
    for (rule, name) in names {
        add(rule, archive(&directory(&[name])), NarError::Name { at });
    }
    let orders: [(&str, [&[u8]; 2]); 5] = [
        ("a name twice", [b"a", b"a"]),
        ("names that decrease", [b"b", b"a"]),
        ("a prefix after its longer name", [b"ab", b"a"]),
        ("names in the order of a locale", [b"a", b"B"]),
        ("bytes in the order of signed numbers", [b"\xff", b"a"]),
    ];
    for (rule, names) in orders {
        let strings = directory(&names);
        let at = offset(&strings, NAME + ENTRY);
        add(rule, archive(&strings), NarError::Order { at });
    }
    let at = offset(&LINK, TARGET);
    let long = [b'x'; 4096];
    let targets: [(&str, &[u8]); 3] = [
        ("an empty target", b""),
        ("NUL in a target", b"a\0b"),
        ("a target of 4096 bytes", &long),
    ];
    for (rule, target) in targets {
        let mut strings = LINK;
        strings[TARGET] = target;
        add(rule, archive(&strings), NarError::Target { at });
    }
}

/// Lengths that can't be right, and padding that isn't zero.
fn sizes_and_padding(add: Add<'_>) {
    let one = directory(&[b"a"]);
    let with_length = |strings: &[&[u8]], index, length: u64| {
        let (mut nar, at) = (archive(strings), offset(strings, index));
        let start = at as usize;
        nar[start..start + 8].copy_from_slice(&length.to_le_bytes());
        (nar, at)
    };
    for length in [u64::MAX, 1 << 40, 5000] {
        let (nar, at) = with_length(&FILE, 0, length);
        let expected = "\"nix-archive-1\"";
        add(
            &format!("a string of {length} bytes"),
            nar,
            NarError::Token { at, expected },
        );
        let (nar, at) = with_length(&one, NAME, length);
        add(
            &format!("a name of {length} bytes"),
            nar,
            NarError::Name { at },
        );
        let (nar, at) = with_length(&LINK, TARGET, length);
        add(
            &format!("a target of {length} bytes"),
            nar,
            NarError::Target { at },
        );
    }
    for length in [u64::MAX, 1 << 40] {
        let nar = with_length(&FILE, CONTENT, length).0;
        let at = nar.len() as u64;
        add(
            &format!("a file of {length} bytes"),
            nar,
            NarError::Truncated { at },
        );
    }
    // The content is then read as the length of the next string.
    let (nar, at) = with_length(&FILE, CONTENT, 0);
    let (at, expected) = (at + 8, "\")\"");
    add(
        "a file size that is too small",
        nar,
        NarError::Token { at, expected },
    );

    for (rule, strings, index) in [
        ("the magic's padding", &FILE[..], 0),
        ("a parenthesis's padding", &FILE, 1),
        ("a type's padding", &FILE, 3),
        ("a file's padding", &FILE, CONTENT),
        ("the last padding", &FILE, 6),
        ("the executable mark's padding", &EXECUTABLE, 4),
        ("a target's padding", &LINK, TARGET),
        ("a name's padding", &one, NAME),
    ] {
        let at = offset(strings, index) + 8 + strings[index].len() as u64;
        // Its last byte alone is wrong.
        let last = offset(strings, index + 1) as usize - 1;
        let mut nar = archive(strings);
        nar[last] = 1;
        add(rule, nar, NarError::Padding { at });
    }
}

/// Archives that go on, are too deep, or are cut short.
fn ends(add: Add<'_>) {
    let one = directory(&[b"a"]);
    for (rule, strings) in [("a file", &FILE[..]), ("a link", &LINK), ("a folder", &one)] {
        let at = archive(strings).len() as u64;
        for (rest, more) in [
            ("a zero", vec![0]),
            ("a parenthesis", encode(b")")),
            ("an archive", archive(&FILE)),
        ] {
            let nar = [archive(strings), more].concat();
            add(
                &format!("{rest} behind {rule}"),
                nar,
                NarError::Trailing { at },
            );
        }
    }
    let mut deep: Vec<&[u8]> = vec![b"nix-archive-1"];
    for _ in 0..64 {
        deep.extend([b"(".as_slice(), b"type", b"directory", b"entry", b"("]);
        deep.extend([b"name".as_slice(), b"d", b"node"]);
    }
    let at = offset(&deep, deep.len()) + offset(&[b"(", b"type"], 2);
    deep.extend([b"(".as_slice(), b"type", b"directory", b")"]);
    for _ in 0..64 {
        deep.extend([b")".as_slice(), b")"]);
    }
    add("65 nested folders", archive(&deep), NarError::Depth { at });
    for (rule, strings) in [
        ("a file", &EXECUTABLE[..]),
        ("a link", &LINK),
        ("a folder", &one),
    ] {
        let whole = archive(strings);
        for index in 0..strings.len() {
            for cut in [offset(strings, index), offset(strings, index + 1) - 1] {
                let nar = whole[..cut as usize].to_vec();
                add(
                    &format!("{rule} of {cut} bytes"),
                    nar,
                    NarError::Truncated { at: cut },
                );
            }
        }
    }
}
