//! A server that is further away than loopback, over a line that carries only so much.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Relays connections; what is sent to the server arrives later.
pub struct Far {
    /// Its address.
    pub url: String,
    line: Arc<Mutex<Line>>,
}

/// What all connections share.
struct Line {
    latency: Duration,
    /// Bytes per second of all answers together.
    rate: Option<u64>,
    /// When it is free again.
    free: Instant,
    /// When the first request was sent, and when the last byte of an answer came.
    used: Option<(Instant, Instant)>,
}

impl Line {
    /// When so many more bytes will have come.
    fn carry(&mut self, bytes: usize) -> Instant {
        let now = Instant::now();
        if let Some(rate) = self.rate {
            let time = Duration::from_secs_f64(bytes as f64 / rate as f64);
            self.free = self.free.max(now) + time;
        }
        self.free.max(now)
    }
}

impl Far {
    /// Begins to relay to `target`.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn new(target: &str, latency: Duration, rate: Option<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let target = target.trim_start_matches("http://").to_owned();
        let line = Line {
            latency,
            rate,
            free: Instant::now(),
            used: None,
        };
        let line = Arc::new(Mutex::new(line));
        let shared = Arc::clone(&line);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&target) else {
                    return;
                };
                relay(&shared, &client, &server);
            }
        });
        Self { url, line }
    }

    /// The time from the first request to the last byte of an answer, since this was asked last.
    #[must_use]
    pub fn took(&self) -> Duration {
        let used = lock(&self.line).used.take();
        used.map_or(Duration::ZERO, |(first, last)| last.duration_since(first))
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both directions of a connection, until both ends are closed.
fn relay(line: &Arc<Mutex<Line>>, client: &TcpStream, server: &TcpStream) {
    let pair = || {
        let cloned = (client.try_clone(), server.try_clone());
        (cloned.0.expect("a socket"), cloned.1.expect("a socket"))
    };
    let (mut from, mut to) = pair();
    let shared = Arc::clone(line);
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let now = Instant::now();
            let latency = {
                let mut line = lock(&shared);
                line.used.get_or_insert((now, now));
                line.latency
            };
            std::thread::sleep(latency);
            if to.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
        drop(to.shutdown(std::net::Shutdown::Write));
    });
    let ((mut to, mut from), shared) = (pair(), Arc::clone(line));
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let comes = lock(&shared).carry(count);
            std::thread::sleep(comes.saturating_duration_since(Instant::now()));
            if to.write_all(&buffer[..count]).is_err() {
                return;
            }
            if let Some((_, last)) = &mut lock(&shared).used {
                *last = Instant::now();
            }
        }
        drop(to.shutdown(std::net::Shutdown::Write));
    });
}
