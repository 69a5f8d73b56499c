//! The UnixFS file of a deduplicating NAR: the frame's header, the pieces, the frame's tail.
//!
//! ```text
//! leaf      := raw block of at most 1 MiB; a longer piece has several, all full except the last
//! root      := balanced( header leaf, children, tail leaf )
//! child     := leaf | directory
//! directory := balanced( children )  the pieces that start in a NAR directory of at least 64 KiB
//! ```
//! Balanced means Kubo's layout: up to 174 links in a node. A directory that occurs in two NARs has
//! the same nodes in both. If one directory changes, the nodes of its neighbours stay the same.
//! Header and tail are the same blocks for all NARs. Any UnixFS reader can read the file.
//!
//! ```
//! use interplanar_core::dedup::{Dag, frame, leaves};
//! let mut blocks = vec![];
//! let mut sink = |block| blocks.push(block);
//! let mut dag = Dag::new(&mut sink);
//! let piece = leaves(vec![1; 1_500_000].into());
//! dag.add(&piece, &mut sink);
//! let built = dag.finish(&mut sink);
//! assert_eq!(built.size as usize, frame::HEADER.len() + 1_500_000 + frame::TAIL.len());
//! // The header, the tail and the root. The caller already has the leaves.
//! assert_eq!((piece.len(), blocks.len()), (2, 3));
//! ```

use super::frame;
use crate::block::Block;
use crate::cid::Version;
use crate::unixfs::{Built, Layout, MAX_LINKS};
use alloc::vec::Vec;
use bytes::Bytes;

/// Longest leaf, in bytes: half of the largest block (docs/design.md).
pub const MAX_LEAF: usize = 1 << 20;
/// A directory with fewer bytes gets no node of its own, unless its pieces need one.
pub const MIN_DIRECTORY: u64 = 64 << 10;
/// Most directories with their own nodes nested in each other. It keeps the DAG far from the depth
/// that readers allow.
pub const MAX_NESTED: usize = 16;

/// Splits a compressed piece into its leaves.
#[must_use]
pub fn leaves(mut piece: Bytes) -> Vec<Block> {
    let mut leaves = Vec::new();
    while !piece.is_empty() {
        leaves.push(Block::raw(piece.split_to(piece.len().min(MAX_LEAF))));
    }
    leaves
}

/// Builds the DAG of one file from its leaves.
#[derive(Debug, Clone)]
pub struct Dag {
    root: Layout,
    /// Layouts of the open directories, the innermost last.
    open: Vec<Layout>,
    /// Number of open directories that are nested too deeply for a node.
    deeper: usize,
}

impl Dag {
    /// Starts a file with the header of the frame.
    #[must_use]
    pub fn new(sink: &mut impl FnMut(Block)) -> Self {
        let mut dag = Self {
            root: layout(),
            open: Vec::new(),
            deeper: 0,
        };
        dag.add_constant_leaf(&frame::HEADER, sink);
        dag
    }

    /// Adds a piece by its leaves. Sends full nodes to `sink`.
    pub fn add(&mut self, leaves: &[Block], sink: &mut impl FnMut(Block)) {
        for leaf in leaves {
            self.add_child(built_from_leaf(leaf), sink);
        }
    }

    /// Starts a directory: the pieces that follow belong to it.
    pub fn enter(&mut self) {
        if self.open.len() < MAX_NESTED {
            self.open.push(layout());
        } else {
            self.deeper = self.deeper.saturating_add(1);
        }
    }

    /// Ends the innermost directory, which took `size` bytes of the NAR.
    pub fn leave(&mut self, size: u64, sink: &mut impl FnMut(Block)) {
        if let Some(deeper) = self.deeper.checked_sub(1) {
            self.deeper = deeper;
            return;
        }
        let Some(directory) = self.open.pop() else {
            return;
        };
        match directory.children() {
            Some(children) if size < MIN_DIRECTORY => {
                for child in children {
                    self.add_child(*child, sink);
                }
            }
            _ => {
                if let Some(built) = directory.finish(sink) {
                    self.add_child(built, sink);
                }
            }
        }
    }

    /// Ends the file with the tail of the frame. Sends the root to `sink` last.
    pub fn finish(mut self, sink: &mut impl FnMut(Block)) -> Built {
        self.deeper = 0;
        while !self.open.is_empty() {
            self.leave(u64::MAX, sink);
        }
        let tail = self.add_constant_leaf(&frame::TAIL, sink);
        // Header and tail are two leaves, so there is a root.
        self.root.finish(sink).unwrap_or(tail)
    }

    fn add_constant_leaf(&mut self, bytes: &'static [u8], sink: &mut impl FnMut(Block)) -> Built {
        let leaf = Block::raw(Bytes::from_static(bytes));
        let built = built_from_leaf(&leaf);
        sink(leaf);
        self.add_child(built, sink);
        built
    }

    fn add_child(&mut self, child: Built, sink: &mut impl FnMut(Block)) {
        self.open
            .last_mut()
            .unwrap_or(&mut self.root)
            .add(child, sink);
    }
}

fn layout() -> Layout {
    Layout::new(Version::V1, MAX_LINKS)
}

fn built_from_leaf(leaf: &Block) -> Built {
    let size = leaf.data().len() as u64;
    Built {
        cid: *leaf.cid(),
        size,
        dag_size: size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cid::Cid;
    use crate::dedup::cut::tests::seeded;
    use crate::dedup::tests::read;
    use std::collections::HashMap;
    use std::vec;

    type Blocks = HashMap<Cid, Block>;

    enum DagStep {
        Piece(u64, usize),
        Enter,
        Leave(u64),
    }
    use DagStep::{Enter, Leave, Piece};

    fn build(steps: &[DagStep]) -> (Built, Blocks, Vec<u8>) {
        let mut blocks = Blocks::new();
        let mut expected = frame::HEADER.to_vec();
        let mut sink = |block: Block| drop(blocks.insert(*block.cid(), block));
        let mut dag = Dag::new(&mut sink);
        for step in steps {
            match step {
                Piece(seed, length) => {
                    let bytes = seeded(*seed, *length);
                    expected.extend_from_slice(&bytes);
                    let leaves = leaves(bytes.into());
                    dag.add(&leaves, &mut sink);
                    leaves.into_iter().for_each(&mut sink);
                }
                Enter => dag.enter(),
                Leave(size) => dag.leave(*size, &mut sink),
            }
        }
        let built = dag.finish(&mut sink);
        expected.extend_from_slice(&frame::TAIL);
        (built, blocks, expected)
    }

    fn deep(levels: usize) -> Vec<DagStep> {
        let mut steps = vec![];
        for level in 0..levels {
            steps.extend([Enter, Piece(level as u64 + 1, 10)]);
        }
        for level in 0..levels {
            steps.extend([Piece(level as u64 + 100, 10), Leave(1 << 20)]);
        }
        steps
    }

    fn many(pieces: u64) -> Vec<DagStep> {
        (1..=pieces).map(|seed| Piece(seed, 9)).collect()
    }

    #[test]
    fn a_walker_reads_the_frame_with_any_directories() {
        let nested = [
            Enter,
            Piece(1, 50),
            Enter,
            Piece(2, 3_000_000),
            Leave(70_000),
            Leave(80_000),
        ];
        let mut wide = many(500);
        wide.insert(100, Enter);
        wide.insert(450, Leave(1 << 20));
        let unbalanced = vec![Leave(9), Piece(1, 9), Enter, Enter, Piece(2, 9)];
        for steps in [
            vec![],
            nested.into(),
            wide,
            deep(64),
            many(40_000),
            unbalanced,
        ] {
            let (built, blocks, expected) = build(&steps);
            assert_eq!(read(built.cid, &blocks), expected);
            assert_eq!(built.size, expected.len() as u64);
        }
    }

    /// Without directories, the file equals that of any balanced builder with the same leaves.
    #[test]
    fn the_layout_equals_that_of_kubo() {
        use crate::unixfs::{Builder, Profile, SIZE_1048576_V1};
        let leaf = vec![7; frame::HEADER.len()];
        let mut builder = Builder::new(Profile {
            chunk: 6,
            ..SIZE_1048576_V1
        });
        let mut layout = layout();
        for _ in 0..31_000 {
            builder.push(&leaf, &mut drop);
            layout.add(built_from_leaf(&Block::raw(leaf.clone().into())), &mut drop);
        }
        assert_eq!(layout.finish(&mut drop), Some(builder.finish(&mut drop)));
    }

    /// The nodes of a directory don't depend on the rest of the NAR.
    #[test]
    fn a_directory_in_two_nars_has_the_same_nodes() {
        let of = |before: u64| {
            let mut steps = many(before);
            steps.push(Enter);
            steps.extend((1000..1300).map(|seed| Piece(seed, 9)));
            steps.push(Leave(MIN_DIRECTORY));
            build(&steps).1
        };
        let (one, other) = (of(3), of(5));
        let nodes = |blocks: &Blocks| -> Vec<Cid> {
            let nodes = blocks
                .keys()
                .filter(|cid| cid.codec() == crate::cid::DAG_PB);
            nodes.copied().collect()
        };
        let shared = nodes(&one)
            .into_iter()
            .filter(|cid| other.contains_key(cid));
        // Two groups of at most 174 leaves and the node over them; the roots differ.
        assert_eq!((nodes(&one).len(), shared.count()), (4, 3));
    }

    #[test]
    fn a_small_directory_has_no_node_of_its_own() {
        let flat = build(&[Piece(1, 9), Piece(2, 9)]).0;
        let small = [Piece(1, 9), Enter, Piece(2, 9), Leave(MIN_DIRECTORY - 1)];
        assert_eq!(build(&small).0, flat);
        // A directory with one piece, or with none, has no node either.
        let single = [
            Enter,
            Leave(1 << 20),
            Piece(1, 9),
            Enter,
            Piece(2, 9),
            Leave(1 << 20),
        ];
        assert_eq!(build(&single).0, flat);
    }
}
