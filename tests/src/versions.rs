//! Store items that share most of their bytes, as versions of one package do.

use crate::cache;
use crate::kubo::Kubo;
use crate::nix::Nix;
use crate::program::{Program, narinfo};
use crate::root::Root;
use crate::{noise, output};

/// Bytes of the file that all items share.
pub const SHARED_BYTES: usize = 5 << 20;
/// Bytes of the file that only one item has.
pub const OWN_BYTES: usize = 200_000;

/// Writes the files of items with these names to `/root/NAME`.
fn write(root: &Root, names: &[&str]) {
    for (name, seed) in names.iter().zip(1..) {
        let at = |file: &str| format!("/root/{name}/{file}");
        root.write(&at("lib/shared"), noise(0, SHARED_BYTES));
        root.write(&at("own"), noise(seed, OWN_BYTES));
        root.write(&at("bin/tool"), format!("#!/bin/sh\necho {name}\n"));
    }
}

/// Adds items with these names to a Guix store, and returns their store paths.
#[must_use]
pub fn add_to_guix(root: &Root, names: &[&str]) -> Vec<String> {
    write(root, names);
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    root.write(
        "/root/add.scm",
        format!(
            "(use-modules (guix store)) (define store (open-connection))
             (for-each (lambda (name)
                 (display (add-to-store store name #t \"sha256\" (string-append \"/root/\" name))) (newline))
               '({}))",
            quoted.join(" ")
        ),
    );
    let added = output(root.command("guix").args(["repl", "--", "/root/add.scm"]));
    added.lines().map(str::to_owned).collect()
}

/// Adds items with these names to a Nix store, and returns their store paths.
#[must_use]
pub fn add_to_nix(machine: &Nix, names: &[&str]) -> Vec<String> {
    write(&machine.root, names);
    let add = |name: &&str| {
        let folder = format!("/root/{name}");
        let mut add = machine.root.command("nix-store");
        output(add.args(["--add", &folder])).trim().to_owned()
    };
    names.iter().map(add).collect()
}

/// Starts `interplanar publish`, and returns it when Kubo has all of `items`.
#[must_use]
pub fn publish(root: &Root, kubo: &Kubo, items: &[String], options: &[&str]) -> Program {
    let publish = cache::publish(root, kubo, options);
    for item in items {
        narinfo(&publish.url, item, |text| text.contains("ipfs://"));
    }
    publish
}
