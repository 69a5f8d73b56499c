//! The recipes of README.md, run as they stand there by the real Guix, Nix and Kubo.
//!
//! A comment above each code block names the machine it is for: `<!-- test: guix client -->`. A test
//! replaces what a reader has to fill in (a store path, a key, an IPNS name), and nothing else. The
//! host `cache.example.org` is loopback.

use interplanar_tests::cache::NIX_KEY;
use interplanar_tests::guix::Guix;
use interplanar_tests::kubo::{Kubo, Repo};
use interplanar_tests::network::in_own_network;
use interplanar_tests::nix::Nix;
use interplanar_tests::program::{Program, get, narinfo};
use interplanar_tests::root::{Root, wait_until};
use interplanar_tests::{checkout, output};
use std::process::Command;

/// A code block of the README.
struct Recipe {
    /// The machine that runs it; `None` for a block without a comment.
    label: Option<String>,
    text: String,
}

/// All code blocks, in order.
fn recipes() -> Vec<Recipe> {
    let readme = std::fs::read_to_string(checkout().join("README.md")).expect("README.md");
    let (mut recipes, mut label, mut block) = (Vec::new(), None, None);
    for line in readme.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(_)) => block = Some(String::new()),
            (None, None) => {
                let named = line.strip_prefix("<!-- test: ");
                if let Some(named) = named.and_then(|rest| rest.strip_suffix(" -->")) {
                    label = Some(named.to_owned());
                }
            }
            (Some(_), Some(_)) => recipes.push(Recipe {
                label: label.take(),
                text: block.take().unwrap_or_default(),
            }),
            (Some(text), None) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    recipes
}

/// The blocks for one machine, with each placeholder replaced.
fn blocks(label: &str, replacements: &[(&str, &str)]) -> Vec<String> {
    let found: Vec<String> = recipes()
        .into_iter()
        .filter(|recipe| recipe.label.as_deref() == Some(label))
        .map(|recipe| {
            replacements
                .iter()
                .fold(recipe.text, |text, (from, to)| text.replace(from, to))
        })
        .collect();
    assert!(!found.is_empty(), "README.md has no recipe for {label}");
    found
}

/// The only block for one machine.
fn block(label: &str, replacements: &[(&str, &str)]) -> String {
    let mut found = blocks(label, replacements);
    assert_eq!(found.len(), 1, "README.md has several recipes for {label}");
    found.remove(0)
}

/// Runs a block whose last command is a server, and waits until that listens.
fn serve(root: &Root, block: &str) -> Program {
    let joined = block.replace("\\\n", " ");
    let (before, server) = joined.trim_end().rsplit_once('\n').unwrap_or(("", &joined));
    root.sh(before);
    // The shell becomes the server, so that the server ends with the test.
    Program::start(root.direct("sh").args(["-euc", &format!("exec {server}")]))
}

/// Gives a machine the name of the cache.
fn name_the_cache(root: &Root) {
    root.write("/etc/hosts", "127.0.0.1 localhost cache.example.org\n");
}

/// Kubo on its usual ports.
fn kubo() -> Kubo {
    let repo = Repo::new();
    for (address, port) in [("API", 5001), ("Gateway", 8080)] {
        output(repo.ipfs().args([
            "config",
            &format!("Addresses.{address}"),
            &format!("/ip4/127.0.0.1/tcp/{port}"),
        ]));
    }
    Kubo::with(repo)
}

const CACHE: &str = "http://127.0.0.1:80";

#[test]
fn every_recipe_is_run_by_a_test() {
    let tested = [
        "guix client",
        "guix daemon",
        "nix client",
        "guix cache",
        "nix cache",
        "nix folder",
        "guix folder",
        "guix cache stopped",
        "guix snapshot",
        "guix from snapshot",
        "proxy from snapshot",
        "snapshot file",
        "by hand",
        "settings",
    ];
    let recipes = recipes();
    for recipe in &recipes {
        match &recipe.label {
            Some(label) => assert!(tested.contains(&label.as_str()), "no test runs {label}"),
            // The targets of the Makefile are what runs these tests; here they only have to exist.
            None => {
                for line in recipe.text.lines() {
                    let target = line
                        .strip_prefix("make ")
                        .and_then(|rest| rest.split_whitespace().next())
                        .unwrap_or_else(|| panic!("a recipe without a test: {line}"));
                    let mut make = Command::new("make");
                    output(make.args(["--dry-run", target]).current_dir(checkout()));
                }
            }
        }
    }
    for label in tested {
        let named = |recipe: &Recipe| recipe.label.as_deref() == Some(label);
        assert!(recipes.iter().any(named), "README.md lost {label}");
    }
}

#[test]
fn guix_recipes() {
    in_own_network("guix_recipes", || {
        let kubo = kubo();
        let cache = Guix::new();
        let items = cache.items();
        name_the_cache(&cache.root);
        let publish = serve(&cache.root, &block("guix cache", &[]));
        for item in [&items.tree, &items.builder] {
            narinfo(CACHE, item, |text| text.contains("ipfs://"));
        }
        let hello = format!("/gnu/store/{}", &items.tree["/gnu/store/".len()..]);
        let fill = [
            ("guix build hello", &*format!("guix build {hello}")),
            ("/gnu/store/…-hello-2.12", &hello),
            ("/bin/hello", "/bin/hi"),
        ];

        // Through the proxy.
        let client = Guix::new();
        name_the_cache(&client.root);
        let key = cache.root.read("/etc/guix/signing-key.pub");
        client.root.write("/signing-key.pub", &key);
        let recipe = blocks("guix client", &fill);
        let proxy = serve(&client.root, &recipe[0]);
        client.root.sh(&recipe[1]);
        assert_eq!(client.hash(&items.tree), cache.hash(&items.tree));
        let log = proxy.stop();
        assert!(!log.contains("WARN"), "{log}");

        // By hand.
        let out = client.root.sh(&block("by hand", &fill));
        assert!(out.contains("share/hello"), "ls printed:\n{out}");
        let script = cache.root.read(&format!("{}/bin/hi", items.tree));
        assert!(out.contains(&script), "cat printed:\n{out}");
        assert_eq!(client.root.read("/hello/share/hello"), "hello\n");

        // Inside guix-daemon.
        client.delete(&[&items.tree]);
        daemon(client, &items.tree, &cache.hash(&items.tree));

        // Disk space.
        drop(publish.stop());
        let out = cache.root.sh(&block("guix cache stopped", &[]));
        assert!(out.contains("tree-1.0"), "du printed:\n{out}");

        // The whole cache as a folder.
        let publish = serve(&cache.root, &block("guix snapshot", &[]));
        let mut name = String::new();
        wait_until("the name of the snapshot", || {
            let log = publish.log();
            name = log.rfind("/ipns/k51").map_or_else(String::new, |at| {
                let name = log[at + "/ipns/".len()..].chars();
                name.take_while(char::is_ascii_alphanumeric).collect()
            });
            !name.is_empty()
        });
        // At its end it publishes what is baked by then.
        for item in [&items.tree, &items.user, &items.big, &items.builder] {
            narinfo(CACHE, item, |text| text.contains("ipfs://"));
        }
        drop(publish.stop());
        let client = Guix::new();
        client.authorize(&key);
        let named = [fill[0], ("k51…", &name)];
        client.root.sh(&block("guix from snapshot", &named));
        assert_eq!(client.hash(&items.tree), cache.hash(&items.tree));
        client.delete(&[&items.tree]);
        let proxy = serve(&client.root, &block("proxy from snapshot", &named));
        client.root.sh(&recipe[1]);
        assert_eq!(client.hash(&items.tree), cache.hash(&items.tree));
        drop(proxy);

        // As a file.
        cache.root.sh("mkdir -p /media/stick");
        cache.root.sh(&block("snapshot file", &[]));
        drop(kubo);

        // A folder.
        cache.root.write("/site/index.html", "<p>hello\n");
        let publish = serve(&cache.root, &block("guix folder", &[]));
        let item = publish.item();
        let text = narinfo(CACHE, &item, |_| true);
        assert!(text.contains("-site\n"), "{text}");
    });
}

/// guix-daemon with our program in the place of `guix substitute`.
fn daemon(mut client: Guix, item: &str, hash: &str) {
    client.stop_daemon();
    let root = &client.root;
    let script = block("guix daemon", &[]);
    let (before, daemon) = script.trim_end().rsplit_once('\n').expect("several lines");
    let mut running = root
        .command("sh")
        .args(["-euc", &format!("{before}\nexec {daemon}")])
        .spawn()
        .expect("sh");
    root.wait_for("/var/guix/daemon-socket/socket");
    root.sh(&format!("guix build {item}"));
    assert_eq!(client.hash(item), hash);
    drop(running.kill());
    drop(running.wait());
}

#[test]
fn nix_recipes() {
    in_own_network("nix_recipes", || {
        let kubo = kubo();
        let cache = Nix::new();
        let items = cache.items();
        name_the_cache(&cache.root);
        let publish = serve(&cache.root, &block("nix cache", &[]));
        for item in [&items.tree, &items.builder] {
            narinfo(CACHE, item, |text| text.contains("ipfs://"));
        }
        let key = cache.root.read("/etc/nix/cache.pub").trim().to_owned();
        assert!(!key.starts_with(NIX_KEY), "the recipe names its own key");
        let fill = [
            ("/nix/store/…-hello-2.12", items.tree.as_str()),
            ("cache.example.org-1:…", &key),
        ];

        let client = Nix::new();
        name_the_cache(&client.root);
        let recipe = blocks("nix client", &fill);
        let proxy = serve(&client.root, &recipe[0]);
        client.root.sh(&recipe[1]);
        assert_eq!(client.hash(&items.tree), cache.hash(&items.tree));
        let log = proxy.stop();
        assert!(!log.contains("WARN"), "{log}");
        drop(publish.stop());
        drop(kubo);

        let publish = serve(&cache.root, &block("nix folder", &fill));
        let text = narinfo(CACHE, &items.tree, |_| true);
        assert!(text.contains("NarHash: "), "{text}");
        drop(publish);
    });
}

#[test]
fn the_settings_file_is_read() {
    in_own_network("the_settings_file_is_read", || {
        let root = Root::new();
        name_the_cache(&root);
        root.write("/etc/interplanar.toml", block("settings", &[]));
        let proxy = Program::inside(&root, &["proxy"]);
        let (status, _) = get(&format!("{}/metrics", proxy.url));
        assert_eq!(status, 200);
        // The file gave what the command line lacks.
        assert!(proxy.url.ends_with(":8181"), "{}", proxy.url);
    });
}
