//! Writes the hostile inputs of the tests as files, to look at them or to seed the fuzzer:
//! `cargo run -p interplanar-tests --example hostile -- FOLDER`.
//!
//! `FOLDER/list.tsv` has the name, the reader, the verdict and the reason of each.

use interplanar_tests::hostile;
use std::fmt::Write as _;
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let Some(folder) = std::env::args().nth(1) else {
        anyhow::bail!("usage: hostile FOLDER");
    };
    let mut list = String::new();
    for case in hostile::all() {
        let path = Path::new(&folder).join(&case.name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(&folder)))?;
        std::fs::write(path, &case.input)?;
        let verdict = case.verdict.err().unwrap_or_else(|| "accepted".to_owned());
        writeln!(
            list,
            "{}\t{:?}\t{verdict}\t{}",
            case.name, case.reader, case.reason
        )?;
    }
    std::fs::write(Path::new(&folder).join("list.tsv"), list)?;
    Ok(())
}
