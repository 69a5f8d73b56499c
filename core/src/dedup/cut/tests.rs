use super::elf;
use super::*;
use crate::nar::Encoder;
use std::format;
use std::string::String;
use std::vec;

/// Hash parts of the same length, as before and after a rebuild.
const BEFORE: [&str; 2] = [
    "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r",
    "bnfap3gvj3v0k345a5zkxwyd38m1f2s5",
];
const AFTER: [&str; 2] = [
    "0123456789abcdfghijklmnpqrsvwxyz",
    "agkhnj5wmbrb40rigsyf6ynkdi22d89g",
];

/// Bytes that look random and are the same in each run.
pub(in crate::dedup) fn content(length: usize) -> Vec<u8> {
    seeded(0x9e37_79b9_7f4a_7c15, length)
}

pub(in crate::dedup) fn seeded(mut state: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Sizes at which small inputs are cut in every way.
pub(in crate::dedup) fn tiny() -> Parameters {
    let sizes = Sizes {
        min: 256,
        average: 1024,
        max: 4096,
    };
    Parameters::new(2048, 64, sizes, sizes).unwrap()
}

#[derive(Clone)]
pub(in crate::dedup) enum Tree {
    File(Vec<u8>),
    Link(String),
    Directory(Vec<(String, Tree)>),
}

pub(in crate::dedup) fn nar(tree: &Tree) -> Vec<u8> {
    fn node(tree: &Tree, encoder: &mut Encoder, out: &mut Vec<u8>) {
        let mut write = |event| encoder.write(event, out).unwrap();
        match tree {
            Tree::File(bytes) => {
                let (executable, size, offset) = (false, bytes.len() as u64, 0);
                write(Event::FileStart {
                    executable,
                    size,
                    offset,
                });
                write(Event::FileData(bytes));
                write(Event::FileEnd);
            }
            Tree::Link(target) => write(Event::Symlink {
                target: target.as_bytes(),
            }),
            Tree::Directory(entries) => {
                write(Event::DirectoryStart);
                for (name, tree) in entries {
                    let name = name.as_bytes();
                    encoder.write(Event::EntryStart { name }, out).unwrap();
                    node(tree, encoder, out);
                    encoder.write(Event::EntryEnd, out).unwrap();
                }
                encoder.write(Event::DirectoryEnd, out).unwrap();
            }
        }
    }
    let (mut encoder, mut out) = (Encoder::new(), vec![]);
    node(tree, &mut encoder, &mut out);
    encoder.write(Event::End, &mut out).unwrap();
    out
}

fn directory<const N: usize>(entries: [(&str, Tree); N]) -> Tree {
    Tree::Directory(entries.map(|(name, tree)| (name.into(), tree)).into())
}

/// An item with everything that is cut for: an ELF, scripts, links, large and small files, references near, far and at the very ends.
pub(in crate::dedup) fn item(hashes: [&str; 2]) -> Tree {
    let reference = |n: usize| format!("/gnu/store/{}-x", hashes[n]);
    let mut elf = elf::tests::header(29_000, 10);
    elf.extend(content(29_640));
    elf.truncate(29_640);
    for (at, n) in [(800, 0), (9_000, 1), (9_100, 0), (9_145, 1), (28_000, 0)] {
        elf[at..at + 45].copy_from_slice(reference(n).as_bytes());
    }
    let mut ends = content(5000);
    ends[..32].copy_from_slice(hashes[0].as_bytes());
    ends[4968..].copy_from_slice(hashes[1].as_bytes());
    let text = (0..400).map(|n| format!("{n} {}\n", reference(n % 2)));
    let text = text.collect::<String>().into_bytes();
    let small = |n: u64| Tree::File(seeded(n + 1, (n as usize * 37) % 900));
    let many = (10..90).map(|n| (format!("f{n}"), small(n))).collect();
    let script = format!("#!{}/bin/sh\nexec true\n", reference(0)).into_bytes();
    let links = (100..180).map(|n| (format!("l{n}"), Tree::Link(reference(n % 2))));
    directory([
        (
            "bin",
            directory([("elf", Tree::File(elf)), ("script", Tree::File(script))]),
        ),
        ("ends", Tree::File(ends)),
        ("etc", Tree::File(text)),
        ("links", Tree::Directory(links.collect())),
        ("plain", Tree::File(content(50_000))),
        (
            "share",
            directory([
                ("doc", Tree::Directory(many)),
                ("empty", directory([])),
                ("zeros", Tree::File(vec![0; 20_000])),
            ]),
        ),
    ])
}

pub(in crate::dedup) fn cuts(
    nar: &[u8],
    parameters: Parameters,
    hashes: [&str; 2],
    step: usize,
) -> Vec<Cut> {
    let references = References::new(hashes).unwrap();
    let (mut cutter, mut cuts) = (Cutter::new(parameters, references), vec![]);
    for mut input in nar.chunks(step) {
        while let Some(cut) = cutter.push(&mut input).unwrap() {
            cuts.push(cut);
        }
    }
    cutter.finish().unwrap();
    cuts
}

fn pieces(cuts: Vec<Cut>) -> Vec<Piece> {
    let piece = |cut| match cut {
        Cut::Piece(piece) => Some(piece),
        _ => None,
    };
    cuts.into_iter().filter_map(piece).collect()
}

#[test]
fn the_pieces_are_the_nar() {
    let nar = nar(&item(BEFORE));
    for parameters in [tiny(), Parameters::SMALL, Parameters::LARGE] {
        let mut joined = vec![];
        for piece in pieces(cuts(&nar, parameters, BEFORE, 1000)) {
            assert_eq!(piece.offset, joined.len() as u64);
            assert!(!piece.data.is_empty());
            joined.extend_from_slice(&piece.data);
        }
        assert_eq!(joined, nar);
    }
}

#[test]
fn every_split_of_the_input_gives_the_same_cuts() {
    let nar = nar(&item(BEFORE));
    let whole = cuts(&nar, tiny(), BEFORE, nar.len());
    assert!(whole.len() > 150, "{}", whole.len());
    for step in (1..100).chain((100..9000).step_by(271)) {
        assert_eq!(cuts(&nar, tiny(), BEFORE, step), whole, "{step}");
    }
    // And in two, around the ELF's head and its references.
    for at in (1..12_000).step_by(7) {
        let references = References::new(BEFORE).unwrap();
        let (mut cutter, mut found) = (Cutter::new(tiny(), references), vec![]);
        for mut input in [&nar[..at], &nar[at..]] {
            while let Some(cut) = cutter.push(&mut input).unwrap() {
                found.push(cut);
            }
        }
        assert!(found == whole, "{at}");
    }
}

/// The promise of it all: hashes change, and only pieces with a part of them do; every piece stays where it was.
#[test]
fn a_rebuild_changes_only_pieces_that_hold_references() {
    let (before, after) = (nar(&item(BEFORE)), nar(&item(AFTER)));
    assert_eq!(before.len(), after.len());
    let held = |at: &usize| {
        BEFORE
            .iter()
            .any(|hash| before[*at..].starts_with(hash.as_bytes()))
    };
    let references: Vec<usize> = (0..before.len()).filter(held).collect();
    for parameters in [tiny(), Parameters::SMALL, Parameters::LARGE] {
        let old = pieces(cuts(&before, parameters, BEFORE, 4096));
        let new = pieces(cuts(&after, parameters, AFTER, 4096));
        assert_eq!(old.len(), new.len());
        let mut changed = 0;
        for (old, new) in old.iter().zip(&new) {
            assert_eq!((old.offset, old.data.len()), (new.offset, new.data.len()));
            if old.data != new.data {
                let end = old.offset as usize + old.data.len();
                let overlaps = |at: &usize| *at < end && at + 32 > old.offset as usize;
                assert!(references.iter().any(overlaps), "{}", old.offset);
                changed += old.data.len();
            }
        }
        if parameters == tiny() {
            // The text and the links are 16 KB of references each; the rest is the ELF's head, 4 places and a script.
            assert!(changed < before.len() * 2 / 5, "{changed}");
        }
    }
}

/// Places in a file's content where pieces start, for a file alone in its NAR.
fn starts(content: &[u8], parameters: Parameters) -> Vec<u64> {
    let nar = nar(&Tree::File(content.to_vec()));
    let pieces = pieces(cuts(&nar, parameters, BEFORE, 777));
    let start = pieces[1].offset;
    let end = start + content.len() as u64;
    let inside = pieces.iter().filter(|piece| piece.offset < end);
    inside.skip(1).map(|piece| piece.offset - start).collect()
}

/// Pieces so large that only marks cut.
fn marks_only() -> Parameters {
    let sizes = Sizes {
        min: 1 << 20,
        average: 2 << 20,
        max: 4 << 20,
    };
    Parameters::new(2048, 64, sizes, sizes).unwrap()
}

#[test]
fn references_near_each_other_share_a_piece_and_the_bytes_between_far_ones_have_their_own() {
    let with = |places: &[usize]| {
        let mut bytes = vec![b' '; 10_000];
        for at in places {
            bytes[*at..*at + 32].copy_from_slice(BEFORE[0].as_bytes());
        }
        starts(&bytes, marks_only())
    };
    assert_eq!(with(&[]), [0]);
    assert_eq!(with(&[5000]), [0, 5000, 5032]);
    // 64 bytes between join, 65 don't.
    assert_eq!(with(&[5000, 5096]), [0, 5000, 5128]);
    assert_eq!(with(&[5000, 5097]), [0, 5000, 5032, 5097, 5129]);
    assert_eq!(with(&[5000, 5096, 5192, 5288]), [0, 5000, 5320]);
    // No splinters at the ends.
    assert_eq!(with(&[64]), [0, 96]);
    assert_eq!(with(&[65]), [0, 65, 97]);
    assert_eq!(with(&[10_000 - 32 - 64]), [0, 9904]);
    assert_eq!(with(&[10_000 - 32 - 65]), [0, 9903, 9935]);
}

#[test]
fn an_elfs_head_and_section_table_have_their_own_pieces() {
    let mut elf = elf::tests::header(9000, 10);
    elf.resize(9640, 1);
    assert_eq!(starts(&elf, marks_only()), [0, 2048, 9000]);
    // In the middle, and with a reference close by.
    elf.resize(20_000, 1);
    assert_eq!(starts(&elf, marks_only()), [0, 2048, 9000, 9640]);
    elf[9700..9732].copy_from_slice(BEFORE[1].as_bytes());
    assert_eq!(starts(&elf, marks_only()), [0, 2048, 9000, 9732]);
}

#[test]
fn a_small_file_with_a_reference_stands_alone_with_its_framing() {
    let plain = |n: u64| Tree::File(seeded(n, 500));
    let script = Tree::File(format!("#!/gnu/store/{}-x", BEFORE[0]).into_bytes());
    let tree = |script| directory([("a", plain(1)), ("b", script), ("c", plain(3))]);
    let nar = nar(&tree(script));
    let pieces = pieces(cuts(&nar, marks_only(), BEFORE, 50));
    let at = |token: &[u8]| {
        let place = nar.windows(token.len()).position(|window| window == token);
        place.unwrap() as u64
    };
    // From the string "entry" with its length on.
    let entry = |name: u8| at(&[&b"name\0\0\0\0\x01\0\0\0\0\0\0\0"[..], &[name]].concat()) - 40;
    let offsets: Vec<u64> = pieces.iter().map(|piece| piece.offset).collect();
    assert_eq!(offsets, [0, entry(b'b'), entry(b'c')]);
}

#[test]
fn directories_enclose_the_pieces_that_start_in_them() {
    let tree = directory([
        (
            "a",
            directory([
                ("large", Tree::File(content(9000))),
                ("link", Tree::Link("x".into())),
            ]),
        ),
        ("b", directory([])),
    ]);
    let nar = nar(&tree);
    let shape: Vec<String> = cuts(&nar, marks_only(), BEFORE, 100)
        .into_iter()
        .map(|cut| match cut {
            Cut::Piece(piece) => format!("{}", piece.data.len()),
            Cut::Enter => "(".into(),
            Cut::Leave { .. } => ")".into(),
        })
        .collect();
    // The framing up to the file's content starts before the directory's first entry.
    assert_eq!(shape.iter().filter(|s| *s == "(").count(), 2);
    assert_eq!(shape[1..4], ["(", "9000", &shape[3]]);
    assert_eq!(shape[4..], [")", "(", ")"]);
    let sizes: Vec<u64> = cuts(&nar, marks_only(), BEFORE, 100)
        .into_iter()
        .filter_map(|cut| match cut {
            Cut::Leave { size } => Some(size),
            _ => None,
        })
        .collect();
    assert_eq!(sizes.len(), 2);
    assert!(sizes[0] > 9000 && sizes[1] < 100);
}

/// Adds a file to a directory of many small ones: most groups stay.
#[test]
fn a_new_small_file_changes_few_groups() {
    let with = |extra: bool| {
        let mut entries: Vec<_> = (1000..1600)
            .map(|n| (format!("f{n}"), Tree::File(seeded(n, 300))))
            .collect();
        if extra {
            entries.insert(300, ("f1299x".into(), Tree::File(seeded(7, 300))));
        }
        pieces(cuts(&nar(&Tree::Directory(entries)), tiny(), BEFORE, 4096))
    };
    let (old, new) = (with(false), with(true));
    let kept = new
        .iter()
        .filter(|piece| old.iter().any(|other| other.data == piece.data));
    let fresh = new.len() - kept.count();
    assert!(new.len() > 100 && fresh <= 5, "{fresh} of {}", new.len());
    let longest = new.iter().map(|piece| piece.data.len()).max();
    assert!(longest <= Some(4096));
}

#[test]
fn a_broken_nar_is_an_error() {
    let nar = nar(&item(BEFORE));
    let mut cutter = Cutter::new(tiny(), References::default());
    let mut input = &nar[..nar.len() - 1];
    while cutter.push(&mut input).unwrap().is_some() {}
    let at = nar.len() as u64 - 1;
    assert_eq!(cutter.finish(), Err(NarError::Truncated { at }));
    let mut cutter = Cutter::new(tiny(), References::default());
    let error = cutter.push(&mut &b"\x05\0\0\0\0\0\0\0hello\0\0\0"[..]);
    assert!(matches!(error, Err(NarError::Token { at: 0, .. })));
}

/// Whatever the NAR, no more than a piece and a small file is held.
#[test]
fn what_is_held_is_bounded() {
    let mut large = content(60_000);
    large.extend_from_slice(&vec![b'-'; 60_000]);
    let references = BEFORE[0].repeat(2000).into_bytes();
    let tree = directory([
        ("a", Tree::File(large)),
        ("b", Tree::File(references)),
        ("c", item(BEFORE)),
    ]);
    let nar = nar(&tree);
    let mut cutter = Cutter::new(tiny(), References::new(BEFORE).unwrap());
    let mut most = 0;
    for mut input in nar.chunks(64) {
        while cutter.push(&mut input).unwrap().is_some() {}
        most = most.max(cutter.held.len());
    }
    // A longest piece, a small file and its framing, and the look-ahead.
    assert!(most < 4096 + 2048 + 1024 + 64 + 32, "{most}");
}
