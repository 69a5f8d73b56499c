use super::elf;
use super::*;
use crate::nar::Encoder;
use std::format;
use std::string::String;
use std::vec;

/// Hash parts of the same length, before and after a rebuild.
const BEFORE: [&str; 2] = [
    "zvknnn6gzcjdyb9hn5ffp4sx1ncjp45r",
    "bnfap3gvj3v0k345a5zkxwyd38m1f2s5",
];
const AFTER: [&str; 2] = [
    "0123456789abcdfghijklmnpqrsvwxyz",
    "agkhnj5wmbrb40rigsyf6ynkdi22d89g",
];

/// Generates bytes that look random and are the same in each run.
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

/// Returns sizes with which small inputs are cut in every way.
pub(in crate::dedup) fn tiny() -> Parameters {
    let sizes = Sizes {
        min: 256,
        average: 1024,
        max: 4096,
    };
    Parameters::new(2048, 64, sizes, sizes).unwrap()
}

#[derive(Clone)]
pub(in crate::dedup) enum TestTree {
    File(Vec<u8>),
    Link(String),
    Directory(Vec<(String, TestTree)>),
}

pub(in crate::dedup) fn nar(tree: &TestTree) -> Vec<u8> {
    fn node(tree: &TestTree, encoder: &mut Encoder, out: &mut Vec<u8>) {
        let mut write = |event| encoder.write(event, out).unwrap();
        match tree {
            TestTree::File(bytes) => {
                let (executable, size, offset) = (false, bytes.len() as u64, 0);
                write(Event::FileStart {
                    executable,
                    size,
                    offset,
                });
                write(Event::FileData(bytes));
                write(Event::FileEnd);
            }
            TestTree::Link(target) => write(Event::Symlink {
                target: target.as_bytes(),
            }),
            TestTree::Directory(entries) => {
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

fn directory<const N: usize>(entries: [(&str, TestTree); N]) -> TestTree {
    TestTree::Directory(entries.map(|(name, tree)| (name.into(), tree)).into())
}

/// Builds an item with everything that the cutter looks for: an ELF file, scripts, links, large and
/// small files, and references near each other, far apart and at both ends.
pub(in crate::dedup) fn item(hashes: [&str; 2]) -> TestTree {
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
    let small = |n: u64| TestTree::File(seeded(n + 1, (n as usize * 37) % 900));
    let many = (10..90).map(|n| (format!("f{n}"), small(n))).collect();
    let script = format!("#!{}/bin/sh\nexec true\n", reference(0)).into_bytes();
    let links = (100..180).map(|n| (format!("l{n}"), TestTree::Link(reference(n % 2))));
    directory([
        (
            "bin",
            directory([
                ("elf", TestTree::File(elf)),
                ("script", TestTree::File(script)),
            ]),
        ),
        ("ends", TestTree::File(ends)),
        ("etc", TestTree::File(text)),
        ("links", TestTree::Directory(links.collect())),
        ("plain", TestTree::File(content(50_000))),
        (
            "share",
            directory([
                ("doc", TestTree::Directory(many)),
                ("empty", directory([])),
                ("zeros", TestTree::File(vec![0; 20_000])),
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
fn the_pieces_join_to_the_nar() {
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
    // Also with two inputs, split around the ELF file's head and its references.
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

/// The main promise: if hashes change, only pieces that hold a part of one change, and no piece
/// moves.
#[test]
fn a_rebuild_changes_only_pieces_that_hold_references() {
    let (before, after) = (nar(&item(BEFORE)), nar(&item(AFTER)));
    assert_eq!(before.len(), after.len());
    let starts_reference = |at: &usize| {
        BEFORE
            .iter()
            .any(|hash| before[*at..].starts_with(hash.as_bytes()))
    };
    let references: Vec<usize> = (0..before.len()).filter(starts_reference).collect();
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
            // The text and the links hold 16 KB of references each. The rest is the ELF file's
            // head, 4 places and a script.
            assert!(changed < before.len() * 2 / 5, "{changed}");
        }
    }
}

/// Returns the offsets in a file's content at which pieces start, for a NAR with only this file.
fn starts(content: &[u8], parameters: Parameters) -> Vec<u64> {
    let nar = nar(&TestTree::File(content.to_vec()));
    let pieces = pieces(cuts(&nar, parameters, BEFORE, 777));
    let start = pieces[1].offset;
    let end = start + content.len() as u64;
    let inside = pieces.iter().filter(|piece| piece.offset < end);
    inside.skip(1).map(|piece| piece.offset - start).collect()
}

/// Returns sizes so large that only marks cut.
fn marks_only() -> Parameters {
    let sizes = Sizes {
        min: 1 << 20,
        average: 2 << 20,
        max: 4 << 20,
    };
    Parameters::new(2048, 64, sizes, sizes).unwrap()
}

#[test]
fn near_references_share_a_piece_and_far_ones_do_not() {
    let with = |places: &[usize]| {
        let mut bytes = vec![b' '; 10_000];
        for at in places {
            bytes[*at..*at + 32].copy_from_slice(BEFORE[0].as_bytes());
        }
        starts(&bytes, marks_only())
    };
    assert_eq!(with(&[]), [0]);
    assert_eq!(with(&[5000]), [0, 5000, 5032]);
    // A gap of 64 bytes joins references, one of 65 doesn't.
    assert_eq!(with(&[5000, 5096]), [0, 5000, 5128]);
    assert_eq!(with(&[5000, 5097]), [0, 5000, 5032, 5097, 5129]);
    assert_eq!(with(&[5000, 5096, 5192, 5288]), [0, 5000, 5320]);
    // No tiny pieces remain at the ends.
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
    // Now in the middle of the file, and with a reference close by.
    elf.resize(20_000, 1);
    assert_eq!(starts(&elf, marks_only()), [0, 2048, 9000, 9640]);
    elf[9700..9732].copy_from_slice(BEFORE[1].as_bytes());
    assert_eq!(starts(&elf, marks_only()), [0, 2048, 9000, 9732]);
}

#[test]
fn a_small_file_with_a_reference_has_its_own_piece_with_its_framing() {
    let plain = |n: u64| TestTree::File(seeded(n, 500));
    let script = TestTree::File(format!("#!/gnu/store/{}-x", BEFORE[0]).into_bytes());
    let tree = |script| directory([("a", plain(1)), ("b", script), ("c", plain(3))]);
    let nar = nar(&tree(script));
    let pieces = pieces(cuts(&nar, marks_only(), BEFORE, 50));
    let at = |token: &[u8]| {
        let found = nar.windows(token.len()).position(|window| window == token);
        found.unwrap() as u64
    };
    // From the string "entry" on, including its length.
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
                ("large", TestTree::File(content(9000))),
                ("link", TestTree::Link("x".into())),
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
    // The framing before the file's content starts before the directory's first entry.
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

/// After a file is added to a directory of many small files, most groups are unchanged.
#[test]
fn a_new_small_file_changes_few_groups() {
    let with = |extra: bool| {
        let mut entries: Vec<_> = (1000..1600)
            .map(|n| (format!("f{n}"), TestTree::File(seeded(n, 300))))
            .collect();
        if extra {
            entries.insert(300, ("f1299x".into(), TestTree::File(seeded(7, 300))));
        }
        pieces(cuts(
            &nar(&TestTree::Directory(entries)),
            tiny(),
            BEFORE,
            4096,
        ))
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
fn a_malformed_nar_is_an_error() {
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

/// The cutter never buffers more than a piece and a small file.
#[test]
fn the_buffer_is_bounded() {
    let mut large = content(60_000);
    large.extend_from_slice(&vec![b'-'; 60_000]);
    let references = BEFORE[0].repeat(2000).into_bytes();
    let tree = directory([
        ("a", TestTree::File(large)),
        ("b", TestTree::File(references)),
        ("c", item(BEFORE)),
    ]);
    let nar = nar(&tree);
    let mut cutter = Cutter::new(tiny(), References::new(BEFORE).unwrap());
    let mut most = 0;
    for mut input in nar.chunks(64) {
        while cutter.push(&mut input).unwrap().is_some() {}
        most = most.max(cutter.held.len());
    }
    // The longest piece, a small file with its framing, and the look-ahead.
    assert!(most < 4096 + 2048 + 1024 + 64 + 32, "{most}");
}
