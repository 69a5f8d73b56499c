//! `interplanar run`: the command line of [`crate::demo`].

use super::{Context, Failure};
use crate::demo::Demo;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Show the main job on a real tree: publish it over IPFS, fetch it back, verify everything, and serve on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar run
  interplanar run /usr/share/doc --port 8080
  interplanar run --check")]
pub struct Args {
    /// Folder or file to publish [default: one that this machine has].
    #[arg(value_name = "TREE")]
    pub tree: Option<PathBuf>,
    /// Folder to bake into [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub listen: IpAddr,
    /// Port to listen on; 0 for any that is free.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// End after the check, as with CI=true in the environment.
    #[arg(long)]
    pub check: bool,
}

/// Runs the demo, then serves until a signal ends it.
///
/// # Errors
/// The step that failed.
pub async fn run(args: Args, context: Context) -> Result<(), Failure> {
    let shutdown = context.shutdown();
    let temporary = tempfile::Builder::new()
        .prefix("interplanar-run-")
        .tempdir()?;
    let demo = Demo {
        tree: args.tree,
        cache: args.cache.unwrap_or_else(|| temporary.path().to_path_buf()),
        address: SocketAddr::new(args.listen, args.port),
    };
    let serving = demo.run(shutdown.clone()).await?;
    if args.check || std::env::var("CI").is_ok_and(|value| value == "true") {
        shutdown.cancel();
    } else {
        println!("Stop with Ctrl-C.");
    }
    Ok(serving.until_shutdown().await?)
}
