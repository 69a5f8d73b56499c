//! `interplanar get`: writes a file, a directory or a store item to disk.

use super::{Context, Failure};
use crate::decode::Decoder;
use crate::get::{Access, AccessArgs, Output, Target, content, directory, item};
use crate::nar_restore::Unpacker;
use anyhow::anyhow;
use interplanar_core::cid::IpfsUrl;
use interplanar_core::decompress::Limits;
use interplanar_core::narinfo::Compression;
use interplanar_core::unixfs::Content;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// Download a file, a directory or a store item, over IPFS where possible, and verify it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar get ipfs://bafy…/README
  interplanar get bafy… --output hello.nar.zst
  interplanar get ipfs://bafy… --unpack hello
  interplanar get /gnu/store/…-hello-2.12 --upstream https://cache.example.org --explain
  interplanar get /gnu/store/…-hello-2.12 --upstream https://cache.example.org --prefer bytes
A store item is written as a plain NAR, or unpacked with --unpack. A directory on IPFS becomes a folder.
A download that fails verification is deleted. Exit codes: 3 verification failed, 4 not found.")]
pub struct Args {
    /// What to download: an ipfs:// URL, a CID, a store path or the hash part of one (32
    /// characters).
    #[arg(value_name = "TARGET")]
    target: Target,
    /// File to write; `-` is standard output [default: the last part of the URL, the CID, or for a
    /// store item, its name and .nar].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Unpack the NAR to this path, which must not exist. A NAR from IPFS can be compressed.
    #[arg(long, value_name = "PATH", conflicts_with = "output")]
    unpack: Option<PathBuf>,
    /// Print the download plan: what is reused, what is fetched, and why.
    #[arg(long)]
    pub(super) explain: bool,
    /// Print a summary of the download as one line of JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Downloads the target.
///
/// # Errors
/// Exit code 3 when verification fails, 4 when no source has the target.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    let access = Access::new(args.access)?;
    let summary_json = match args.target {
        Target::Inside(..) => {
            return Err(Failure::usage(anyhow!(
                "`get` downloads whole store items; use `interplanar cat` for a file inside one"
            )));
        }
        Target::Item(hash) => store_item(&access, &hash, args.output, args.unpack).await?,
        Target::Ipfs(url) => ipfs(access.with_blocks()?, &url, args.output, args.unpack).await?,
    };
    if args.json {
        println!("{summary_json}");
    }
    Ok(())
}

async fn store_item(
    access: &Access,
    hash: &str,
    output: Option<PathBuf>,
    unpack: Option<PathBuf>,
) -> Result<serde_json::Value, Failure> {
    let (proxy, found) = access.item(hash).await?;
    let info = found.narinfo();
    if let Some(target) = &unpack {
        let mut unpacker = Unpacker::new(target)?;
        item::nar(&proxy, &found, |data| Ok(unpacker.push(data)?)).await?;
        unpacker.finish()?;
    } else {
        let name =
            output.unwrap_or_else(|| format!("{}.nar", info.store_path().base_name()).into());
        let mut out = Output::open(&name)?;
        item::nar(&proxy, &found, |data| Ok(out.write_all(data)?)).await?;
        out.finish()?;
    }
    Ok(
        json!({ "storePath": info.store_path().as_str(), "narHash": info.nar_hash().to_string(), "narSize": info.nar_size() }),
    )
}

async fn ipfs(
    access: Access,
    url: &IpfsUrl,
    output: Option<PathBuf>,
    unpack: Option<PathBuf>,
) -> Result<serde_json::Value, Failure> {
    let default_name = || {
        PathBuf::from(
            url.path
                .last()
                .cloned()
                .unwrap_or_else(|| url.cid.to_string()),
        )
    };
    if let Some(target) = unpack {
        let mut nar = CompressedUnpacker::new(Unpacker::new(&target)?);
        let summary = content::fetch(&access, url, &mut nar).await?;
        nar.finish()?;
        return Ok(
            json!({ "cid": url.cid.to_string(), "bytes": summary.bytes, "blocks": summary.blocks }),
        );
    }
    let cid = access.resolve(url).await?;
    if matches!(
        directory::content_at(&access, &cid).await?,
        Content::Directory(_) | Content::Shard { .. } | Content::Symlink(_)
    ) {
        let (count, summary) =
            directory::restore(&access, cid, &output.unwrap_or_else(default_name)).await?;
        return Ok(
            json!({ "cid": cid.to_string(), "entries": count, "bytes": summary.bytes, "networkBytes": summary.network_bytes }),
        );
    }
    let mut out = Output::open(&output.unwrap_or_else(default_name))?;
    let summary = content::fetch(&access, &IpfsUrl::new(cid), &mut out).await?;
    out.finish()?;
    Ok(
        json!({ "cid": cid.to_string(), "bytes": summary.bytes, "blocks": summary.blocks, "networkBytes": summary.network_bytes }),
    )
}

/// Unpacks a NAR and detects its compression from its first bytes.
struct CompressedUnpacker {
    unpacker: Unpacker,
    decoder: Option<Decoder>,
    first: Vec<u8>,
    out: Vec<u8>,
}

impl CompressedUnpacker {
    fn new(unpacker: Unpacker) -> Self {
        Self {
            unpacker,
            decoder: None,
            first: Vec::new(),
            out: Vec::new(),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.decoder.is_none() {
            self.first.extend_from_slice(bytes);
            if self.first.len() < 16 {
                return Ok(());
            }
            let compression = detect_compression(&self.first).ok_or_else(|| {
                anyhow!("this is not a NAR, compressed or plain; use --output to save it as a file")
            })?;
            // The size of the NAR is unknown here, so only the disk limits it.
            self.decoder = Some(Decoder::new(
                compression,
                Limits {
                    max_output: u64::MAX,
                    max_window: 128 << 20,
                },
            )?);
            let first = std::mem::take(&mut self.first);
            return self.decode(&first);
        }
        self.decode(bytes)
    }

    fn decode(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(());
        };
        while !bytes.is_empty() {
            decoder.push(&mut bytes, &mut self.out)?;
            self.unpacker.push(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let decoder = self.decoder.as_mut().ok_or_else(|| {
            anyhow!("this is too short to be a NAR; use --output to save it as a file")
        })?;
        loop {
            let done = decoder.finish(&mut self.out)?;
            self.unpacker.push(&self.out)?;
            self.out.clear();
            if done {
                break;
            }
        }
        Ok(self.unpacker.finish()?)
    }
}

impl Write for CompressedUnpacker {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.push(bytes).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn detect_compression(first: &[u8]) -> Option<Compression> {
    let magics: [(&[u8], Compression); 5] = [
        (b"\x0d\0\0\0\0\0\0\0nix-arch", Compression::None),
        (b"\x1f\x8b\x08", Compression::Gzip),
        (b"\x28\xb5\x2f\xfd", Compression::Zstd),
        (b"LZIP\x01", Compression::Lzip),
        (b"\xfd7zXZ\0", Compression::Xz),
    ];
    magics
        .into_iter()
        .find_map(|(magic, compression)| first.starts_with(magic).then_some(compression))
}
