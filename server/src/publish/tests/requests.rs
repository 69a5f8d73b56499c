//! Checks statuses, headers and bodies, request by request.

use super::*;

const ABSENT: &str = "00000000000000000000000000000000";

#[tokio::test]
async fn without_a_cache_everything_is_served_at_once() {
    let fixture = Fixture::new("/gnu/store", |config| {
        config.ttl = Some(7200);
        config.negative_ttl = Some(300);
    });
    let large = fixture.nar_path("gzip/", "large");
    let plain = fixture.nar_path("", "large");
    let narinfo = fixture.narinfo_path("large");
    let nix_cache_info = "StoreDir: /gnu/store\nWantMassQuery: 0\nPriority: 100\n";
    let live = Some("application/x-nix-archive;charset=ISO-8859-1");
    let (text, file_text) = (
        Some("text/plain;charset=utf-8"),
        Some("text/plain;charset=UTF-8"),
    );
    let (html, info) = (
        Some("text/html;charset=UTF-8"),
        Some("application/x-nix-narinfo;charset=utf-8"),
    );
    let absent = |path: &str| format!("Resource not found: {path}");
    let silent = format!("/{ABSENT}.narinfo");
    // Path, status, content type, Cache-Control, and the body if it is compared.
    let table: [(&str, u16, _, Option<&str>, Option<String>); 15] = [
        ("/", 200, html, None, None),
        ("/index.html", 200, html, None, None),
        (
            "/nix-cache-info",
            200,
            text,
            None,
            Some(nix_cache_info.into()),
        ),
        (
            "/signing-key.pub",
            200,
            file_text,
            None,
            Some("(public-key)\n".into()),
        ),
        (&narinfo, 200, info, Some("max-age=7200"), None),
        (&large, 200, live, None, None),
        (&plain, 200, live, None, None),
        (
            &silent,
            404,
            text,
            Some("max-age=300"),
            Some(format!(": {silent}")),
        ),
        ("/nonsense", 404, text, None, Some(absent("/nonsense"))),
        (
            "/nonsense.narinfo",
            404,
            text,
            None,
            Some(absent("/nonsense.narinfo")),
        ),
        ("/nar/x%20y", 404, text, None, Some(absent("/nar/x%20y"))),
        (
            "/nar/rot13/x",
            404,
            text,
            None,
            Some(absent("/nar/rot13/x")),
        ),
        (
            "/log/nothing",
            404,
            text,
            None,
            Some(absent("/log/nothing")),
        ),
        (
            "/file/x/sha256/zzz",
            404,
            text,
            None,
            Some(absent("/file/x/sha256/zzz")),
        ),
        ("/healthz", 200, text, None, Some("ok\n".into())),
    ];
    for (path, status, content_type, cache_control, body) in table {
        let answer = fixture.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.header("content-type"), content_type, "{path}");
        assert_eq!(answer.header("cache-control"), cache_control, "{path}");
        assert_eq!(answer.header("x-baking"), None, "{path}");
        if let Some(body) = body {
            assert_eq!(answer.text(), body, "{path}");
        }
    }
    let nar = fixture.nar("large");
    assert_eq!(gunzip(&fixture.get(&large).await.body), nar);
    assert_eq!(fixture.get(&plain).await.body, nar);
}

#[tokio::test]
async fn with_a_cache_large_items_are_baked_first() {
    let fixture = Fixture::new("/gnu/store", |config| {
        config.cached = true;
        config.bypass_threshold = 10_000;
        config.ttl = Some(60);
    });
    let (narinfo, nar) = (
        fixture.narinfo_path("large"),
        fixture.nar_path("gzip/", "large"),
    );
    let answer = fixture.get(&narinfo).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.header("x-baking"), Some("1"));
    assert_eq!(answer.header("cache-control"), Some("max-age=300"));
    assert_eq!(answer.text(), format!("We're baking it: {narinfo}"));

    // The request has started the bake; this waits for its end.
    fixture.bake("large").await;
    assert_eq!(fixture.publisher.baker().counts().baked, 1);
    let answer = fixture.get(&narinfo).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (StatusCode::OK, Some("max-age=60"))
    );
    assert!(answer.text().contains("FileSize: ") && answer.text().contains("URL: ipfs://"));
    let answer = fixture.get(&nar).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream;charset=ISO-8859-1")
    );
    assert_eq!(answer.header("cache-control"), Some("max-age=60"));
    assert_eq!(gunzip(&answer.body), fixture.nar("large"));
    // No other compression is baked, and the item is too large to be compressed while it is
    // sent.
    let answer = fixture.get(&fixture.nar_path("zstd/", "large")).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (StatusCode::NOT_FOUND, None)
    );
    let silent = format!("/{ABSENT}.narinfo");
    let answer = fixture.get(&silent).await;
    assert_eq!(answer.text(), format!("Resource not found: {silent}"));
}

#[tokio::test]
async fn with_a_cache_small_items_are_served_before_they_are_baked() {
    let fixture = Fixture::new("/gnu/store", |config| {
        config.cached = true;
        // The workers have no space for a file: nothing is baked.
        config.bake.min_free = u64::MAX;
    });
    let answer = fixture.get(&fixture.narinfo_path("small")).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (StatusCode::OK, Some("max-age=300"))
    );
    assert!(!answer.text().contains("FileSize") && !answer.text().contains("ipfs:"));
    let answer = fixture.get(&fixture.nar_path("gzip/", "small")).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-nix-archive;charset=ISO-8859-1")
    );
    assert_eq!(gunzip(&answer.body), fixture.nar("small"));
}

#[tokio::test]
async fn baked_nars_have_ranges_and_heads() {
    let fixture = Fixture::new("/gnu/store", |config| {
        config.bake.compressors = vec!["none".parse().unwrap()];
    });
    fixture.bake("large").await;
    let path = fixture.nar_path("", "large");
    let nar = fixture.nar("large");
    let size = nar.len();
    let whole = fixture.get(&path).await;
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    for (range, status, part) in [
        ("bytes=0-9", 206, 0..10),
        ("bytes=100000-", 206, 100_000..size),
        ("bytes=-7", 206, size - 7..size),
        ("bytes=7-3", 200, 0..size),
        ("bytes=0-1,5-6", 200, 0..size),
        ("bytes=999999999-", 416, 0..0),
    ] {
        let answer = fixture.ask(Method::GET, &path, &[("range", range)]).await;
        assert_eq!(answer.status.as_u16(), status, "{range}");
        assert_eq!(answer.body, nar[part.clone()], "{range}");
        let expected = match status {
            206 => Some(format!("bytes {}-{}/{size}", part.start, part.end - 1)),
            416 => Some(format!("bytes */{size}")),
            _ => None,
        };
        assert_eq!(
            answer.header("content-range"),
            expected.as_deref(),
            "{range}"
        );
    }
    for path in [
        path,
        fixture.nar_path("gzip/", "large"),
        fixture.narinfo_path("large"),
    ] {
        let head = fixture.ask(Method::HEAD, &path, &[]).await;
        assert_eq!(head.status, StatusCode::OK, "{path}");
    }
    let answer = fixture.ask(Method::POST, "/nix-cache-info", &[]).await;
    assert_eq!(
        (answer.status, answer.text()),
        (StatusCode::NOT_FOUND, "Resource not found: /nix-cache-info")
    );
}

#[tokio::test]
async fn baked_items_are_on_the_gateway_and_have_listings() {
    let fixture = Fixture::new("/nix/store", |_| {});
    let listing = format!("/{}.ls", fixture.item("large").store_path.hash_part());
    assert_eq!(fixture.get(&listing).await.status, StatusCode::NOT_FOUND);
    fixture.bake("large").await;
    let narinfo = fixture.get(&fixture.narinfo_path("large")).await;
    let cid = narinfo
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("URL: ipfs://"))
        .unwrap();
    let answer = fixture.get(&format!("/ipfs/{cid}")).await;
    assert_eq!(gunzip(&answer.body), fixture.nar("large"));
    let answer = fixture.get(&listing).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let listing = interplanar_core::nar::Listing::from_json(answer.text()).unwrap();
    assert!(listing.lookup(b"numbers").is_some());
    let metrics = fixture.get("/metrics").await;
    assert!(
        metrics
            .text()
            .contains("interplanar_requests_total{kind=\"ipfs\",result=\"found\"} 1\n")
    );
}

#[tokio::test]
async fn a_changed_tree_ends_the_connection_early() {
    let fixture = Fixture::new("/gnu/store", |_| {});
    let path = fixture.nar_path("", "large");
    let numbers = fixture.dir.path().join("large/numbers");
    let mut bytes = fs::read(&numbers).unwrap();
    bytes[0] ^= 1;
    fs::write(&numbers, bytes).unwrap();
    let request = http::Request::get(&path).body(()).unwrap();
    let response = fixture.publisher.handle(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn items_are_listed_page_by_page_and_found_by_name() {
    let fixture = Fixture::new("/gnu/store", |_| {});
    fixture.bake("small").await;
    let (mut path, mut seen) = ("/items.json?limit=2".to_owned(), Vec::new());
    loop {
        let answer = fixture.get(&path).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let page: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= 2);
        seen.extend(items);
        match page["next"].as_str() {
            Some(next) => path = format!("/items.json?limit=2&after={next}"),
            None => break,
        }
    }
    let paths: Vec<_> = seen
        .iter()
        .map(|item| item["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths.len(), 3);
    assert!(paths.is_sorted());
    for item in &seen {
        let is_small = item["path"].as_str().unwrap().ends_with("-small");
        assert_eq!(item["baked"], is_small, "{item}");
    }
    let answer = fixture.get("/items.json?name=PACKED").await;
    let page: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    let found = &page["items"][0]["path"];
    assert_eq!(found, fixture.item("packed.tar.gz").store_path.as_str());
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
}
