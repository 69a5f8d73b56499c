//! Fetches a file from an HTTP gateway, verifies every block, and writes the file to stdout:
//! `cargo run --example fetch_cid -- http://127.0.0.1:8080 ipfs://CID/PATH > FILE`
use interplanar_core::{cid::IpfsUrl, fetch::*};
use std::io::{ErrorKind, Read, Result, Write, stdout};
use std::{net::TcpStream, process::ExitCode, thread::sleep, time::Duration, time::Instant};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [gateway, url] = args.as_slice() else {
        eprintln!("usage: fetch_cid http://HOST:PORT ipfs://CID[/PATH] > FILE");
        return ExitCode::from(2);
    };
    let result = fetch(gateway, url);
    let result = result.inspect_err(|error| eprintln!("can't fetch {url} from {gateway}: {error}"));
    ExitCode::from(u8::from(result.is_err()))
}

/// The driver of the engine: it carries out actions and reports their results.
fn fetch(gateway: &str, url: &str) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut pool = GatewayPool::new([Gateway::parse(gateway)?], Policy::default());
    let mut fetch = Fetcher::new(&IpfsUrl::parse(url)?, Options::default());
    let (start, mut bodies, mut piece) = (Instant::now(), Vec::new(), vec![0; 65_536]);
    loop {
        let now = start.elapsed().as_millis() as u64;
        match fetch.poll(&mut pool, now) {
            Action::Load(cid) => fetch.loaded(&cid, None),
            Action::Request { id, url, range, .. } => {
                let (status, body) = send(&url, range)?;
                bodies.push((id, body));
                fetch.response(id, status, None, &mut pool, now);
            }
            Action::Cancel(id) => bodies.retain(|(other, _)| *other != id),
            Action::Wait { .. } => match bodies.iter_mut().find(|(id, _)| fetch.wants_data(*id)) {
                None => sleep(Duration::from_millis(10)),
                Some((id, body)) => match body.read(&mut piece)? {
                    0 => fetch.end(*id, &mut pool, now),
                    n => fetch.data(*id, piece[..n].to_vec().into(), &mut pool, now),
                },
            },
            Action::Content(bytes) => stdout().write_all(&bytes)?,
            Action::Done(_) => return Ok(()),
            Action::Failed(error) => return Err(error.into()),
            _ => {} // Verified blocks, for a local store, and events.
        }
    }
}

/// Sends a GET request, as HTTP/1.0 so that the body is not chunked. Returns status and body.
fn send(url: &str, range: Option<ByteRange>) -> Result<(u16, TcpStream)> {
    let url = url.strip_prefix("http://").ok_or(ErrorKind::Unsupported)?;
    let (host, path) = url.split_once('/').unwrap_or_default();
    let (mut body, mut head) = (TcpStream::connect(host)?, Vec::new());
    body.set_read_timeout(Some(Duration::from_secs(30)))?;
    let range = range.map_or(String::new(), |range| format!("Range: bytes={range}\r\n"));
    write!(body, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n{range}\r\n")?;
    while !head.ends_with(b"\r\n\r\n") && (&body).take(1).read_to_end(&mut head)? > 0 {}
    let head = String::from_utf8_lossy(&head);
    let status = head.get(9..12).and_then(|code| code.parse().ok());
    Ok((status.unwrap_or(0), body))
}
