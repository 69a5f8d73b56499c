//! Verifies the signature of a narinfo with public keys of Guix or Nix.
//!
//! ```sh
//! cargo run --example verify_narinfo -- \
//!     tests/fixtures/nix-2.34.8/none/*.narinfo tests/fixtures/nix-2.34.8/nix.pub
//! ```
//! A key file is Nix's `name:base64` or Guix's `(public-key …)`, as in /etc/guix/signing-key.pub.

use interplanar_core::narinfo::NarInfo;
use interplanar_core::signature::{SignatureError, guix, nix};
use interplanar_core::trust::{Signed, TrustedKeys};
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [narinfo, keys @ ..] = args.as_slice() else {
        return usage();
    };
    if keys.is_empty() {
        return usage();
    }
    match verify(narinfo, keys) {
        Ok(signed) => {
            println!("{} is signed by a trusted key", signed.store_path());
            println!("NAR: {} bytes, {}", signed.nar_size(), signed.nar_hash());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("verify_narinfo: can't verify {narinfo}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: verify_narinfo FILE.narinfo KEY_FILE...");
    ExitCode::from(2)
}

fn verify(narinfo: &str, key_files: &[String]) -> Result<Signed, Box<dyn Error>> {
    let mut keys = TrustedKeys::default();
    for file in key_files {
        let named = |error: &dyn Error| format!("key file {file}: {error}");
        let text = std::fs::read_to_string(file).map_err(|error| named(&error))?;
        add_key(&mut keys, text.trim()).map_err(|error| named(&error))?;
    }
    let narinfo = NarInfo::parse(&std::fs::read(narinfo)?)?;
    Ok(keys.verify(&narinfo)?)
}

fn add_key(keys: &mut TrustedKeys, text: &str) -> Result<(), SignatureError> {
    match text.starts_with('(') {
        true => keys.guix.push(guix::PublicKey::parse(text)?),
        false => keys.nix.push(nix::PublicKey::parse(text)?),
    }
    Ok(())
}
