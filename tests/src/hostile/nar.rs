//! NARs. The grammar is in core's `nar::wire`.

use super::{Case, Cases, Reader};
use interplanar_core::nar::{MAX_DEPTH, MAX_NAME, MAX_TARGET};

/// What a string of the archive is checked for.
#[derive(Clone, Copy)]
enum Rule {
    /// It is one of these.
    Word(&'static str),
    /// It is a name, a target or content, which has rules of its own.
    Value,
}

use Rule::{Value, Word};

const CLOSE: Rule = Word("\")\"");
const OPEN: Rule = Word("\"(\"");
const TYPE: Rule = Word("\"type\"");
const NODE_TYPE: Rule = Word("\"regular\", \"symlink\" or \"directory\"");
const IN_DIRECTORY: Rule = Word("\"entry\" or \")\"");
const NAME_KEY: Rule = Word("\"name\"");
const NODE_KEY: Rule = Word("\"node\"");

/// A directory with an executable file and a symlink: every string of the grammar, and its rule.
const WHOLE: [(&[u8], Rule); 31] = [
    (b"nix-archive-1", Word("\"nix-archive-1\"")),
    (b"(", OPEN),
    (b"type", TYPE),
    (b"directory", NODE_TYPE),
    (b"entry", IN_DIRECTORY),
    (b"(", OPEN),
    (b"name", NAME_KEY),
    (b"a", Value),
    (b"node", NODE_KEY),
    (b"(", OPEN),
    (b"type", TYPE),
    (b"regular", NODE_TYPE),
    (b"executable", Word("\"executable\" or \"contents\"")),
    (b"", Word("\"\"")),
    (b"contents", Word("\"contents\"")),
    (b"hello", Value),
    (b")", CLOSE),
    (b")", CLOSE),
    (b"entry", IN_DIRECTORY),
    (b"(", OPEN),
    (b"name", NAME_KEY),
    (b"b", Value),
    (b"node", NODE_KEY),
    (b"(", OPEN),
    (b"type", TYPE),
    (b"symlink", NODE_TYPE),
    (b"target", Word("\"target\"")),
    (b"a", Value),
    (b")", CLOSE),
    (b")", CLOSE),
    (b")", IN_DIRECTORY),
];

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

fn strings(all: &[&[u8]]) -> Vec<u8> {
    all.iter().flat_map(|each| string(each)).collect()
}

/// A directory of symlinks with these names and targets.
fn links(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = strings(&[b"nix-archive-1", b"(", b"type", b"directory"]);
    for (name, target) in entries {
        out.extend(strings(&[b"entry", b"(", b"name", name, b"node", b"("]));
        out.extend(strings(&[
            b"type", b"symlink", b"target", target, b")", b")",
        ]));
    }
    out.extend(string(b")"));
    out
}

/// A file that claims `size` bytes and has these.
fn file(size: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = strings(&[b"nix-archive-1", b"(", b"type", b"regular", b"contents"]);
    out.extend(size.to_le_bytes());
    out.extend_from_slice(bytes);
    out
}

/// Directories nested in each other.
fn nested(depth: usize) -> Vec<u8> {
    let mut out = string(b"nix-archive-1");
    for level in 0..depth {
        out.extend(strings(&[b"(", b"type", b"directory"]));
        if level + 1 < depth {
            out.extend(strings(&[b"entry", b"(", b"name", b"d", b"node"]));
        }
    }
    for level in 0..depth {
        out.extend(string(b")"));
        if level + 1 < depth {
            out.extend(string(b")"));
        }
    }
    out
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("nar", Reader::Nar);
    let whole = WHOLE.map(|(bytes, _)| bytes);
    cases.accept("whole", strings(&whole), "each string of the grammar");
    each_string(&mut cases);
    names(&mut cases);
    shapes(&mut cases);
    lengths(&mut cases);
    cases.list
}

/// Replaces each string, dirties its padding, and cuts the archive before it.
fn each_string(cases: &mut Cases) {
    let mut at = 0;
    for (index, (bytes, rule)) in WHOLE.iter().enumerate() {
        let shown = String::from_utf8_lossy(bytes);
        let replaced = |with: &[u8]| {
            let strings = WHOLE.iter().enumerate();
            let strings = strings.map(|(n, (bytes, _))| if n == index { with } else { bytes });
            strings.flat_map(string).collect::<Vec<u8>>()
        };
        if let Word(expected) = rule {
            cases.refuse(
                &format!("string-{index}-{shown}-replaced"),
                replaced(b"wrong"),
                format!("byte {at}: expected {expected}"),
                "the grammar allows no other string here",
            );
        }
        let length = bytes.len() as u64;
        if !length.is_multiple_of(8) {
            let mut dirty = replaced(bytes);
            let padding = at + 8 + length;
            let last = usize::try_from(padding.next_multiple_of(8) - 1).expect("small");
            dirty[last] = 1;
            cases.refuse(
                &format!("string-{index}-{shown}-padding"),
                dirty,
                format!("byte {padding}: padding is not zero"),
                "two encodings of one tree would have two hashes",
            );
        }
        let mut cut = replaced(bytes);
        cut.truncate(usize::try_from(at).expect("small"));
        cases.refuse(
            &format!("string-{index}-{shown}-missing"),
            cut,
            format!("the archive is truncated at byte {at}"),
            "the archive ends early",
        );
        at += string(bytes).len() as u64;
    }
}

fn names(cases: &mut Cases) {
    let invalid = "byte 128: invalid name of a directory entry";
    let long = [b'x'; MAX_NAME + 1];
    let names: [(&str, &[u8], &'static str); 9] = [
        ("empty", b"", "the path would be that of the folder itself"),
        ("dot", b".", "the path would be that of the folder itself"),
        ("dot-dot", b"..", "the path would lead out of the folder"),
        ("slash", b"a/b", "the path would lead into another folder"),
        ("leading-slash", b"/etc", "the path would be absolute"),
        (
            "climbing",
            b"../../etc/passwd",
            "the path would lead out of the folder",
        ),
        ("only-slash", b"/", "the path would be absolute"),
        ("nul", b"a\0b", "the kernel would cut the name at the NUL"),
        ("long", &long, "the kernel has no longer names"),
    ];
    for (rule, name, reason) in names {
        cases.refuse(
            &format!("name-{rule}"),
            links(&[(name, b"t")]),
            invalid,
            reason,
        );
    }
    let accepted: [(&str, &[u8], &'static str); 6] = [
        ("longest", &long[1..], "the kernel's limit"),
        ("three-dots", b"...", "only . and .. are special"),
        ("backslash", b"a\\b", "a separator on other systems only"),
        (
            "line-feed",
            b"a\nb",
            "the kernel allows it; output escapes it",
        ),
        ("not-utf-8", b"\xff\xfe", "names are bytes"),
        (
            "case-hack",
            b"a~nix~case~hack~1",
            "a suffix that means something on macOS only",
        ),
    ];
    for (rule, name, reason) in accepted {
        cases.accept(&format!("name-{rule}"), links(&[(name, b"t")]), reason);
    }
    cases.accept(
        "names-differ-in-case",
        links(&[(b"A", b"t"), (b"a", b"t")]),
        "two files on Linux",
    );
    let order =
        |at: usize| format!("byte {at}: names of directory entries are not strictly increasing");
    let one = links(&[(b"b", b"t")]).len() - 16;
    for (rule, first, second) in [
        ("equal", &b"b"[..], &b"b"[..]),
        ("decreasing", b"b", b"a"),
        ("prefix-later", b"b", b""),
    ] {
        let at = one + 48;
        let input = links(&[(first, b"t"), (second, b"t")]);
        let error = if second.is_empty() {
            format!("byte {at}: invalid name of a directory entry")
        } else {
            order(at)
        };
        cases.refuse(
            &format!("names-{rule}"),
            input,
            error,
            "a tree has one encoding",
        );
    }
    // A symlink, then a folder of the same name whose content would go through the link.
    let mut through = strings(&[b"nix-archive-1", b"(", b"type", b"directory"]);
    through.extend(strings(&[b"entry", b"(", b"name", b"b", b"node", b"("]));
    through.extend(strings(&[
        b"type", b"symlink", b"target", b"/tmp", b")", b")",
    ]));
    let at = through.len() + 48;
    through.extend(strings(&[
        b"entry",
        b"(",
        b"name",
        b"b",
        b"node",
        b"(",
        b"type",
        b"directory",
    ]));
    through.extend(strings(&[
        b"entry", b"(", b"name", b"x", b"node", b"(", b"type", b"regular",
    ]));
    through.extend(strings(&[
        b"contents",
        b"evil",
        b")",
        b")",
        b")",
        b")",
        b")",
    ]));
    cases.refuse(
        "names-link-then-folder",
        through,
        order(at),
        "the folder's files would be written where the link leads",
    );
}

fn shapes(cases: &mut Cases) {
    let target = |target: &[u8]| {
        let head: &[&[u8]] = &[b"nix-archive-1", b"(", b"type", b"symlink", b"target"];
        let mut out = strings(head);
        out.extend(strings(&[target, b")"]));
        out
    };
    let at = strings(&[b"nix-archive-1", b"(", b"type", b"symlink", b"target"]).len();
    let invalid = format!("byte {at}: invalid target of a symlink");
    let long = vec![b't'; MAX_TARGET + 1];
    cases.refuse(
        "target-empty",
        target(b""),
        &*invalid,
        "the kernel makes no such link",
    );
    cases.refuse(
        "target-nul",
        target(b"a\0b"),
        &*invalid,
        "the kernel would cut the target at the NUL",
    );
    cases.refuse(
        "target-long",
        target(&long),
        &*invalid,
        "the kernel has no longer targets",
    );
    cases.accept("target-longest", target(&long[1..]), "the kernel's limit");
    cases.accept(
        "target-outside",
        target(b"../../../etc/passwd"),
        "a link may lead anywhere; nothing follows it",
    );

    cases.accept("depth-64", nested(MAX_DEPTH), "the limit");
    let deep = nested(MAX_DEPTH + 1);
    // Each level has 136 bytes before the next one; the type of the last stands 32 bytes into it.
    let at = 24 + MAX_DEPTH * 136 + 32;
    cases.refuse(
        "depth-65",
        deep,
        format!("byte {at}: directories are nested too deeply (at most 64)"),
        "Nix has the same limit, and each level costs memory",
    );
    let file: &[&[u8]] = &[b"nix-archive-1", b"(", b"type", b"regular"];
    let after = strings(file).len();
    let with = |more: &[&[u8]]| strings(&[file, more].concat());
    let expected = format!("byte {after}: expected \"executable\" or \"contents\"");
    cases.refuse(
        "file-without-contents",
        with(&[b")"]),
        &*expected,
        "an empty file has contents too",
    );
    cases.accept(
        "file-empty",
        with(&[b"contents", b"", b")"]),
        "no bytes, no padding",
    );
    cases.refuse(
        "file-contents-twice",
        with(&[b"contents", b"", b"contents", b"", b")"]),
        format!("byte {}: expected \")\"", after + 24),
        "a file has one content",
    );
    cases.refuse(
        "file-executable-twice",
        with(&[
            b"executable",
            b"",
            b"executable",
            b"",
            b"contents",
            b"",
            b")",
        ]),
        format!("byte {}: expected \"contents\"", after + 32),
        "the mark occurs once",
    );
    cases.refuse(
        "file-executable-after-contents",
        with(&[b"contents", b"", b"executable", b"", b")"]),
        format!("byte {}: expected \")\"", after + 24),
        "the mark stands before the content",
    );
    cases.refuse(
        "type-unknown",
        strings(&[b"nix-archive-1", b"(", b"type", b"fifo", b")"]),
        "byte 56: expected \"regular\", \"symlink\" or \"directory\"",
        "a store item has no devices, sockets or pipes",
    );
    cases.refuse(
        "root-empty",
        strings(&[b"nix-archive-1", b"(", b")"]),
        "byte 40: expected \"type\"",
        "a node has a type",
    );
    let entry: &[&[u8]] = &[
        b"nix-archive-1",
        b"(",
        b"type",
        b"directory",
        b"entry",
        b"(",
    ];
    let after = strings(entry).len();
    cases.refuse(
        "entry-empty",
        strings(&[entry, &[b")", b")"]].concat()),
        format!("byte {after}: expected \"name\""),
        "an entry has a name",
    );
    cases.refuse(
        "entry-without-node",
        strings(&[entry, &[b"name", b"a", b")", b")"]].concat()),
        format!("byte {}: expected \"node\"", after + 32),
        "an entry has a node",
    );
    let mut trailing = links(&[]);
    let end = trailing.len();
    let trailing_error = format!("byte {end}: bytes follow the end of the archive");
    trailing.push(0);
    cases.refuse(
        "trailing-zero",
        trailing,
        &*trailing_error,
        "a tree has one encoding",
    );
    cases.refuse(
        "trailing-archive",
        links(&[]).repeat(2),
        &*trailing_error,
        "a tree has one encoding",
    );
    cases.refuse(
        "nothing",
        vec![],
        "the archive is truncated at byte 0",
        "there is no archive",
    );
    cases.refuse(
        "export",
        [&1_u64.to_le_bytes()[..], &links(&[])].concat(),
        "byte 0: expected \"nix-archive-1\"",
        "the export format of `nix-store --export` is another one",
    );
}

fn lengths(cases: &mut Cases) {
    for (rule, length) in [
        ("2-pow-64-less-1", u64::MAX),
        ("2-pow-64-less-8", u64::MAX - 7),
        ("2-pow-63", 1 << 63),
        ("2-pow-40", 1 << 40),
        ("5000", 5_000),
    ] {
        let mut magic = links(&[]);
        magic[..8].copy_from_slice(&length.to_le_bytes());
        cases.refuse(
            &format!("length-of-magic-{rule}"),
            magic,
            "byte 0: expected \"nix-archive-1\"",
            "longer than any string of the grammar, so nothing is allocated for it",
        );
        let mut name = links(&[(b"a", b"t")]);
        name[128..136].copy_from_slice(&length.to_le_bytes());
        cases.refuse(
            &format!("length-of-name-{rule}"),
            name,
            "byte 128: invalid name of a directory entry",
            "longer than any string of the grammar, so nothing is allocated for it",
        );
        let claimed = file(length, b"hello");
        let end = claimed.len();
        cases.refuse(
            &format!("length-of-content-{rule}"),
            claimed,
            format!("the archive is truncated at byte {end}"),
            "content is passed on, never collected",
        );
    }
}
