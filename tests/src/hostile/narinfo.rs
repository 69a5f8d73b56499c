//! Narinfos of both dialects, and store paths.

use super::{Case, Cases, Reader};

const NIX: &str = "\
StorePath: /nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree
URL: nar/x.nar.xz
Compression: xz
FileHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww
FileSize: 500
NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww
NarSize: 1272
References: bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree
Deriver: 7v7r5dxmdwzd6dmkxiqzdjd3rqfcwcp8-tree.drv
Sig: test-1:AAAA
CA: fixed:r:sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww
";

const GUIX: &str = "\
StorePath: /gnu/store/agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree
NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww
NarSize: 1272
References: agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree
Deriver: vy76yf96d3rqfcwcp87v7r5dxmdwzd6d-tree.drv
System: x86_64-linux
Signature: 1;host;AAAA
URL: nar/gzip/x
Compression: gzip
FileSize: 500
URL: nar/lzip/x
Compression: lzip
";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("narinfo", Reader::NarInfo);
    for (dialect, whole) in [("nix", NIX), ("guix", GUIX)] {
        cases.accept(
            &format!("{dialect}-whole"),
            whole,
            "each field of the dialect",
        );
        each_line(&mut cases, dialect, whole);
        values(&mut cases, dialect, whole);
    }
    texts(&mut cases);
    counts(&mut cases);
    let mut list = cases.list;
    list.extend(store_paths());
    list
}

/// Removes each line, and repeats it.
fn each_line(cases: &mut Cases, dialect: &str, whole: &str) {
    let lines: Vec<&str> = whole.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let field = line.split(':').next().unwrap_or_default();
        let rule = |what: &str| format!("{dialect}-line-{}-{field}-{what}", index + 1);
        let without: String = lines
            .iter()
            .enumerate()
            .filter(|(n, _)| *n != index)
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        match field {
            "StorePath" | "NarHash" | "NarSize" => cases.refuse(
                &rule("missing"),
                without,
                format!("the narinfo has no {field}"),
                "a required field",
            ),
            "URL" if dialect == "nix" => cases.refuse(
                &rule("missing"),
                without,
                "the narinfo has no URL, or an entry without one",
                "the NAR can be downloaded nowhere",
            ),
            // Without a URL, the fields of two entries stand in one.
            "URL" => cases.refuse(
                &rule("missing"),
                without,
                "line 11: Compression occurs twice",
                "the rest of the entry joins another one",
            ),
            _ => cases.accept(&rule("missing"), without, "an optional field, or a hint"),
        }
        let mut twice: Vec<&str> = lines.clone();
        twice.insert(index + 1, line);
        let twice = twice.join("\n") + "\n";
        match field {
            "Sig" => cases.accept(&rule("twice"), twice, "a narinfo may have many signatures"),
            "URL" => cases.accept(&rule("twice"), twice, "each URL is an entry"),
            _ => cases.refuse(
                &rule("twice"),
                twice,
                format!("line {}: {field} occurs twice", index + 2),
                "two values could be read by two programs as different ones",
            ),
        }
    }
}

/// Breaks the value of each field.
fn values(cases: &mut Cases, dialect: &str, whole: &str) {
    let lines: Vec<&str> = whole.lines().collect();
    let broken: [(&str, &str, &str, &'static str); 26] = [
        (
            "StorePath",
            "relative",
            "store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree",
            "not absolute",
        ),
        (
            "StorePath",
            "climbing",
            "/nix/../bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree",
            "leads elsewhere",
        ),
        (
            "StorePath",
            "no-name",
            "/nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-",
            "no name",
        ),
        (
            "StorePath",
            "nested",
            "/nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree/bin",
            "a file inside of an item",
        ),
        (
            "NarHash",
            "md5",
            "md5:900150983cd24fb0d6963f7d28e17f72",
            "another hash",
        ),
        (
            "NarHash",
            "short",
            "sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpw",
            "51 digits",
        ),
        (
            "NarHash",
            "long",
            "sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpwww",
            "53 digits",
        ),
        (
            "NarHash",
            "digit",
            "sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpwe",
            "e is no digit",
        ),
        (
            "NarHash",
            "overflow",
            "sha256:zdzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww",
            "a 257th bit",
        ),
        ("NarHash", "empty", "", "no hash"),
        ("NarSize", "negative", "-1", "not a size"),
        ("NarSize", "plus", "+1272", "two texts would mean one size"),
        ("NarSize", "hex", "0x4f8", "not decimal"),
        ("NarSize", "fraction", "1272.0", "not decimal"),
        (
            "NarSize",
            "2-pow-64",
            "18446744073709551616",
            "not in 64 bits",
        ),
        ("NarSize", "space", "1272 ", "not a digit"),
        ("NarSize", "empty", "", "no size"),
        ("NarSize", "other-digits", "١٢٧٢", "not ASCII"),
        (
            "References",
            "path",
            "/nix/store/bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree",
            "base names only",
        ),
        (
            "References",
            "climbing",
            "../bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree",
            "leads elsewhere",
        ),
        (
            "References",
            "character",
            "bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tr,ee",
            "a comma would split the fingerprint",
        ),
        ("URL", "empty", "", "no URL"),
        ("URL", "space", "nar/x y", "a space ends a request line"),
        (
            "URL",
            "control",
            "nar/\rHost:evil",
            "a request would get another header",
        ),
        ("Compression", "unknown", "lzma", "no decoder"),
        ("FileSize", "negative", "-5", "not a size"),
    ];
    for (field, rule, value, reason) in broken {
        let index = lines
            .iter()
            .position(|line| line.starts_with(&format!("{field}:")))
            .expect("the field");
        let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        changed[index] = format!("{field}: {value}");
        cases.refuse(
            &format!("{dialect}-{field}-{rule}"),
            changed.join("\n") + "\n",
            format!("line {}: the value of {field} is malformed", index + 1),
            reason,
        );
    }
}

/// Breaks the form of the text.
fn texts(cases: &mut Cases) {
    let syntax = |line: usize| format!("line {line}: expected a key, a colon and a value");
    cases.refuse(
        "empty",
        "",
        "the narinfo has no URL, or an entry without one",
        "no fields",
    );
    cases.refuse(
        "html",
        "<!DOCTYPE html>\n",
        syntax(1),
        "an error page instead of a narinfo",
    );
    cases.refuse(
        "line-empty",
        NIX.replacen('\n', "\n\n", 1),
        syntax(2),
        "no key",
    );
    cases.refuse(
        "line-without-colon",
        NIX.replacen("URL: ", "URL ", 1),
        syntax(2),
        "no colon",
    );
    cases.refuse(
        "line-without-space",
        NIX.replacen("URL: ", "URL:", 1),
        syntax(2),
        "no space after the colon",
    );
    cases.refuse(
        "line-without-key",
        NIX.replacen("URL: ", ": ", 1),
        syntax(2),
        "no key",
    );
    cases.refuse(
        "key-lower-case",
        NIX.replace("NarSize:", "narsize:"),
        "the narinfo has no NarSize",
        "keys are exact",
    );
    cases.refuse(
        "key-indented",
        NIX.replace("NarSize:", " NarSize:"),
        "the narinfo has no NarSize",
        "keys are exact",
    );
    cases.refuse(
        "line-ends-of-windows",
        NIX.replace('\n', "\r\n"),
        "line 1: the value of StorePath is malformed",
        "a carriage return belongs to the value",
    );
    let mut bytes = NIX.as_bytes().to_vec();
    bytes[40] = 0xff;
    cases.refuse(
        "not-utf-8",
        bytes,
        "narinfo is not UTF-8 at byte 40",
        "no text",
    );
    cases.refuse(
        "mark-of-byte-order",
        format!("\u{feff}{NIX}"),
        "the narinfo has no StorePath",
        "the mark belongs to the key",
    );
    cases.accept(
        "unknown-field",
        format!("{NIX}Unknown: x\n"),
        "stock clients ignore unknown fields too",
    );
    cases.accept(
        "no-last-line-feed",
        NIX.trim_end(),
        "stock clients accept it too",
    );
    cases.accept(
        "references-empty-without-space",
        NIX.replace(
            "References: bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree",
            "References:",
        ),
        "an editor may have removed the space",
    );
    cases.refuse(
        "signature-twice",
        GUIX.replacen("Signature: ", "Signature: 1;host;AAAA\nSignature: ", 1),
        "line 8: Signature occurs twice",
        "the text that each signs would be another one",
    );
    cases.refuse(
        "compression-before-url-twice",
        NIX.replacen("URL: ", "Compression: none\nURL: ", 1),
        "line 4: Compression occurs twice",
        "an entry has one method",
    );
}

/// Exceeds each limit.
fn counts(cases: &mut Cases) {
    let reference = " bnfap3gvj3v0k345a5zkxwyd38m1f2s5-t";
    let references = |count: usize| {
        let line = format!("References:{}", reference.repeat(count));
        NIX.replace("References: bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree", &line)
    };
    cases.accept("references-20000", references(20_000), "a large closure");
    let entry = "URL: n\n";
    let entries =
        |count: usize| NIX.replacen("URL: ", &format!("{}URL: ", entry.repeat(count - 1)), 1);
    cases.accept("entries-4096", entries(4096), "the limit");
    cases.refuse(
        "entries-4097",
        entries(4097),
        "too many values of URL",
        "each entry costs memory and time",
    );
    let long = format!("{NIX}X: {}\n", "x".repeat(1 << 20));
    let length = long.len();
    cases.refuse(
        "long",
        long,
        format!("narinfo of {length} bytes is too long (at most 1 MiB)"),
        "a narinfo is held in memory",
    );
}

fn store_paths() -> Vec<Case> {
    let mut cases = Cases::new("store-path", Reader::StorePath);
    const DIGITS: &str = "bnfap3gvj3v0k345a5zkxwyd38m1f2s5";
    let path = |directory: &str, name: &str| format!("{directory}/{DIGITS}-{name}");
    cases.accept(
        "nix",
        path("/nix/store", "a+b-c._?=9"),
        "every character that a name may have",
    );
    cases.accept(
        "other-directory",
        path("/home/me/store", "a"),
        "a store may be anywhere",
    );
    cases.accept(
        "name-longest",
        path("/nix/store", &"x".repeat(211)),
        "the limit of Nix",
    );
    let directory = "expected an absolute store directory";
    for (rule, text) in [
        ("no-slash", format!("{DIGITS}-a")),
        ("relative", path("nix/store", "a")),
        ("root", format!("/{DIGITS}-a")),
        ("double-slash", path("/nix//store", "a")),
        ("dot", path("/nix/./store", "a")),
        ("dot-dot", path("/nix/store/..", "a")),
    ] {
        cases.refuse(
            &format!("directory-{rule}"),
            text,
            directory,
            "the path would lead elsewhere, or have two texts",
        );
    }
    let hash = "expected 32 base-32 digits and a dash after the store directory";
    for (rule, text) in [
        ("short", "/nix/store/bnfap3gv-a".to_owned()),
        ("digit", path("/nix/store", "a").replace("bnfap", "enfap")),
        (
            "upper-case",
            path("/nix/store", "a").replace("bnfap", "BNFAP"),
        ),
        ("no-dash", format!("/nix/store/{DIGITS}")),
        ("no-ascii", format!("/nix/store/é{}-a", &DIGITS[..31])),
    ] {
        cases.refuse(
            &format!("hash-{rule}"),
            text,
            hash,
            "the hash part is what a narinfo is asked for by",
        );
    }
    let name = "the name of a store item must have 1 to 211 characters and no leading dot";
    for (rule, text) in [
        ("empty", path("/nix/store", "")),
        ("dot", path("/nix/store", ".")),
        ("dot-dot", path("/nix/store", "..")),
        ("hidden", path("/nix/store", ".a")),
        ("long", path("/nix/store", &"x".repeat(212))),
    ] {
        cases.refuse(&format!("name-{rule}"), text, name, "the rules of Nix");
    }
    for (rule, text, at) in [
        ("space", "a b", 1),
        ("comma", "a,b", 1),
        ("nul", "a\0", 1),
        ("line-feed", "a\n", 1),
        ("not-ascii", "é", 0),
        ("colon", "a:b", 1),
    ] {
        let error = format!("character not allowed in the name of a store item, at byte {at}");
        cases.refuse(
            &format!("character-{rule}"),
            path("/nix/store", text),
            error,
            "the rules of Nix",
        );
    }
    let long = path(&format!("/{}", "x".repeat(4_100)), "a");
    let length = long.len();
    cases.refuse(
        "long",
        long,
        format!("store path of {length} bytes is too long (at most 4096)"),
        "the kernel has no longer paths",
    );
    cases.list
}
