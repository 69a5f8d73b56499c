//! `interplanar verify`: checks signatures, NarHashes and blocks.

use super::{Context, Failure};
use crate::get::{Access, AccessArgs, Target, content, item};
use crate::printable::printable;
use crate::proxy::load_keys;
use anyhow::{Context as _, anyhow};
use interplanar_core::narinfo::NarInfo;
use interplanar_core::trust::{TrustError, Unverified};
use std::path::Path;

/// Check the signature, NarHash and blocks of store items, files on IPFS and narinfos.
///
/// Store items and files are downloaded whole, and only --cache keeps their blocks. Of a narinfo
/// file, only the signature is checked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar verify ipfs://bafy…
  interplanar verify /gnu/store/…-hello-2.12 --upstream https://cache.example.org
  interplanar verify hello.narinfo --trusted-key 'cache.example.org-1:…'
Exit codes: 0 everything is correct, 3 verification failed, 4 not found.")]
pub struct Args {
    /// What to verify: ipfs:// URLs, CIDs, store paths, hash parts of store paths, or narinfo
    /// files.
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
    #[command(flatten)]
    access: AccessArgs,
}

/// Verifies one target after another and stops at the first failure.
///
/// # Errors
/// Exit code 3 when verification fails, 4 when no source has a target.
pub async fn run(args: Args, _context: Context) -> Result<(), Failure> {
    for target in &args.targets {
        if Path::new(target).is_file() {
            narinfo(target, &args.access)?;
            continue;
        }
        let access = Access::new(args.access.clone())?;
        let parsed = target.parse::<Target>();
        let parsed = parsed
            .map_err(|error| Failure::usage(anyhow!("there is no file \"{target}\", and {error}")));
        match parsed? {
            Target::Ipfs(url) => {
                let access = access.with_blocks()?;
                let summary = content::fetch(&access, &url, &mut std::io::sink()).await?;
                println!(
                    "{target}: verified {} blocks with {} bytes",
                    summary.blocks, summary.bytes
                );
            }
            Target::Inside(..) => {
                return Err(Failure::usage(anyhow!(
                    "`verify` checks whole store items: leave out the path after the item's name"
                )));
            }
            Target::Item(hash) => {
                let (proxy, found) = access.item(&hash).await?;
                let info = found.narinfo();
                println!(
                    "{}: narinfo from {}, signed by {}",
                    info.store_path(),
                    found.upstream(),
                    signer(info)
                );
                for entry in info.entries() {
                    println!(
                        "  {} {} {}",
                        entry.compression.as_str(),
                        entry
                            .file_size
                            .map_or_else(String::new, |size| size.to_string()),
                        printable(&entry.url)
                    );
                }
                item::nar(&proxy, &found, |_| Ok(())).await?;
                println!(
                    "  NAR of {} bytes, {} verified",
                    info.nar_size(),
                    info.nar_hash()
                );
            }
        }
    }
    Ok(())
}

fn narinfo(path: &str, access: &AccessArgs) -> Result<(), Failure> {
    let bytes = std::fs::read(path).with_context(|| format!("can't read {path}"))?;
    let info = NarInfo::parse(&bytes)
        .map_err(|error| Failure::verification(anyhow!("{path} is not a narinfo: {error}")))?;
    let keys =
        load_keys(access.guix_acl.as_deref(), &access.trusted_keys).map_err(Failure::usage)?;
    let info = keys.verify(Unverified::new(info)).map_err(|error| {
        let advice = match error {
            TrustError::UnknownKey { .. } => "; if you trust it, name it with --trusted-key",
            _ => "",
        };
        Failure::verification(anyhow!("{path}: {error}{advice}"))
    })?;
    println!("{path}: {}, signed by {}", info.store_path(), signer(&info));
    Ok(())
}

/// Returns the names of the signers. Only verified narinfos are passed here.
fn signer(info: &NarInfo) -> String {
    use interplanar_core::signature::{guix, nix};
    let guix = info
        .guix_signature()
        .and_then(|value| guix::Signature::parse(value).ok());
    let nix = info
        .signatures()
        .iter()
        .filter_map(|value| nix::Signature::parse(value).ok());
    let names: Vec<String> = guix
        .map(|signature| signature.key().fingerprint())
        .into_iter()
        .chain(nix.map(|signature| signature.name().to_owned()))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::Exit;
    use super::*;
    use crate::net::client::tests::peers::Peer;
    use crate::proxy::tests::malformed::malformed;
    use crate::proxy::tests::serving::{Cache, TREE};
    use clap::{Args as _, FromArgMatches as _};

    async fn verify(cache: &Cache) -> Result<(), Failure> {
        cache.publish_plain();
        let upstream = Peer::start(cache.files.clone()).await;
        let command = Args::augment_args(clap::Command::new("verify"));
        let matches = command.get_matches_from([
            "verify".to_owned(),
            TREE.to_owned(),
            format!("--upstream={}", upstream.url),
            format!("--trusted-key={}", cache.keys.nix[0]),
        ]);
        run(
            Args::from_arg_matches(&matches).unwrap(),
            Context::default(),
        )
        .await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_malformed_nar_with_the_signed_hash_is_named_with_exit_code_3() {
        for one in malformed() {
            let failure = verify(&Cache::of(one.nar)).await.unwrap_err();
            let text = failure.text();
            assert_eq!(failure.exit, Exit::Verification, "{}: {text}", one.rule);
            let expected = format!("has its signed hash, but it is malformed: {};", one.error);
            assert!(text.contains(&expected), "{}: {text}", one.rule);
        }
    }
}
