//! Keys, signatures and ACLs of Nix and Guix, and narinfos that they are to sign.

use super::{Case, Cases, Reader};
use data_encoding::BASE64;
use interplanar_core::hash::Sha256;
use interplanar_core::narinfo::{Compression, Draft, Entry, NarInfo};
use interplanar_core::signature::{guix, nix};
use interplanar_core::store_path::StorePath;
use interplanar_core::trust::TrustedKeys;

fn guix_key(seed: u8) -> guix::SecretKey {
    guix::SecretKey::from_seed(&[seed; 32]).expect("a key")
}

fn nix_key(name: &str, seed: u8) -> nix::SecretKey {
    nix::SecretKey::from_seed(name, &[seed; 32]).expect("a key")
}

/// The keys that the cases of [`Reader::Trust`] are checked with.
pub(super) fn trusted() -> TrustedKeys {
    TrustedKeys {
        guix: vec![guix_key(1).public_key().clone()],
        nix: vec![nix_key("cache-1", 1).public_key()],
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut list = nix_keys();
    list.extend(guix_keys());
    list.extend(guix_signatures());
    list.extend(acls());
    list.extend(trust());
    list
}

const NAMED: &str = "expected name:base64, such as cache.example.org-1:…";
const DIGITS: &str = "malformed base-64";

fn length(expected: usize, actual: usize) -> String {
    format!("expected {expected} bytes, not {actual}")
}

fn nix_keys() -> Vec<Case> {
    let mut list = vec![];
    let secret = nix_key("cache-1", 1);
    let inputs = [
        (
            Reader::NixPublicKey,
            "nix-public-key",
            secret.public_key().to_string(),
            32,
        ),
        (Reader::NixSecretKey, "nix-secret-key", secret.expose(), 64),
        (
            Reader::NixSignature,
            "nix-signature",
            secret.sign(b"text").to_string(),
            64,
        ),
    ];
    for (reader, grammar, whole, bytes) in inputs {
        let mut cases = Cases::new(grammar, reader);
        let digits = whole.split(':').nth(1).expect("digits");
        let named = |name: &str| format!("{name}:{digits}");
        cases.accept("whole", &*whole, "name and base-64");
        cases.accept(
            "line-feed",
            format!("{whole}\n"),
            "a key file ends with a line feed",
        );
        cases.accept("name-longest", named(&"k".repeat(256)), "the limit");
        cases.refuse("name-missing", digits, NAMED, "no colon");
        cases.refuse("name-empty", named(""), NAMED, "no name");
        cases.refuse(
            "name-space",
            named("cache 1"),
            NAMED,
            "lists of keys are separated by spaces",
        );
        cases.refuse(
            "name-line-feed",
            named("cache\n1"),
            NAMED,
            "a name is in one line",
        );
        cases.refuse(
            "name-long",
            named(&"k".repeat(257)),
            NAMED,
            "names go to logs",
        );
        cases.refuse(
            "digits-colon",
            format!("cache:1:{digits}"),
            DIGITS,
            "a colon is no digit",
        );
        cases.refuse(
            "digits-character",
            format!("cache-1:!{}", &digits[1..]),
            DIGITS,
            "no digit of base-64",
        );
        cases.refuse(
            "digits-url-alphabet",
            format!("cache-1:_{}", &digits[1..]),
            DIGITS,
            "a digit of another alphabet",
        );
        cases.refuse(
            "digits-unpadded",
            format!("cache-1:{}", digits.trim_end_matches('=')),
            DIGITS,
            "the padding is missing",
        );
        cases.refuse(
            "digits-many",
            format!("cache-1:{}", "A".repeat(260)),
            DIGITS,
            "longer than any key",
        );
        cases.refuse("digits-none", "cache-1:", length(bytes, 0), "no key");
        let other = BASE64.encode(&vec![1; bytes - 1]);
        cases.refuse(
            "short",
            format!("cache-1:{other}"),
            length(bytes, bytes - 1),
            "a byte is missing",
        );
        let other = BASE64.encode(&vec![1; bytes + 1]);
        cases.refuse(
            "long",
            format!("cache-1:{other}"),
            length(bytes, bytes + 1),
            "a byte too many",
        );
        // 88 digits are as many as 64 bytes take, but these encode 66.
        cases.refuse(
            "length-from-digits",
            format!("cache-1:{}", "A".repeat(88)),
            length(bytes, 66),
            "the number of digits says not how many bytes they encode",
        );
        list.extend(cases.list);
    }
    let mut cases = Cases::new("nix-public-key", Reader::NixPublicKey);
    let point = "not a valid public key: no point of the curve, or one of small order";
    let mut no_point = [0; 32];
    no_point[0] = 2;
    cases.refuse(
        "no-point",
        format!("k:{}", BASE64.encode(&no_point)),
        point,
        "no point of the curve",
    );
    list.extend(cases.list);
    let mut cases = Cases::new("nix-secret-key", Reader::NixSecretKey);
    let mixed = [&[1; 32][..], &[1; 32]].concat();
    let mismatch = "the secret key does not belong to the public key in the same file";
    cases.refuse(
        "mismatch",
        format!("k:{}", BASE64.encode(&mixed)),
        mismatch,
        "a signature with another public key reveals the secret key",
    );
    list.extend(cases.list);
    list
}

fn guix_keys() -> Vec<Case> {
    let whole = guix_key(1).public_key().to_string();
    let mut cases = Cases::new("guix-public-key", Reader::GuixPublicKey);
    cases.accept(
        "whole",
        &*whole,
        "as `guix archive --generate-key` writes it",
    );
    s_expressions(&mut cases, &whole);
    let form = |expected: &str| format!("expected {expected}");
    cases.refuse(
        "head",
        whole.replace("public-key", "private-key"),
        form("(public-key …)"),
        "another key",
    );
    cases.refuse("atom", "public-key", form("(public-key …)"), "no list");
    cases.refuse(
        "ecc",
        whole.replace("ecc", "rsa"),
        form("(ecc …)"),
        "another kind of key",
    );
    cases.refuse(
        "curve",
        whole.replace("Ed25519", "Ed448"),
        form("(curve Ed25519)"),
        "another curve",
    );
    cases.refuse(
        "curve-missing",
        whole.replace("(curve Ed25519)", ""),
        form("(curve Ed25519)"),
        "no curve",
    );
    cases.refuse(
        "q-missing",
        whole.replace("(q ", "(x "),
        form("(q #…#)"),
        "no point",
    );
    cases.refuse(
        "q-empty",
        "(public-key (ecc (curve Ed25519) (q)))",
        form("(q #…#)"),
        "no point",
    );
    cases.refuse(
        "q-list",
        "(public-key (ecc (curve Ed25519) (q (a))))",
        form("(q #…#)"),
        "no point",
    );
    cases.refuse(
        "q-short",
        "(public-key (ecc (curve Ed25519) (q #00#)))",
        length(32, 1),
        "31 bytes are missing",
    );
    let q = |hex: &str| format!("(public-key (ecc (curve Ed25519) (q #{hex}#)))");
    let point = "not a valid public key: no point of the curve, or one of small order";
    cases.refuse(
        "q-no-point",
        q(&format!("02{}", "0".repeat(62))),
        point,
        "no point of the curve",
    );
    cases.refuse(
        "q-neutral",
        q(&format!("01{}", "0".repeat(62))),
        point,
        "every signature would verify",
    );
    cases.refuse(
        "q-small-order",
        q(&"0".repeat(64)),
        point,
        "a point of order 4",
    );
    let mut list = cases.list;

    let whole = guix_key(1).expose();
    let mut cases = Cases::new("guix-secret-key", Reader::GuixSecretKey);
    cases.accept(
        "whole",
        &*whole,
        "as `guix archive --generate-key` writes it",
    );
    cases.refuse(
        "head",
        whole.replace("private-key", "public-key"),
        form("(private-key …)"),
        "no secret key",
    );
    cases.refuse(
        "d-missing",
        whole.replace("(d ", "(x "),
        form("(d #…#)"),
        "no number",
    );
    let zero = format!(
        "(private-key (ecc (curve Ed25519) (d #{}#)))",
        "0".repeat(64)
    );
    cases.refuse(
        "d-zero",
        zero,
        "a number in the signature or key is out of range",
        "the public key would be the neutral point",
    );
    let other = guix_key(2).public_key().fingerprint();
    let mixed = whole.replace(&guix_key(1).public_key().fingerprint(), &other);
    cases.refuse(
        "mismatch",
        mixed,
        "the secret key does not belong to the public key in the same file",
        "a signature with another public key",
    );
    list.extend(cases.list);
    list
}

/// Breaks each rule of s-expressions.
fn s_expressions(cases: &mut Cases, whole: &str) {
    let at = |at: usize| format!("malformed s-expression at byte {at}");
    let end = whole.len();
    cases.refuse("sexp-empty", "", at(0), "no expression");
    cases.refuse(
        "sexp-open",
        whole.trim_end().trim_end_matches(')'),
        at(whole.trim_end().trim_end_matches(')').len()),
        "a list is not closed",
    );
    cases.refuse(
        "sexp-closed-twice",
        format!("{whole})"),
        at(end),
        "no list is open",
    );
    cases.refuse(
        "sexp-two",
        format!("{whole}{whole}"),
        at(end),
        "more than one expression",
    );
    cases.refuse("sexp-hex-odd", "(q #123#)", at(3), "half a byte");
    cases.refuse("sexp-hex-digit", "(q #1G#)", at(3), "no digit");
    cases.refuse("sexp-hex-open", "(q #12)", at(3), "no closing mark");
    cases.refuse("sexp-base-64", "(q |A|)", at(3), "half a byte");
    cases.refuse("sexp-quote-open", "(q \"12)", at(3), "no closing mark");
    cases.refuse(
        "sexp-quote-escape",
        "(q \"\\x\")",
        at(3),
        "an escape that keys don't need",
    );
    cases.refuse("sexp-count", "(q 9:12)", at(3), "longer than the text");
    cases.refuse(
        "sexp-count-huge",
        "(q 18446744073709551616:12)",
        at(3),
        "not in 64 bits",
    );
    cases.refuse(
        "sexp-character",
        "(q \u{7f})",
        at(3),
        "no character of a token",
    );
    let large = "the s-expression is longer than 1 MiB or nested deeper than 16 lists";
    cases.refuse(
        "sexp-deep",
        "(".repeat(17),
        large,
        "each level costs memory",
    );
    cases.refuse(
        "sexp-long",
        " ".repeat((1 << 20) + 1),
        large,
        "a key is held in memory",
    );
}

fn guix_signatures() -> Vec<Case> {
    let whole = guix_key(1).sign("host", b"text").to_string();
    let base64 = whole.rsplit(';').next().expect("digits");
    let decoded = BASE64.decode(base64.as_bytes()).expect("base-64");
    let sexp = String::from_utf8(decoded).expect("text");
    let signature = |sexp: &str| format!("1;host;{}", BASE64.encode(sexp.as_bytes()));
    let mut cases = Cases::new("guix-signature", Reader::GuixSignature);
    cases.accept("whole", signature(&sexp), "as `guix publish` writes it");
    let form = |expected: &str| format!("expected {expected}");
    let three = form("1;host;base64");
    cases.refuse(
        "version",
        whole.replacen("1;", "2;", 1),
        &*three,
        "an unknown version",
    );
    cases.refuse("field-missing", format!("1;{base64}"), &*three, "no host");
    cases.refuse("field-more", format!("{whole};x"), &*three, "four fields");
    cases.refuse("digits", "1;host;~", DIGITS, "no digit of base-64");
    cases.refuse(
        "empty",
        "1;host;",
        "malformed s-expression at byte 0",
        "no expression",
    );
    cases.refuse(
        "head",
        signature(&sexp.replace("(signature", "(sig")),
        form("(signature …)"),
        "another expression",
    );
    cases.refuse(
        "sig-val",
        signature(&sexp.replace("sig-val", "sig")),
        form("(sig-val (ecdsa …))"),
        "no numbers",
    );
    cases.refuse(
        "ecdsa",
        signature(&sexp.replace("ecdsa", "eddsa")),
        form("(sig-val (ecdsa …))"),
        "another algorithm",
    );
    cases.refuse(
        "data",
        signature(&sexp.replace("(data", "(datum")),
        form("(data …)"),
        "no hash",
    );
    cases.refuse(
        "hash",
        signature(&sexp.replace("sha256", "sha1")),
        form("(hash sha256 #…#)"),
        "a weaker hash",
    );
    cases.refuse(
        "r-missing",
        signature(&sexp.replace("(r ", "(x ")),
        form("(r #…#)"),
        "no number",
    );
    cases.refuse(
        "s-missing",
        signature(&sexp.replace("(s ", "(x ")),
        form("(s #…#)"),
        "no number",
    );
    cases.refuse(
        "key-missing",
        signature(&sexp.replace("public-key", "key")),
        form("(public-key …)"),
        "no key",
    );
    let range = "a number in the signature or key is out of range";
    let number = |name: &str, hex: &str| {
        let start = sexp.find(&format!("({name} #")).expect("the number") + 4;
        let end = start + sexp[start..].find('#').expect("its end");
        signature(&format!("{}{hex}{}", &sexp[..start], &sexp[end..]))
    };
    // The order of the group: 2^252 + 27742317777372353535851937790883648493.
    let order = "1000000000000000000000000000000014DEF9DEA2F79CD65812631A5CF5D3ED";
    for name in ["r", "s"] {
        cases.refuse(
            &format!("{name}-zero"),
            number(name, "00"),
            range,
            "a signature of nothing",
        );
        cases.refuse(&format!("{name}-empty"), number(name, ""), range, "zero");
        cases.refuse(
            &format!("{name}-order"),
            number(name, order),
            range,
            "two texts would be one signature",
        );
        cases.refuse(
            &format!("{name}-long"),
            number(name, &"FF".repeat(40)),
            range,
            "longer than the order",
        );
    }
    cases.refuse(
        "hash-short",
        signature(&sexp.replacen(
            &sexp[sexp.find("sha256 #").expect("the hash")..][..12],
            "sha256 #",
            1,
        )),
        length(32, 30),
        "two bytes are missing",
    );
    cases.list
}

fn acls() -> Vec<Case> {
    let mut cases = Cases::new("acl", Reader::Acl);
    let key = guix_key(1).public_key().to_string();
    let entry = format!("(acl (entry {key} (tag (guix import))))");
    cases.accept("whole", &*entry, "as `guix archive --authorize` writes it");
    cases.accept("empty", "(acl)", "no keys are trusted");
    cases.accept(
        "other-tag",
        entry.replace("import", "export"),
        "the key is left out, because it is not trusted",
    );
    cases.accept(
        "other-key",
        "(acl (entry (public-key (rsa)) (tag (guix import))))",
        "the key is left out, because it can't be used",
    );
    cases.accept(
        "entry-without-key",
        "(acl (entry (tag (guix import))))",
        "nothing is trusted by it",
    );
    cases.accept("atom-as-entry", "(acl entry)", "nothing is trusted by it");
    cases.refuse(
        "head",
        entry.replace("acl", "lca"),
        "expected (acl …)",
        "another file",
    );
    cases.refuse(
        "key-file",
        &*key,
        "expected (acl …)",
        "a key is no list of keys",
    );
    cases.refuse(
        "nothing",
        "",
        "malformed s-expression at byte 0",
        "no expression",
    );
    cases.list
}

fn draft(directory: &str) -> Draft {
    let hash = Sha256::of(b"nar");
    Draft {
        store_path: StorePath::content_addressed(directory, "item", &hash, &[]).expect("a path"),
        entries: vec![Entry {
            url: "nar/x".into(),
            compression: Compression::None,
            file_size: Some(1),
            file_hash: None,
        }],
        nar_hash: hash,
        nar_size: 1272,
        references: vec!["bnfap3gvj3v0k345a5zkxwyd38m1f2s5-tree".into()],
        deriver: None,
        system: None,
        ca: None,
        signatures: vec![],
        extra: vec![],
    }
}

fn trust() -> Vec<Case> {
    let mut cases = Cases::new("trust", Reader::Trust);
    let guix = |seed| {
        let info = draft("/gnu/store").sign_guix(&guix_key(seed), "host");
        info.as_ref().map(NarInfo::to_string).expect("a narinfo")
    };
    let nix = |name: &str, seed| {
        let info = draft("/nix/store").sign_nix(&[nix_key(name, seed)]);
        info.as_ref().map(NarInfo::to_string).expect("a narinfo")
    };
    let unsigned = "the narinfo is not signed";
    let changes: [(&str, &str, &str); 3] = [
        ("nar-size", "NarSize: 1272", "NarSize: 1273"),
        ("store-path", "-item\n", "-Item\n"),
        ("references", "-tree", "-trees"),
    ];
    let fingerprint = guix_key(1).public_key().fingerprint();
    for (dialect, whole, signer) in [
        ("guix", guix(1), fingerprint.as_str()),
        ("nix", nix("cache-1", 1), "cache-1"),
    ] {
        let bad = format!("the signature in the name of {signer} is wrong");
        let rule = |what: &str| format!("{dialect}-{what}");
        cases.accept(&rule("whole"), &*whole, "signed by a trusted key");
        for (what, from, to) in changes {
            let forged = whole.replacen(from, to, 1);
            cases.refuse(
                &rule(what),
                forged,
                &*bad,
                "the signature covers this field",
            );
        }
        let other = Sha256::of(b"other").to_string();
        let forged = whole.replace(&Sha256::of(b"nar").to_string(), &other);
        cases.refuse(
            &rule("nar-hash"),
            forged,
            &*bad,
            "the signature covers this field",
        );
        let moved = whole.replace("nar/x", "http://elsewhere.example.org/x");
        cases.accept(&rule("url"), moved, "a hint, which no signature covers");
        let without: String = whole
            .lines()
            .filter(|line| !line.starts_with("Sig"))
            .map(|line| format!("{line}\n"))
            .collect();
        cases.refuse(
            &rule("unsigned"),
            without,
            unsigned,
            "nobody vouches for it",
        );
    }
    let stranger = guix_key(2).public_key().fingerprint();
    cases.refuse(
        "guix-stranger",
        guix(2),
        format!("the narinfo is signed by {stranger}, which is not a trusted key"),
        "signed, but by nobody that is trusted",
    );
    cases.refuse(
        "nix-stranger",
        nix("other-1", 1),
        "the narinfo is signed by other-1, which is not a trusted key",
        "the right key under another name",
    );
    cases.refuse(
        "nix-impostor",
        nix("cache-1", 2),
        "the signature in the name of cache-1 is wrong",
        "another key under the right name",
    );
    cases.refuse(
        "nix-name-of-terminal",
        nix("evil\u{1b}[2J", 2),
        "the narinfo is signed by evil[2J, which is not a trusted key",
        "control characters don't reach a terminal",
    );
    let both = nix("other-1", 2).replace("Sig: ", "Sig: nonsense\nSig: ");
    cases.refuse(
        "nix-malformed-and-stranger",
        both,
        "the narinfo is signed by other-1, which is not a trusted key",
        "a malformed signature hides no other",
    );
    let right = nix("cache-1", 1).replace("Sig: ", "Sig: nonsense\nSig: ");
    cases.accept(
        "nix-malformed-and-right",
        right,
        "one correct signature is enough",
    );
    let malformed = "the narinfo's signature is malformed";
    let lines = |text: String, line: &str| {
        let lines = text
            .lines()
            .map(|old| if old.starts_with("Sig") { line } else { old });
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    cases.refuse(
        "nix-malformed",
        lines(nix("cache-1", 1), "Sig: nonsense"),
        malformed,
        "no signature",
    );
    cases.refuse(
        "guix-malformed",
        lines(guix(1), "Signature: 1;host;AAAA"),
        malformed,
        "no signature",
    );
    // Another item's signature, which is right for that item.
    let mut other = draft("/nix/store");
    other.nar_size = 9;
    let other = other.sign_nix(&[nix_key("cache-1", 1)]).expect("a narinfo");
    let line = format!("Sig: {}", other.signatures()[0]);
    cases.refuse(
        "nix-signature-of-another",
        lines(nix("cache-1", 1), &line),
        "the signature in the name of cache-1 is wrong",
        "a signature is for one item",
    );
    // Without the sign, Ed25519 accepts the order added to s: the same signature in another text.
    cases.list
}
