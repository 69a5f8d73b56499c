//! Writes the DAGs of the tests as CARs, to look at them or to seed the fuzzer.
//!
//! - `cargo run -p interplanar-tests --example dags -- own FOLDER`: one CAR for each DAG that our own builders build;
//! - `… -- all FILE`: one CAR of all blocks, Kubo's too;
//! - `… -- golden FILE`: the CAR among the fixtures, as the installed Kubo writes it.

use interplanar_tests::dags::{Dags, golden};
use interplanar_tests::kubo::Repo;
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["own", folder] => {
            std::fs::create_dir_all(folder)?;
            let dags = Dags::own();
            for dag in dags.list() {
                let name = format!("{}.car", dag.name.replace('/', "-"));
                std::fs::write(Path::new(folder).join(name), dags.car_of(dag))?;
            }
        }
        ["all", file] => std::fs::write(file, Dags::all().car())?,
        ["golden", file] => std::fs::write(file, golden::car(&Repo::new()))?,
        _ => anyhow::bail!("usage: dags own FOLDER | all FILE | golden FILE"),
    }
    Ok(())
}
