//! Forged IPNS records, and old ones.

use super::common::{SNAPSHOT, has, hash_part, published};
use interplanar_core::ipns::{Name, Record};
use interplanar_tests::cache::NixCache;
use interplanar_tests::kubo::Kubo;
use interplanar_tests::nix::Nix;
use interplanar_tests::program::{Program, get};
use interplanar_tests::root::wait_until;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A gateway in front of a real one. It responds with a chosen IPNS record, and forwards all other
/// requests.
struct RecordGateway {
    url: String,
    record: Arc<Mutex<Vec<u8>>>,
}

impl RecordGateway {
    fn new(gateway: &str, record: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let record = Arc::new(Mutex::new(record));
        let (gateway, shared) = (gateway.to_owned(), Arc::clone(&record));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (gateway, record) = (gateway.clone(), Arc::clone(&shared));
                std::thread::spawn(move || respond(stream, &gateway, &record));
            }
        });
        Self { url, record }
    }

    /// Sets the record of later responses.
    fn set_record(&self, record: Vec<u8>) {
        *self.record.lock().expect("not poisoned") = record;
    }
}

/// Responds to one request.
fn respond(mut stream: TcpStream, gateway: &str, record: &Mutex<Vec<u8>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, kind, body) = if path.starts_with("/ipns/") {
        let record = record.lock().expect("not poisoned").clone();
        (200, "application/vnd.ipfs.ipns-record".to_owned(), record)
    } else {
        let mut request = reqwest::blocking::Client::new().get(format!("{gateway}{path}"));
        for line in head
            .lines()
            .filter(|line| line.to_ascii_lowercase().starts_with("accept:"))
        {
            request = request.header("accept", line[7..].trim());
        }
        let Ok(response) = request.send() else { return };
        let kind = response
            .headers()
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or("application/octet-stream").to_owned();
        let status = response.status().as_u16();
        (
            status,
            kind,
            response
                .bytes()
                .map(|bytes| bytes.to_vec())
                .unwrap_or_default(),
        )
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    drop(
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(&body)),
    );
}

/// Returns the record that Kubo has for a name.
fn record(kubo: &Kubo, name: &str) -> Vec<u8> {
    let url = format!("{}/ipns/{name}?format=ipns-record", kubo.gateway_url());
    let answer = reqwest::blocking::get(url).expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.bytes().expect("a body").to_vec()
}

#[test]
fn a_forged_record_is_refused_and_so_is_an_old_one() {
    let kubo = Kubo::start();
    let cache = NixCache::with(&kubo, &SNAPSHOT);
    let name = published(&cache.publish, &kubo, &cache.all());
    let key = Name::parse(&name).expect("a name");
    let old = record(&kubo, &name);
    // One more item makes a newer record.
    let tree = cache
        .machine
        .root
        .sh("mkdir -p /root/more && echo more > /root/more/file && nix-store --add /root/more");
    let more = tree.trim();
    interplanar_tests::program::narinfo(&cache.publish.url, more, |_| true);
    published(&cache.publish, &kubo, &[more]);
    let new = record(&kubo, &name);
    let sequence = |bytes: &[u8]| Record::verify(&key, bytes).expect("Kubo's").sequence();
    assert!(sequence(&new) > sequence(&old));

    let gateway = RecordGateway::new(&kubo.gateway_url(), new.clone());
    let client = Nix::new();
    let proxy = || {
        Program::inside(
            &client.root,
            &[
                "proxy",
                "--port=0",
                "--cache=/var/cache/proxy",
                &format!("--upstream=ipns://{}", key.peer_id()),
                &format!("--gateway={}", gateway.url),
                &format!("--trusted-key={}", cache.key),
            ],
        )
    };
    let mut forged = new.clone();
    let at = forged.len() - 200;
    forged[at] ^= 1;
    gateway.set_record(forged.clone());
    let refused = proxy();
    assert_eq!(
        get(&format!("{}/{}.narinfo", refused.url, hash_part(more))).0,
        502
    );
    wait_until("the refusal in the log", || {
        refused.log().contains("rejected an IPNS record")
    });
    refused.kill();

    gateway.set_record(new);
    let first = proxy();
    assert!(has(&first.url, more), "{}", first.log());
    first.kill();
    // The proxy keeps the newest record over restarts, and refuses the old and the forged one.
    for record in [old, forged] {
        gateway.set_record(record);
        let again = proxy();
        assert!(has(&again.url, more), "{}", again.log());
        wait_until("the refusal in the log", || {
            again.log().contains("rejected an IPNS record")
        });
        let metrics = get(&format!("{}/metrics", again.url)).1;
        assert!(
            metrics.contains("interplanar_proxy_records_refused_total 1"),
            "{metrics}"
        );
        let (ok, said) = client.install(more, &again.url, &cache.key);
        assert!(ok, "{said}\n{}", again.log());
        client.delete(&[more]);
    }
    assert!(Path::new(more).starts_with("/nix/store"));
}
