//! Tests of what a signature proves: in Guix's dialect the text above it and nothing else.

use super::*;
use std::format;
use std::string::ToString;
use std::vec;

const STORE_PATH: &str = "StorePath: /gnu/store/agkhnj5wmbrb40rigsyf6ynkdi22d89g-tree\n";
const NAR_HASH: &str = "NarHash: sha256:0dzcznf6ic1ia641rv82ihgq0dhps4k8rva4ryl327416ygfvpww\n";
const NAR_SIZE: &str = "NarSize: 1272\n";
const REFERENCES: &str = "References: rcff5adc6nm3b2y1lx9flnpqksfm7ka5-greet-1.0\n";
const REQUIRED: [(&str, &str); 4] = [
    ("StorePath", STORE_PATH),
    ("NarHash", NAR_HASH),
    ("NarSize", NAR_SIZE),
    ("References", REFERENCES),
];
const ENTRY: &str = "URL: nar/x\nCompression: none\n";

fn secret() -> guix::SecretKey {
    guix::SecretKey::from_seed(&[5; 32]).unwrap()
}

fn nix_secret() -> nix::SecretKey {
    nix::SecretKey::from_seed("test-1", &[6; 32]).unwrap()
}

fn keys() -> TrustedKeys {
    TrustedKeys {
        guix: vec![secret().public_key().clone()],
        nix: vec![nix_secret().public_key()],
    }
}

/// Returns a narinfo whose Guix signature is correct for the text above it.
fn signed(above: &str, below: &str) -> String {
    let signature = secret().sign("vm", above.as_bytes());
    format!("{above}Signature: {signature}\n{below}")
}

fn verify(text: &str) -> Result<Signed, TrustError> {
    keys().verify(&NarInfo::parse(text.as_bytes()).unwrap())
}

fn whole() -> String {
    REQUIRED.map(|(_, line)| line).concat()
}

/// Every way to put some of the required lines above the signature and the others below it.
#[test]
fn each_required_field_must_stand_above_the_signature() {
    for above_set in 0..16_u32 {
        let (mut above, mut below, mut missing) = (String::new(), String::from(ENTRY), None);
        for (index, (field, line)) in REQUIRED.into_iter().enumerate() {
            if above_set & (1 << index) == 0 {
                below.push_str(line);
                missing = missing.or(Some(field));
            } else {
                above.push_str(line);
            }
        }
        let text = signed(&above, &below);
        let error = missing.map(|field| TrustError::Incomplete { field });
        assert_eq!(verify(&text).err(), error, "{text}");
        let info = NarInfo::parse(text.as_bytes()).unwrap();
        let checked: Vec<_> = keys().signatures(&info).collect();
        assert_eq!(checked.len(), 1);
        assert_eq!(checked[0].result.clone().err(), error);
    }
}

#[test]
fn a_signature_over_an_empty_text_proves_nothing() {
    let text = signed("", &(whole() + ENTRY));
    let incomplete = TrustError::Incomplete { field: "StorePath" };
    assert_eq!(verify(&text), Err(incomplete));
}

#[test]
fn what_is_proved_stands_in_the_signed_text_in_any_order() {
    let [a, b, c, d] = REQUIRED.map(|(_, line)| line);
    for order in [[a, b, c, d], [d, c, b, a], [b, a, d, c], [c, d, a, b]] {
        let above = order.concat();
        let proved = verify(&signed(&above, ENTRY)).unwrap();
        assert_eq!(format!("StorePath: {}\n", proved.store_path()), STORE_PATH);
        assert_eq!(format!("NarHash: {}\n", proved.nar_hash()), NAR_HASH);
        assert_eq!(format!("NarSize: {}\n", proved.nar_size()), NAR_SIZE);
        let references = proved.references().join(" ");
        assert_eq!(format!("References: {references}\n"), REFERENCES);
        assert_eq!(proved.signer(), secret().public_key().fingerprint());
        assert_eq!(proved.dialect(), Dialect::Guix);
        // The order is signed too.
        let moved = [d, a, b, c].concat();
        let text = signed(&above, ENTRY).replacen(&above, &moved, 1);
        let signer = secret().public_key().fingerprint();
        assert_eq!(verify(&text), Err(TrustError::Bad { signer }));
    }
}

#[test]
fn a_field_below_the_signature_is_a_hint() {
    let below = format!("{ENTRY}Deriver: x.drv\nSystem: x86_64-linux\nCA: text\n");
    let text = signed(&whole(), &below);
    let proved = verify(&text).unwrap();
    assert_eq!(proved.deriver(), None);
    let hints = Hints::new(NarInfo::parse(text.as_bytes()).unwrap());
    assert_eq!(hints.deriver(), Some("x.drv"));
    assert_eq!(hints.text(), text);

    let above = whole() + "Deriver: x.drv\n";
    assert_eq!(
        verify(&signed(&above, ENTRY)).unwrap().deriver(),
        Some("x.drv")
    );
}

#[test]
fn a_signed_field_cannot_be_contradicted_below() {
    for (field, line) in REQUIRED {
        let text = signed(&whole(), &format!("{ENTRY}{line}"));
        let error = NarInfoError::Repeated { line: 8, field };
        assert_eq!(NarInfo::parse(text.as_bytes()), Err(error));
    }
    let text = signed(
        &(whole() + "Deriver: a.drv\n"),
        &format!("{ENTRY}Deriver: b.drv\n"),
    );
    let error = NarInfoError::Repeated {
        line: 9,
        field: "Deriver",
    };
    assert_eq!(NarInfo::parse(text.as_bytes()), Err(error));
}

#[test]
fn a_carriage_return_is_part_of_the_value() {
    for (at, (field, line)) in REQUIRED.into_iter().enumerate() {
        let returned = line.replace('\n', "\r\n");
        let text = signed(&whole().replace(line, &returned), ENTRY);
        let error = NarInfoError::Value {
            line: at + 1,
            field,
        };
        assert_eq!(NarInfo::parse(text.as_bytes()), Err(error));
    }
}

#[test]
fn a_nix_signature_proves_its_fingerprint() {
    let store_path = STORE_PATH.replace("/gnu/", "/nix/");
    let body = [&store_path, ENTRY, NAR_HASH, NAR_SIZE, REFERENCES].concat();
    let body = body + "Deriver: x.drv\n";
    let info = NarInfo::parse(body.as_bytes()).unwrap();
    let signature = nix_secret().sign(info.fingerprint().as_bytes());
    let text = format!("{body}Sig: {signature}\n");
    let proved = verify(&text).unwrap();
    assert_eq!(
        info.fingerprint(),
        format!(
            "1;{};{};{};/nix/store/{}",
            proved.store_path(),
            proved.nar_hash(),
            proved.nar_size(),
            proved.references().join(",/nix/store/")
        )
    );
    assert_eq!(
        (proved.dialect(), proved.signer()),
        (Dialect::Nix, "test-1")
    );
    assert_eq!(proved.deriver(), None);

    // It is enough beside a Guix signature that proves nothing.
    let both = signed("", &text);
    assert_eq!(verify(&both).unwrap(), proved);
    // Without it, the error says why the Guix signature is not enough.
    let unknown = both.replace("Sig: test-1", "Sig: other-1");
    let incomplete = TrustError::Incomplete { field: "StorePath" };
    assert_eq!(verify(&unknown), Err(incomplete.clone()));
    let bad = both.replace("NarSize: 1272", "NarSize: 1273");
    let signer = "test-1".to_string();
    assert_eq!(verify(&bad), Err(TrustError::Bad { signer }));
}
