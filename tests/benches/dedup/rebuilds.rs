//! Real rebuilds: the real Guix and the real Nix build small programs twice, the second time with
//! another dependency.
//!
//! | package | what refers to its dependency |
//! |---|---|
//! | sqlite | RUNPATH of a library and of a program |
//! | zstd | the path as data in a program, and RUNPATH |
//! | scripts | first lines and bodies of 300 scripts, .pc files; 2 MB of text don't refer to it |
//!
//! Their own hashes change too, and so do the build IDs. The sources come from crates that this
//! workspace uses anyway. The compiler is Debian's, in an overlay that is deleted afterwards. The
//! data folder keeps the results.

use interplanar_server::nar_dump;
use interplanar_tests::guix::Guix;
use interplanar_tests::nix::Nix;
use interplanar_tests::output;
use interplanar_tests::root::Root;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages, which are built after `dep`.
const PACKAGES: [&str; 3] = ["sqlite", "zstd", "scripts"];

const DEP: &str = r#"export PATH=/usr/bin
$busybox mkdir -p $out/lib $out/bin
echo "const char *dep_version(void) { return \"1.$dep\"; }" > dep.c
gcc -O1 -shared -fPIC -o $out/lib/libdep.so dep.c
$busybox cp $busybox $out/bin/sh
"#;

const SQLITE: &str = r#"export PATH=/usr/bin
$busybox mkdir -p $out/lib $out/bin
link="-L$dep/lib -ldep -Wl,-rpath,$dep/lib -Wl,-rpath,$out/lib"
gcc -O1 -w -shared -fPIC -o $out/lib/libsqlite3.so $src/sqlite3.c $link -lm
cat > main.c <<EOF
#include <stdio.h>
const char *dep_version(void); const char *sqlite3_libversion(void);
int main(void) { printf("%s %s\n", sqlite3_libversion(), dep_version()); return 0; }
EOF
gcc -O1 -o $out/bin/sql main.c -L$out/lib -lsqlite3 $link
"#;

const ZSTD: &str = r#"export PATH=/usr/bin
$busybox mkdir -p $out/bin
cat > main.c <<EOF
#include <stdio.h>
const char *dep_version(void); unsigned ZSTD_versionNumber(void); unsigned long ZSTD_compress(void*, unsigned long, const void*, unsigned long, int);
int main(void) { char out[99]; printf("%u %s %lu %s\n", ZSTD_versionNumber(), dep_version(), ZSTD_compress(out, 99, "a", 1, 3), "$dep/share/dictionary"); return 0; }
EOF
gcc -O1 -w -DZSTD_DISABLE_ASM -o $out/bin/zstd main.c $src/zstd/*/*.c -L$dep/lib -ldep -Wl,-rpath,$dep/lib
"#;

const SCRIPTS: &str = r##"$busybox mkdir -p $out/bin $out/lib/pkgconfig $out/share
n=0
while [ $n -lt 300 ]; do
    n=$((n + 1))
    printf '#!%s/bin/sh\nexport LIB=%s/lib\nexec %s/bin/sh -c "echo %s" "$@"\n' $dep $dep $dep $n > $out/bin/script-$n
    $busybox chmod +x $out/bin/script-$n
done
printf 'prefix=%s\nlibdir=%s/lib\nLibs: -L%s/lib -ldep\n' $out $out $dep > $out/lib/pkgconfig/scripts.pc
$busybox seq 1 300000 | $busybox sha1sum > $out/share/sum
$busybox od -x $src/sqlite3.c | $busybox head -c 2000000 > $out/share/text
"##;

const GUIX: &str = r#"
(use-modules (guix store) (guix derivations) (ice-9 textual-ports))
(define store (open-connection))
(define folder (add-to-store store "builder" #t "sha256" "/opt/builder"))
(define sources (add-to-store store "sources" #t "sha256" "/opt/src"))
(define busybox (string-append folder "/busybox"))
(define (make name dep . refs)
  (let* ((script (call-with-input-file (string-append "/root/" name ".sh") get-string-all))
         (sh (add-text-to-store store (string-append name ".sh") script))
         (drv (derivation store (string-append name "-1.0") busybox (list "sh" sh)
                #:sources (append (list folder sources sh) refs)
                #:env-vars `(("busybox" . ,busybox) ("src" . ,sources) ("dep" . ,dep)))))
    (build-derivations store (list drv))
    (derivation->output-path drv)))
(for-each (lambda (version)
            (define dep (make "dep" version))
            (for-each (lambda (name) (display (make name dep dep)) (newline)) '(@@PACKAGES@@)))
          '("1" "2"))
"#;

const NIX: &str = r#"let
  busybox = "${/opt/builder}/busybox";
  make = name: dep: derivation {
    inherit busybox dep;
    name = "${name}-1.0"; system = "x86_64-linux"; builder = busybox; src = "${/opt/src}";
    args = [ "sh" (builtins.toFile "${name}.sh" (builtins.readFile (/root + "/${name}.sh"))) ];
  };
in builtins.concatMap (version: map (name: make name (make "dep" version)) [ @@PACKAGES@@ ]) [ "1" "2" ]
"#;

/// An item that Guix or Nix built.
pub(crate) struct Built {
    pub(crate) store_path: String,
    pub(crate) references: Vec<String>,
    pub(crate) nar: Vec<u8>,
}

/// A package, and its rebuild with another dependency.
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) old: Built,
    pub(crate) new: Built,
}

/// Builds the packages that `data` lacks, and returns all.
pub(crate) fn all(data: &Path) -> Vec<Pair> {
    let (guix, nix) = (data.join("guix"), data.join("nix"));
    if !guix.exists() {
        let machine = Guix::new();
        build(&machine.root, &guix, by_guix);
    }
    if !nix.exists() {
        let machine = Nix::new();
        build(&machine.root, &nix, by_nix);
    }
    let pair = |by: &'static str| {
        PACKAGES.map(|name| Pair {
            name: format!("{name}, {by}"),
            old: read(&data.join(by).join(name).join("old")),
            new: read(&data.join(by).join(name).join("new")),
        })
    };
    ["guix", "nix"].into_iter().flat_map(pair).collect()
}

/// Returns the sources of C code in crates that this workspace uses.
fn sources() -> Vec<(PathBuf, &'static str)> {
    let said = output(Command::new(env!("CARGO")).args(["metadata", "--format-version=1"]));
    let metadata: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let of = |name: &str, below: &str| {
        let packages = metadata["packages"].as_array().expect("packages");
        let package = packages.iter().find(|package| package["name"] == name);
        let manifest = package.expect("a package of the lock file")["manifest_path"].as_str();
        let folder = Path::new(manifest.expect("a path")).parent();
        folder.expect("a folder").join(below)
    };
    vec![
        (of("libsqlite3-sys", "sqlite3/sqlite3.c"), "sqlite3.c"),
        (of("zstd-sys", "zstd/lib"), "zstd"),
    ]
}

/// An item's store path, and those that it refers to.
type Paths = (String, Vec<String>);

/// Builds all in a machine and keeps it, whole or not at all.
fn build(root: &Root, kept: &Path, by: fn(&Root) -> Vec<Paths>) {
    root.sh(
        "export DEBIAN_FRONTEND=noninteractive
         apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null 2>&1
         mkdir -p /opt/src",
    );
    for (from, to) in sources() {
        let to = root.path("/opt/src").join(to);
        output(Command::new("cp").arg("-rL").arg(from).arg(to));
    }
    for (name, script) in [
        ("dep", DEP),
        ("sqlite", SQLITE),
        ("zstd", ZSTD),
        ("scripts", SCRIPTS),
    ] {
        root.write(&format!("/root/{name}.sh"), script);
    }
    let built = by(root);
    assert_eq!(built.len(), 2 * PACKAGES.len());
    let unfinished = kept.with_extension("unfinished");
    drop(fs::remove_dir_all(&unfinished));
    for (n, (item, references)) in built.iter().enumerate() {
        let age = ["old", "new"][n / PACKAGES.len()];
        let folder = unfinished.join(PACKAGES[n % PACKAGES.len()]).join(age);
        fs::create_dir_all(&folder).expect("a folder");
        let mut nar = vec![];
        nar_dump::dump(&root.path(item), &mut nar).expect("a NAR");
        fs::write(folder.join("nar"), nar).expect("a file");
        let lines = [std::slice::from_ref(item), references].concat().join("\n");
        fs::write(folder.join("paths"), lines).expect("a file");
    }
    fs::rename(unfinished, kept).expect("kept");
}

fn by_guix(root: &Root) -> Vec<Paths> {
    let names = PACKAGES.map(|name| format!("{name:?}")).join(" ");
    root.write("/root/rebuilds.scm", GUIX.replace("@@PACKAGES@@", &names));
    let built = output(
        root.command("guix")
            .args(["repl", "--", "/root/rebuilds.scm"]),
    );
    with_references(&built, |item| {
        output(root.command("guix").args(["gc", "--references", item]))
    })
}

fn by_nix(root: &Root) -> Vec<Paths> {
    let names = PACKAGES.map(|name| format!("{name:?}")).join(" ");
    root.write("/root/rebuilds.nix", NIX.replace("@@PACKAGES@@", &names));
    let built = output(
        root.command("nix-build")
            .args(["--no-out-link", "/root/rebuilds.nix"]),
    );
    with_references(&built, |item| {
        output(
            root.command("nix-store")
                .args(["--query", "--references", item]),
        )
    })
}

fn with_references(built: &str, of: impl Fn(&str) -> String) -> Vec<Paths> {
    let item = |line: &str| {
        let references = of(line).lines().map(str::to_owned).collect();
        (line.to_owned(), references)
    };
    built.lines().map(item).collect()
}

fn read(folder: &Path) -> Built {
    let paths = fs::read_to_string(folder.join("paths")).expect("paths");
    let mut paths = paths.lines().map(str::to_owned);
    Built {
        store_path: paths.next().expect("a store path"),
        references: paths.collect(),
        nar: fs::read(folder.join("nar")).expect("a NAR"),
    }
}
