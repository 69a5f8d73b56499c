//! `interplanar run`: the command line of [`crate::demo`].

use super::{Context, Failure};
use crate::demo::Demo;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Publish a folder over IPFS, fetch it back, verify it, and keep serving it: a demonstration.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  interplanar run
  interplanar run /usr/share/doc --port 8080
  interplanar run --check")]
pub struct Args {
    /// Folder or file to publish [default: a system folder that this machine has].
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// Cache folder [default: a temporary folder].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub listen: IpAddr,
    /// Port to listen on. 0 picks a free port.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Exit after the check. So does CI=true in the environment.
    #[arg(long)]
    pub check: bool,
}

/// Runs the demonstration, then serves until a signal stops it.
///
/// # Errors
/// A step of the demonstration failed.
pub async fn run(args: Args, context: Context) -> Result<(), Failure> {
    let shutdown = context.shutdown();
    let temporary = tempfile::Builder::new()
        .prefix("interplanar-run-")
        .tempdir()?;
    let demo = Demo {
        path: args.path,
        cache: args.cache.unwrap_or_else(|| temporary.path().to_path_buf()),
        address: SocketAddr::new(args.listen, args.port),
        keep_serving: !(args.check || std::env::var("CI").is_ok_and(|value| value == "true")),
    };
    let keep_serving = demo.keep_serving;
    let serving = demo.run(shutdown.clone()).await?;
    if !keep_serving {
        shutdown.cancel();
    } else {
        println!("Press Ctrl-C to stop.");
    }
    Ok(serving.until_shutdown().await?)
}
