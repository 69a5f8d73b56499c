use super::*;
use alloc::string::ToString;
use alloc::vec;

const EMPTY: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

#[test]
fn every_form_of_a_url_names_the_same_cid() {
    for text in [
        alloc::format!("ipfs:{EMPTY}"),
        alloc::format!("ipfs://{EMPTY}"),
        alloc::format!("IPFS://{EMPTY}/"),
        alloc::format!("/ipfs/{EMPTY}"),
    ] {
        let url = IpfsUrl::parse(&text).unwrap();
        assert_eq!(url, IpfsUrl::new(parse(EMPTY).unwrap()), "{text}");
    }
    let url = IpfsUrl::parse(&alloc::format!("ipfs://{EMPTY}/a%20b//%C5%BC")).unwrap();
    assert_eq!(url.path, ["a b", "ż"]);
    assert_eq!(IpfsUrl::parse(&url.to_string()), Ok(url));
    let gateway = alloc::format!("http://127.0.0.1:8080/ipfs/{EMPTY}/x?format=raw");
    assert_eq!(IpfsUrl::parse_gateway(&gateway).unwrap().path, ["x"]);
}

#[test]
fn errors_name_what_is_wrong_with_a_url() {
    assert_eq!(IpfsUrl::parse("nar/x"), Err(CidError::Url));
    assert_eq!(IpfsUrl::parse("ipfs://"), Err(CidError::Syntax));
    assert_eq!(
        IpfsUrl::parse(&alloc::format!("ipfs://{EMPTY}/%zz")),
        Err(CidError::Percent(0))
    );
    assert_eq!(
        IpfsUrl::parse_gateway("http://host/ipns/x"),
        Err(CidError::Url)
    );
    assert_eq!(parse(&"b".repeat(5000)), Err(CidError::TooLong(5000)));
}

#[test]
fn hashes_and_digests_have_limits() {
    let identity = Cid::new_v1(RAW, Multihash::wrap(IDENTITY, b"hello").unwrap());
    assert_eq!(verify(&identity, b"hello"), Ok(()));
    assert_eq!(verify(&identity, b"hellO"), Err(CidError::WrongHash));
    let digest = sha2::Digest::finalize(<sha2::Sha512 as sha2::Digest>::new_with_prefix(b"hello"));
    let sha512 = Cid::new_v1(RAW, Multihash::wrap(SHA2_512, &digest).unwrap());
    assert_eq!(verify(&sha512, b"hello"), Ok(()));
    assert_eq!(verify(&sha512, b"hellO"), Err(CidError::WrongHash));
    let sha1 = Cid::new_v1(RAW, Multihash::wrap(0x11, &[0; 20]).unwrap());
    assert_eq!(check(&sha1), Err(CidError::Hash(0x11)));
    let short = Cid::new_v1(RAW, Multihash::wrap(SHA2_256, &[0; 19]).unwrap());
    assert_eq!(check(&short), Err(CidError::Digest(19)));
    let long = vec![0; MAX_BLOCK + 1];
    assert_eq!(
        verify(&parse(EMPTY).unwrap(), &long),
        Err(CidError::BlockTooLong(MAX_BLOCK + 1))
    );
}
