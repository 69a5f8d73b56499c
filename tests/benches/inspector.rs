//! `make bench-web`: the time that the inspector takes to show a tree of 5,000 files, against a
//! plain list of 5,000 lines.

use interplanar_tests::inspector::Large;
use serde_json::Value;

const ROUNDS: usize = 5;

fn main() {
    let large = Large::new();
    let saw: Vec<Value> = (0..ROUNDS).map(|_| large.run()).collect();
    let median = |number: &dyn Fn(&Value) -> Option<f64>| {
        let mut numbers: Vec<f64> = saw.iter().filter_map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let tree = median(&|saw| saw["opened"][0].as_f64());
    let plain = median(&|saw| saw["plain"].as_f64());
    let long = median(&|saw| {
        let tasks = saw["scrolling"].as_array()?.iter();
        Some(tasks.filter_map(Value::as_f64).fold(0.0, f64::max))
    });
    println!(
        "tree of 5,000 files: {tree:.0} ms, {:.2} of a plain list ({plain:.0} ms); wanted: 300 ms",
        tree / plain
    );
    println!("longest task while scrolling: {long:.0} ms, of those over 50 ms; wanted: none");
}
