//! The DAGs that [`super::pending`] asks for: every shape that the gateway serves, written by Kubo or built here.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use interplanar_core::block::Block;
use interplanar_core::car::{Item, Reader};
use interplanar_core::cid::{self, Cid, DAG_PB, Version};
use interplanar_core::dag_pb::{Link, Node};
use interplanar_core::hash::Sha256;
use interplanar_core::unixfs::{
    Builder, Built, Data, DirectoryBuilder, NodeType, Profile, SIZE_262144_V1, symlink,
};

/// Codecs of documents that core has no builder for.
const JSON: u64 = 0x0200;
const CBOR: u64 = 0x51;
const DAG_JSON: u64 = 0x0129;

/// All blocks by CID.
pub(super) fn blocks() -> HashMap<Cid, Bytes> {
    let mut shapes = Shapes::default();
    shapes.written_by_kubo();
    shapes.files();
    shapes.directories();
    shapes.sharded_directories();
    shapes.documents();
    shapes.blocks
}

#[derive(Default)]
struct Shapes {
    blocks: HashMap<Cid, Bytes>,
}

impl Shapes {
    fn keep(&mut self, block: Block) {
        self.put(block);
    }

    fn put(&mut self, block: Block) -> Cid {
        let (cid, data) = block.into_parts();
        self.blocks.insert(cid, data);
        cid
    }

    /// Trickle files, a sharded directory of 16 places, SHA-512, names that are not UTF-8, DAG-JSON, and more.
    fn written_by_kubo(&mut self) {
        let path = "../tests/fixtures/kubo-0.43.0/shapes.car";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let car =
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (mut reader, mut input) = (Reader::new(), Bytes::from(car));
        while let Some(item) = reader.push(&mut input).unwrap() {
            if let Item::Block { cid, data } = item {
                self.put(Block::verify(cid, data).unwrap());
            }
        }
    }

    fn file(&mut self, profile: Profile, content: &[u8]) -> Built {
        let mut builder = Builder::new(profile);
        builder.push(content, &mut |block| self.keep(block));
        builder.finish(&mut |block| self.keep(block))
    }

    fn text(&mut self, content: &str) -> Cid {
        self.file(SIZE_262144_V1, content.as_bytes()).cid
    }

    fn directory(&mut self, version: Version, entries: &[(&[u8], Cid)]) -> Cid {
        let mut builder = DirectoryBuilder::new(version);
        for (name, cid) in entries {
            builder.add(Bytes::copy_from_slice(name), *cid, 100);
        }
        let built = builder.finish(&mut |block| self.keep(block));
        built.unwrap().cid
    }

    /// One leaf, one node and two levels of nodes, in both versions of CIDs and both kinds of leaves; and one whose second leaf is missing.
    fn files(&mut self) {
        for cid_version in [Version::V0, Version::V1] {
            for raw_leaves in [false, true] {
                for (chunk, length) in [(256, 0), (256, 100), (256, 1026), (100, 2345)] {
                    let profile = Profile {
                        chunk,
                        cid_version,
                        raw_leaves,
                        links: 5,
                    };
                    // Different bytes in each, so that no two share a leaf.
                    let first = length + usize::from(raw_leaves);
                    let content: Vec<u8> = (first..first + length)
                        .map(|index| (index * 7 + index / 251) as u8)
                        .collect();
                    self.file(profile, &content);
                }
            }
        }
        let profile = Profile {
            chunk: 1024,
            cid_version: Version::V0,
            raw_leaves: false,
            links: 5,
        };
        let incomplete = self.file(profile, &[[1; 1024], [2; 1024], [3; 1024]].concat());
        let node = Node::decode(&self.blocks[&incomplete.cid]).unwrap();
        self.blocks.remove(&node.links[1].cid);
    }

    fn directories(&mut self) {
        let hello = self.text("hello\n");
        let page = self.text("<html>hello</html>\n");
        let json = self.text("{ \"test\": \"a plain file\" }\n");
        let mut target = Vec::new();
        symlink(b"../hello", Version::V0, &mut |block| target.push(block));
        let link = self.put(target.remove(0));
        let absent = *Block::raw(Bytes::from_static(b"absent")).cid();

        let mut below = self.directory(Version::V1, &[(b"index.html", page)]);
        for name in ["three", "two", "one"] {
            below = self.directory(Version::V1, &[(name.as_bytes(), below)]);
        }
        for name in ["api", "ipfs", "ipns"] {
            let inner = self.directory(Version::V1, &[(b"file.txt", hello)]);
            self.directory(Version::V1, &[(name.as_bytes(), inner), (b"t.json", json)]);
        }
        let odd = [
            "file-źł.txt".as_bytes(),
            b"100%",
            b"%20+a=b,c",
            b"a \"quoted\" <name> & more",
            b"\xff\xfe",
        ]
        .map(|name| (name, hello));
        let odd = self.directory(Version::V1, &odd);
        self.directory(Version::V1, &["ą".as_bytes(), b"b"].map(|name| (name, odd)));
        self.directory(Version::V1, &[(b"../file", hello), (b"file", page)]);
        self.directory(Version::V0, &[(b"foo", hello), (b"link", link)]);
        self.directory(Version::V0, &[(b"absent", absent), (b"hello", hello)]);
        self.directory(Version::V0, &[]);
    }

    /// One of a thousand entries with all its shards, and one that lacks a shard.
    fn sharded_directories(&mut self) {
        let leaf = self.text("an entry\n");
        // Names that are long enough for Kubo's limit of a plain directory.
        let names: Vec<String> = (0..1000).map(|number| format!("{number:0>240}")).collect();
        let entries: Vec<(&[u8], Cid)> = names.iter().map(|name| (name.as_bytes(), leaf)).collect();
        let root = self.directory(Version::V1, &entries);
        let data = Node::decode(&self.blocks[&root]).unwrap().data;
        assert_eq!(
            Data::decode(&data.unwrap()).unwrap().kind,
            NodeType::HamtShard
        );

        let mut node = Node::decode(&self.blocks[&root]).unwrap();
        let absent = Block::dag_pb(Bytes::from_static(b"absent"), Version::V1);
        let shard = |link: &Link| link.name.len() == 2 && link.cid.codec() == DAG_PB;
        let index = node.links.iter().position(shard).unwrap();
        node.links[index].cid = *absent.cid();
        self.put(Block::dag_pb(node.encode(), Version::V1));
    }

    fn documents(&mut self) {
        let last = self.document(DAG_JSON, r#"{"hello":"this is not a link"}"#.into());
        let middle = self.document(DAG_JSON, format!(r#"{{"bar":{{"/":"{last}"}}}}"#));
        let first = format!(
            r#"{{"foo":{{"link":{{"/":"{middle}"}},"object":{{"banana":10,"monkey":false}}}}}}"#
        );
        self.document(DAG_JSON, first);
        self.document(JSON, "{\n\t\"test\": \"plain json\"\n}\n".into());
        self.document(CBOR, "\u{1}".into());
        let text = self.text("a file below a document\n");
        let mut document = b"\xa2dfile\xd8\x2a\x58\x25\x00".to_vec();
        document.extend(text.to_bytes());
        document.extend(b"ftruths\xf5");
        self.put(Block::dag_cbor(document.into()));
    }

    fn document(&mut self, codec: u64, text: String) -> Cid {
        let cid = cid::of_sha256(Version::V1, codec, &Sha256::of(text.as_bytes()));
        self.put(Block::verify(cid, text.into()).unwrap())
    }
}
