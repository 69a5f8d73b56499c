//! Tests addresses, and responses in Kubo's form.

use super::*;

#[test]
fn addresses_in_both_forms() {
    let table = [
        ("http://127.0.0.1:5001", "http://127.0.0.1:5001/"),
        ("http://127.0.0.1:5001/", "http://127.0.0.1:5001/"),
        ("https://kubo.example/rpc", "https://kubo.example/rpc"),
        ("/ip4/127.0.0.1/tcp/5001", "http://127.0.0.1:5001/"),
        ("/ip4/127.0.0.1/tcp/5001/http", "http://127.0.0.1:5001/"),
        ("/ip6/::1/tcp/5001", "http://[::1]:5001/"),
        ("/dns4/kubo.example/tcp/443/https", "https://kubo.example/"),
    ];
    for (text, url) in table {
        assert_eq!(address::parse(text).unwrap().as_str(), url, "{text}");
    }
    for text in [
        "",
        "5001",
        "127.0.0.1:5001",
        "ftp://x",
        "/ip4/127.0.0.1",
        "/ip4/1.2.3.4/udp/1",
        "/unix/tmp/api",
        "/ip4/::/tcp/x",
    ] {
        assert!(
            matches!(address::parse(text), Err(KuboError::Address(_))),
            "{text}"
        );
    }
}

#[test]
fn commands_become_urls() {
    let kubo = Kubo::new("http://localhost:5001/prefix/").unwrap();
    let url = kubo.command("pin/ls", &[("arg", "a&b".to_owned())]);
    assert_eq!(
        url.as_str(),
        "http://localhost:5001/prefix/api/v0/pin/ls?arg=a%26b"
    );
}

#[test]
fn errors_say_what_to_do() {
    let error = KuboError::api(
        500,
        b"{\"Message\":\"no such pin\",\"Code\":0,\"Type\":\"error\"}",
    );
    assert_eq!(
        error.to_string(),
        "Kubo answered with status 500: no such pin"
    );
    let error = KuboError::api(404, b"404 page not found\n").to_string();
    assert!(error.contains("is this the API's address"), "{error}");
}

#[tokio::test]
async fn an_api_that_is_down_is_named() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:secret@{}", free.local_addr().unwrap());
    drop(free);
    let error = Kubo::new(&url).unwrap().version().await.unwrap_err();
    assert!(error.is_temporary());
    let text = error.to_string();
    assert!(
        text.contains("is `ipfs daemon` running?") && text.contains("127.0.0.1"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}
