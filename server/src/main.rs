//! The interplanar program; see [`interplanar_server::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    interplanar_server::cli::main(std::env::args_os())
}
