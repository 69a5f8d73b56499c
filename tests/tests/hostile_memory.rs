//! Hostile inputs take little memory and work: the bytes that a reader allocates are counted.
//!
//! This is a suite of its own, with one test, because the count covers the whole process.

use interplanar_tests::hostile::{self, Reader};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::collections::BTreeMap;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Returns the bytes that a reader may allocate in sum: a constant, and a multiple of its input.
fn allowed(reader: Reader, input: usize) -> usize {
    let (constant, factor) = match reader {
        // Windows, tables, and buffers of a block.
        Reader::Decoder(_) => (512 << 10, 4),
        // Each block is copied out of the CAR and read; each entry takes a place in a list.
        Reader::File | Reader::Directory => (32 << 10, 32),
        // An entry or a node of some bytes becomes a value with texts.
        Reader::NarInfo | Reader::Trust => (16 << 10, 24),
        Reader::Listing => (16 << 10, 64),
        _ => (16 << 10, 6),
    };
    constant + factor * input
}

#[test]
fn no_input_makes_its_reader_allocate_more_than_a_multiple_of_it() {
    let (mut wrong, mut most) = (vec![], BTreeMap::new());
    for case in hostile::all() {
        let region = Region::new(ALLOCATOR);
        drop(case.reader.read(&[&case.input]));
        let allocated = region.change().bytes_allocated;
        let allowed = allowed(case.reader, case.input.len());
        let entry = most
            .entry(format!("{:?}", case.reader))
            .or_insert((0, String::new()));
        if allocated * 1000 / allowed > entry.0 {
            *entry = (
                allocated * 1000 / allowed,
                format!("{} {allocated} of {allowed}", case.name),
            );
        }
        if allocated > allowed {
            let length = case.input.len();
            wrong.push(format!(
                "{}: {allocated} bytes for {length}, more than {allowed}",
                case.name
            ));
        }
    }
    for (reader, (_, most)) in most {
        println!("{reader}: {most}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
