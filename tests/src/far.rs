//! A server that is further away than loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Relays connections; what is sent to `target` arrives later.
///
/// # Panics
/// When it can't listen.
#[must_use]
pub fn far_away(target: &str, latency: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let target = target.trim_start_matches("http://").to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&target) else {
                return;
            };
            let (mut from, mut to) = (
                client.try_clone().expect("a socket"),
                server.try_clone().expect("a socket"),
            );
            std::thread::spawn(move || {
                let mut buffer = [0; 65_536];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    std::thread::sleep(latency);
                    if to.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
                drop(to.shutdown(std::net::Shutdown::Write));
            });
            std::thread::spawn(move || drop(std::io::copy(&mut &server, &mut &client)));
        }
    });
    url
}
