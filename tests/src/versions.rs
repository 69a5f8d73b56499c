//! Items that share most of their bytes, in a store and published.

use crate::cache;
use crate::kubo::Kubo;
use crate::nix::Nix;
use crate::program::{Program, narinfo};
use crate::root::Root;
use crate::{noise, output};

/// Bytes that are the same in all of them.
pub const SHARED: usize = 5 << 20;
/// Bytes of each that no other has.
pub const OWN: usize = 200_000;

/// The files of items with these names, at /root/NAME.
fn write(root: &Root, names: &[&str]) {
    for (name, seed) in names.iter().zip(1..) {
        let at = |file: &str| format!("/root/{name}/{file}");
        root.write(&at("lib/shared"), noise(0, SHARED));
        root.write(&at("own"), noise(seed, OWN));
        root.write(&at("bin/tool"), format!("#!/bin/sh\necho {name}\n"));
    }
}

/// Adds them to a Guix store, and gives their paths.
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
    let said = output(root.command("guix").args(["repl", "--", "/root/add.scm"]));
    said.lines().map(str::to_owned).collect()
}

/// Adds them to a Nix store, and gives their paths.
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

/// Publishes into Kubo, until all of `items` are there.
#[must_use]
pub fn publish(root: &Root, kubo: &Kubo, items: &[String], options: &[&str]) -> Program {
    let publish = cache::publish(root, kubo, options);
    for item in items {
        narinfo(&publish.url, item, |text| text.contains("ipfs://"));
    }
    publish
}
