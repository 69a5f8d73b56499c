//! Compares two snapshots.

use std::collections::{HashMap, HashSet};

use interplanar_core::block::Block;
use interplanar_core::cid::{self, Cid};
use interplanar_core::unixfs::Content;

use crate::blocks::BlockStore;

/// Returns the nodes and small files of the directory at `root` that differ from those at the same
/// path in `before`, parents first. Leaves out the files in the folder of NARs: they are published
/// on their own.
///
/// # Errors
/// The CID of a block that is lost.
pub fn new_blocks(
    blocks: &BlockStore,
    root: Cid,
    before: Option<Cid>,
    nars: &str,
) -> Result<Vec<Cid>, Cid> {
    let (mut all, mut known) = (Vec::new(), HashSet::new());
    // Blocks to visit: the CID, the CID at the same path before, and whether it is in the
    // folder of NARs.
    let mut open = vec![(root, before, false)];
    while let Some((cid, before, inside)) = open.pop() {
        if before == Some(cid) || known.contains(&cid) {
            continue;
        }
        if cid.codec() == cid::RAW {
            if !inside && known.insert(cid) {
                all.push(cid);
            }
            continue;
        }
        let content = read(blocks, &cid).ok_or(cid)?;
        let links = match content {
            Content::File { children, .. } if !inside => {
                let children = children.into_iter().map(|(cid, _)| (cid, None, false));
                open.extend(children);
                Vec::new()
            }
            Content::File { .. } => continue,
            Content::Directory(links) | Content::Shard { links, .. } => links,
            Content::Raw(_) | Content::Symlink(_) => Vec::new(),
        };
        known.insert(cid);
        all.push(cid);
        let mut links_before: HashMap<_, Cid> = HashMap::new();
        if let Some(Content::Directory(links) | Content::Shard { links, .. }) =
            before.and_then(|before| read(blocks, &before))
        {
            links_before.extend(links.into_iter().map(|link| (link.name, link.cid)));
        }
        for link in links.into_iter().rev() {
            let inside = inside || is_named(&link.name, nars);
            open.push((link.cid, links_before.get(&link.name).copied(), inside));
        }
    }
    Ok(all)
}

/// Returns whether a link is an entry of this name, in a plain directory or in a HAMT shard.
fn is_named(link: &[u8], name: &str) -> bool {
    let after_prefix = link.get(2..).filter(|_| link.len() == name.len() + 2);
    link == name.as_bytes() || after_prefix == Some(name.as_bytes())
}

fn read(blocks: &BlockStore, cid: &Cid) -> Option<Content> {
    let data = blocks.get(cid).ok()??;
    Content::decode(&Block::verify(*cid, data).ok()?).ok()
}
