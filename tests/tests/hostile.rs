//! Hostile inputs: `core` gives each its verdict however it is split, and the reference programs
//! give the same verdict, except where the table says why not. Requests that two servers could read
//! differently get no answer but an error.

use interplanar_core::car::Item;
use interplanar_core::narinfo::Compression;
use interplanar_tests::hostile::{self, Case, Reader};
use interplanar_tests::kubo::Repo;
use interplanar_tests::peer_version::{GUIX, KUBO, NIX};
use interplanar_tests::program::Program;
use interplanar_tests::root::Root;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn every_case_gets_its_verdict_however_it_is_split() {
    let cases = hostile::all();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
    let wrong: Vec<String> = cases.iter().filter_map(|case| case.check().err()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    println!("{} cases", cases.len());
}

/// Which program accepts what we refuse, or refuses what we accept, and why. A name that ends with
/// `*` stands for all cases that start so.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "guix restore-file",
        "nar/string-*",
        "Guix skips padding unread; Nix and we refuse it",
    ),
    (
        "guix restore-file",
        "nar/name-leading-slash",
        "Guix joins it below the folder; Nix and we refuse it",
    ),
    (
        "guix restore-file",
        "nar/name-nul",
        "Guile cuts the name at the NUL; Nix and we refuse it",
    ),
    (
        "guix restore-file",
        "nar/name-not-utf-8",
        "Guix reads names as UTF-8; in the kernel they are bytes",
    ),
    (
        "guix restore-file",
        "nar/names-decreasing",
        "Guix doesn't compare names; Nix and we refuse it",
    ),
    (
        "guix restore-file",
        "nar/target-nul",
        "Guile cuts the target at the NUL; Nix and we refuse it",
    ),
    (
        "guix restore-file",
        "nar/depth-65",
        "Guix has no limit; Nix has the same one",
    ),
    (
        "guix restore-file",
        "nar/trailing-*",
        "Guix stops reading at the end of the archive",
    ),
    (
        "nix-store --restore",
        "nar/trailing-*",
        "Nix stops reading at the end of the archive",
    ),
    (
        "lzip",
        "lzip/junk",
        "lzip ignores bytes after the last member, without --trailing-error",
    ),
    (
        "lzip",
        "lzip/zeros-after",
        "lzip ignores bytes after the last member, without --trailing-error",
    ),
    (
        "lzip",
        "lzip/dictionary-fraction",
        "lzip reads it as 4 KiB; no program writes it",
    ),
    (
        "lzip",
        "lzip/first-byte",
        "lzip 1.23 ignores the byte; every program writes a zero",
    ),
    (
        "gzip",
        "gzip/header-crc-wrong",
        "we use nothing of the header, and skip its checksum",
    ),
    ("gzip", "gzip/name-long", "our limit; gzip has none"),
    (
        "ipfs",
        "dag-pb/link-hash-unknown",
        "Kubo checks the hash when it fetches the block",
    ),
    (
        "ipfs",
        "dag-pb/link-digest-short",
        "Kubo checks the hash when it fetches the block",
    ),
    (
        "ipfs",
        "unixfs/type-metadata",
        "Kubo knows the type, but nobody uses it",
    ),
    (
        "ipfs",
        "unixfs/size-bytes",
        "Go's protobuf takes a field of another type for an unknown one",
    ),
    (
        "ipfs",
        "unixfs/data-number",
        "Go's protobuf takes a field of another type for an unknown one",
    ),
    (
        "ipfs",
        "unixfs/size-more",
        "Kubo's stat doesn't compare sizes; our ranges rely on them",
    ),
    (
        "ipfs",
        "unixfs/size-less",
        "Kubo's stat doesn't compare sizes; our ranges rely on them",
    ),
    (
        "ipfs",
        "unixfs/block-sizes-*",
        "Kubo's stat doesn't compare sizes; our ranges rely on them",
    ),
    (
        "ipfs",
        "car/header-one-key",
        "Kubo takes a header without roots",
    ),
    (
        "ipfs",
        "car/header-order",
        "Kubo doesn't require canonical DAG-CBOR here",
    ),
    (
        "ipfs",
        "car/header-version-padded",
        "Kubo doesn't require canonical DAG-CBOR here",
    ),
    (
        "ipfs",
        "car/header-trailing",
        "Kubo ignores bytes after the map",
    ),
    (
        "ipfs",
        "car/block-damaged",
        "our CAR reader leaves hashing to its caller: see car-block/damaged",
    ),
    (
        "ipfs",
        "file/leaf-size-*",
        "Kubo's cat doesn't compare sizes; our ranges rely on them",
    ),
    (
        "ipfs",
        "file/node-size-more",
        "Kubo's cat doesn't compare sizes; our ranges rely on them",
    ),
    (
        "ipfs",
        "file/symlink",
        "Kubo's cat prints the target of a link",
    ),
    ("ipfs", "file/depth-65", "our limit; Kubo has none"),
    (
        "ipfs",
        "directory/file",
        "Kubo's ls lists the links of a file",
    ),
    (
        "ipfs",
        "directory/raw",
        "Kubo's ls lists no links of a raw block",
    ),
    (
        "ipfs",
        "directory/slot-*",
        "Kubo's ls cuts the slot off unread",
    ),
    (
        "ipfs",
        "directory/shard-depth-65",
        "our limit; Kubo's is that of the hash, when it looks a name up",
    ),
];

/// Compares the verdicts of a program with ours. Each difference must be in the table, and each line
/// of the table must be a difference.
fn compare(program: &str, accepted: &BTreeMap<String, bool>) -> Result<(), String> {
    let matches = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    };
    let own = || DIFFERENCES.iter().filter(|(own, ..)| *own == program);
    let mut unused: BTreeSet<&str> = own().map(|(_, pattern, _)| *pattern).collect();
    let mut unexplained = vec![];
    for case in hostile::all() {
        let theirs = accepted.get(&case.name).copied();
        if theirs.is_none_or(|theirs| theirs == case.verdict.is_ok()) {
            continue;
        }
        match own().find(|(_, pattern, _)| matches(pattern, &case.name)) {
            Some((_, pattern, _)) => drop(unused.remove(pattern)),
            None => unexplained.push(format!("{}: we say {:?}", case.name, case.verdict)),
        }
    }
    println!("{program}: {} cases compared", accepted.len());
    if unexplained.is_empty() && unused.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{program}: differences that are not in the table:\n{}\nlines of the table that are no difference: {unused:?}",
        unexplained.join("\n"),
    ))
}

fn agree(program: &str, accepted: &BTreeMap<String, bool>) {
    if let Err(differences) = compare(program, accepted) {
        panic!("{differences}");
    }
}

fn of(reader: Reader) -> impl Iterator<Item = Case> {
    hostile::all()
        .into_iter()
        .filter(move |case| case.reader == reader)
}

/// Runs a program with the input of each case on its standard input.
fn run(reader: Reader, command: &[&str]) -> BTreeMap<String, bool> {
    let verdict = |case: Case| {
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect(command[0]);
        // The program may end before it has read everything.
        drop(child.stdin.take().expect("a pipe").write_all(&case.input));
        (case.name, child.wait().expect(command[0]).success())
    };
    of(reader).map(verdict).collect()
}

#[test]
fn the_compressors_agree() {
    let methods = [
        (Compression::Gzip, ["gzip", "-t"]),
        (Compression::Zstd, ["zstd", "-tq"]),
        (Compression::Lzip, ["lzip", "-tq"]),
        (Compression::Xz, ["xz", "-tq"]),
    ];
    let compare = |(method, command): (_, [&str; 2])| {
        compare(command[0], &run(Reader::Decoder(method), &command)).err()
    };
    let differences: Vec<String> = methods.into_iter().filter_map(compare).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Reads lines of a name and a word, as the scripts in machines print them.
fn lines(output: &str) -> BTreeMap<String, bool> {
    let line = |line: &str| {
        let (name, word) = line.split_once(' ').expect("a name and a word");
        (format!("nar/{name}"), word == "accepted")
    };
    output.lines().map(line).collect()
}

/// A machine with the NARs in `/hostile`.
fn machine() -> Root {
    let root = Root::new();
    for case in of(Reader::Nar) {
        let name = case.name.trim_start_matches("nar/");
        root.write(&format!("/hostile/{name}"), &case.input);
    }
    root
}

#[test]
fn nix_restores_the_same_nars() {
    NIX.expect();
    let root = machine();
    let accepted = root.sh(
        "cd /hostile; for nar in *; do rm -rf /restored; \
         if nix-store --restore /restored < \"$nar\" 2> /dev/null; then word=accepted; else word=refused; fi; \
         echo \"$nar $word\"; done",
    );
    agree("nix-store --restore", &lines(&accepted));
}

#[test]
fn guix_restores_the_same_nars() {
    GUIX.expect();
    let root = machine();
    root.write(
        "/restore.scm",
        "(use-modules (guix serialization) (guix build utils) (ice-9 ftw))\n\
         (for-each\n\
          (lambda (nar)\n\
            (when (false-if-exception (lstat \"/restored\"))\n\
              (system* \"rm\" \"-rf\" \"/restored\"))\n\
            (let ((accepted? (catch #t\n\
                    (lambda ()\n\
                      (call-with-input-file (string-append \"/hostile/\" nar)\n\
                        (lambda (port) (restore-file port \"/restored\"))\n\
                        #:binary #t)\n\
                      #t)\n\
                    (const #f))))\n\
              (format #t \"~a ~a~%\" nar (if accepted? \"accepted\" \"refused\"))))\n\
          (scandir \"/hostile\" (lambda (name) (not (string-prefix? \".\" name)))))\n",
    );
    let accepted = root.sh("ulimit -v 4000000; guix repl /restore.scm 2> /dev/null");
    agree("guix restore-file", &lines(&accepted));
}

#[test]
fn kubo_imports_the_same_cars() {
    KUBO.expect();
    let repo = Repo::new();
    let mut accepted = BTreeMap::new();
    for (index, case) in hostile::all().into_iter().enumerate() {
        let Some(car) = case.car() else { continue };
        let after: &[&str] = match case.reader {
            // One of eight cuts is enough here.
            Reader::Car if case.name.contains("/cut-") && index % 8 > 0 => continue,
            Reader::Car => &[],
            Reader::File => &["cat"],
            Reader::Directory => &["ls"],
            Reader::DagPb => &["dag", "get"],
            _ if ["/shard", "/fanout-", "/hash-"]
                .iter()
                .any(|part| case.name.contains(part)) =>
            {
                &["ls"]
            }
            _ => &["files", "stat"],
        };
        // Blocks of other cases must not complete this one.
        let incomplete = case.verdict == Err("a block is missing".to_owned());
        let fresh = incomplete.then(Repo::new);
        let repo = fresh.as_ref().unwrap_or(&repo);
        let file = repo.file("case.car", &car);
        let mut import = repo.ipfs();
        import
            .args([
                "dag",
                "import",
                "--offline",
                "--pin-roots=false",
                "--stats=false",
            ])
            .arg(file);
        let mut ok = import.output().expect("ipfs").status.success();
        if ok && !after.is_empty() {
            let item = interplanar_core::car::Reader::new().push(&mut car.into());
            let Ok(Some(Item::Header { roots })) = item else {
                panic!("{}: no header", case.name)
            };
            ok = roots.first().is_some_and(|root| {
                let mut read = repo.ipfs();
                read.args(after)
                    .args(["--offline", &format!("/ipfs/{root}")]);
                read.output().expect("ipfs").status.success()
            });
        }
        accepted.insert(case.name, ok);
    }
    agree("ipfs", &accepted);
}

/// Sends bytes on a new connection, and returns everything that the server answers until it closes
/// the connection.
fn answers(url: &str, request: &str) -> String {
    let address = url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("a connection");
    let patience = Some(Duration::from_secs(100));
    stream.set_read_timeout(patience).expect("a time-out");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = vec![];
    stream
        .read_to_end(&mut answer)
        .expect("the end of the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn requests_whose_end_is_unclear_smuggle_no_second_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).expect("a tree");
    std::fs::write(tree.join("file"), "hello").expect("a file");
    let program = Program::publish(&folder.path().join("cache"), &[], &[tree]);
    let get = |headers: &str, body: &str| {
        let request = format!("GET /nix-cache-info HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}");
        answers(&program.url, &request)
    };
    let count = |answer: &str| answer.matches("HTTP/1.1 ").count();
    let close = "Connection: close\r\n";
    assert!(get(close, "").starts_with("HTTP/1.1 200 "));
    let second = &format!("GET /nix-cache-info HTTP/1.1\r\nHost: x\r\n{close}\r\n");
    assert_eq!(count(&get("", second)), 2, "requests in a row are answered");
    for headers in [
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3, 4\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length\r\n",
    ] {
        let answer = get(headers, second);
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && count(&answer) == 1,
            "{headers:?}: {answer}"
        );
    }
    for (headers, body) in [
        ("Content-Length: 1000\r\n", second.to_owned()),
        (
            "Transfer-Encoding: chunked\r\n",
            format!("fffffffffffffffff\r\n{second}"),
        ),
        ("Transfer-Encoding: chunked\r\n", format!("-1\r\n{second}")),
        (
            "Transfer-Encoding: chunked\r\n",
            format!("1000\r\n{second}"),
        ),
    ] {
        let answer = get(headers, &body);
        assert!(count(&answer) <= 1, "{headers:?}: {answer}");
    }
}
