//! `make bench-dedup`: bytes and time of NARs that are cut into pieces, as ratios against the real
//! `zstd` of the same level on the same NARs.
//!
//! | column | the client holds | and fetches |
//! |---|---|---|
//! | first | nothing | the old packages |
//! | update | the old packages | the new ones |
//! | rebuild | the old packages | the same with other hashes of their references |
//! | elsewhere | the old packages | one item that has all their files |
//!
//! Debian packages have no references, so some are written into their programs and scripts. That
//! rebuild is synthetic; those of the first table are real. The line "tree" has the blocks that
//! `--publish-tree` adds to the plain NARs of the old packages. Bytes are the leaves that the
//! client lacks, and the chunk index. The column "both" has the bytes that a block store takes for
//! the old packages and the rebuilt ones.

mod rebuilds;
mod sets;
mod tree;

use interplanar_core::cid::Cid;
use interplanar_core::dedup::{Index, IndexBody, Parameters, Plan};
use interplanar_core::nar::{Event, Parser};
use interplanar_server::bake::{Baker, Config, Record};
use interplanar_server::store::{Item, Source};
use interplanar_tests::checkout;
use sets::{Compressed, Sets, compressed};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    // `cargo test --benches` only checks that this builds.
    if !arguments.any(|argument| argument == "--bench") {
        return;
    }
    let levels = std::env::args().filter_map(|argument| argument.parse::<u32>().ok());
    let levels: Vec<u32> = levels.collect();
    let data = checkout().join("target/dedup-data");
    let pairs = rebuilds::all(&data.join("rebuilds"));
    println!(
        "| real rebuild | NAR | changed files | the same, zstd | whole zstd | fetched | × whole | × changed files | × the same, zstd |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    for level in &levels {
        pairs.iter().for_each(|pair| rebuild(pair, *level));
    }
    let sets = Arc::new(Sets::read(&data));
    println!(
        "{} packages, {} MB of NARs",
        sets.old.len(),
        sets.size() / 1_000_000
    );
    tree::report(&sets);
    println!(
        "\n| | first | update | rebuild | elsewhere | both | pieces | time to bake |\n|---|---|---|---|---|---|---|---|"
    );
    for level in levels {
        let zstd = sets.compress(&sets.old, "zstd", level);
        println!(
            "| whole zstd -{level} | 1.00 ({}) | | | | 2.00 | | 1.00 |",
            zstd.bytes
        );
        for (name, cut) in [
            ("large", Parameters::LARGE),
            ("medium", Parameters::MEDIUM),
            ("small", Parameters::SMALL),
        ] {
            row(name, level, cut, &sets, &zstd);
        }
    }
    for name in ["gzip", "lzip"] {
        let bytes = sets.compress(&sets.old, name, 9).bytes;
        println!("| whole {name} -9 | ({bytes}) | | | | | | |");
    }
}

/// A baker of items in memory, and its runtime.
struct BakeBench {
    baker: Baker,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl BakeBench {
    fn new(sets: &Arc<Sets>, level: u32, cut: Parameters) -> Self {
        let dir = tempfile::tempdir_in(checkout().join("target")).expect("a folder");
        let config = Config {
            compressors: vec![format!("zstd:{level}").parse().expect("a method")],
            cut,
            workers: 1,
            ..Config::new(dir.path())
        };
        let source: Arc<dyn Source> = Arc::clone(sets) as _;
        Self {
            baker: Baker::open(source, config).expect("a baker"),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
            _dir: dir,
        }
    }

    fn bake(&self, item: &Item) -> Record {
        let baked = self.runtime.block_on(self.baker.bake(item.clone()));
        baked.expect("baked").record.clone()
    }

    /// Returns the bytes that a client with some leaves fetches for an item: missing leaves and the
    /// chunk index.
    fn lacking(&self, item: &Item, held: &HashSet<Cid>) -> u64 {
        let (entries, length) = index(&self.baker, &self.bake(item));
        Plan::new(&entries, |_| false, |cid: &Cid| held.contains(cid)).bytes + length
    }
}

/// Bakes all sets with these parameters, and prints a row.
fn row(name: &str, level: u32, cut: Parameters, sets: &Arc<Sets>, zstd: &Compressed) {
    let bench = BakeBench::new(sets, level, cut);
    let start = Instant::now();
    let old: Vec<Record> = sets.old.iter().map(|item| bench.bake(item)).collect();
    let seconds = start.elapsed().as_secs_f64();
    let (mut held, mut pieces, mut first) = (HashSet::new(), 0, 0);
    for record in &old {
        let (entries, _) = index(&bench.baker, record);
        pieces += entries.len();
        first += record.representations[0].file_size;
        held.extend(entries.iter().flat_map(|entry| entry.cids()));
    }
    let lacking = |items: &[Item]| -> f64 {
        let bytes = items.iter().map(|item| bench.lacking(item, &held));
        bytes.sum::<u64>() as f64 / zstd.bytes as f64
    };
    let rebuild = lacking(&sets.rebuilt);
    let both = bench.baker.blocks().stats().expect("counted").bytes as f64 / zstd.bytes as f64;
    let (update, elsewhere) = (lacking(&sets.new), lacking(&sets.elsewhere));
    println!(
        "| {name}, zstd -{level} | {:.3} | {update:.3} | {rebuild:.3} | {elsewhere:.3} | {both:.2} | {pieces} | {:.2} |",
        first as f64 / zstd.bytes as f64,
        seconds / zstd.time.as_secs_f64(),
    );
}

/// Prints the bytes that a real rebuild takes, against its whole NAR and against the files that
/// changed.
fn rebuild(pair: &rebuilds::Pair, level: u32) {
    let mut sets = Sets::default();
    let mut add = |built: &rebuilds::Built| {
        let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        let references = built.references.iter().map(name).collect();
        sets.add(&built.store_path, references, built.nar.clone())
    };
    let (old, new) = (add(&pair.old), add(&pair.new));
    let bench = BakeBench::new(&Arc::new(sets), level, Parameters::default());
    let held = index(&bench.baker, &bench.bake(&old)).0;
    let held = held.iter().flat_map(|entry| entry.cids()).collect();
    let fetched = bench.lacking(&new, &held);
    let before = files(&pair.old.nar);
    let changed: Vec<Vec<u8>> = files(&pair.new.nar)
        .into_iter()
        .filter(|(path, data)| before.get(path) != Some(data))
        .map(|(_, data)| data)
        .collect();
    let plain: u64 = changed.iter().map(|data| data.len() as u64).sum();
    let packed: u64 = changed
        .iter()
        .map(|data| compressed(data, "zstd", level))
        .sum();
    let whole = compressed(&pair.new.nar, "zstd", level);
    let times = |of: u64| fetched as f64 / of as f64;
    println!(
        "| {}, zstd -{level} | {} | {plain} | {packed} | {whole} | {fetched} | {:.3} | {:.3} | {:.3} |",
        pair.name,
        pair.new.nar.len(),
        times(whole),
        times(plain),
        times(packed),
    );
}

/// Returns the files of a NAR by their paths.
fn files(mut nar: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let (mut files, mut parser) = (BTreeMap::new(), Parser::new());
    let (mut path, mut data) = (vec![], vec![]);
    while let Some(event) = parser.push(&mut nar).expect("a NAR") {
        match event {
            Event::EntryStart { name } => path.push(name.to_vec()),
            Event::FileData(bytes) => data.extend_from_slice(bytes),
            Event::FileEnd => drop(files.insert(path.join(&b'/'), std::mem::take(&mut data))),
            Event::EntryEnd => drop(path.pop()),
            _ => {}
        }
    }
    files
}

/// Returns the pieces of an item, and the bytes of its chunk index.
fn index(baker: &Baker, record: &Record) -> (Vec<interplanar_core::dedup::PieceEntry>, u64) {
    let root = record.representations[0].index.expect("an index");
    let get = |cid: &Cid| baker.blocks().get(cid).expect("readable").expect("there");
    let block = get(&root);
    let mut length = block.len() as u64;
    let entries = match Index::decode(&block).expect("an index").body {
        IndexBody::Pieces(entries) => entries,
        IndexBody::Parts(parts) => {
            let part = |part: &interplanar_core::dedup::IndexPart| {
                let block = get(&part.cid);
                length += block.len() as u64;
                part.decode(&block).expect("a part")
            };
            parts.iter().flat_map(part).collect()
        }
    };
    (entries, length)
}
