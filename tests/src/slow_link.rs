//! A TCP proxy that makes a server look far away: it adds latency, and limits the rate.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A running proxy. Requests reach the server after the latency, and responses share the rate.
pub struct SlowLink {
    /// Its URL, `http://127.0.0.1:port`.
    pub url: String,
    link: Arc<Mutex<LinkState>>,
}

/// What all connections share.
struct LinkState {
    latency: Duration,
    /// Bytes per second of all responses together.
    rate: Option<u64>,
    /// When the bytes that were accepted so far have arrived.
    free: Instant,
    /// The times of the first request and of the last byte of a response.
    used: Option<(Instant, Instant)>,
}

impl LinkState {
    /// Accepts bytes of a response, and returns when they arrive.
    fn accept(&mut self, bytes: usize) -> Instant {
        let now = Instant::now();
        if let Some(rate) = self.rate {
            let time = Duration::from_secs_f64(bytes as f64 / rate as f64);
            self.free = self.free.max(now) + time;
        }
        self.free.max(now)
    }
}

impl SlowLink {
    /// Starts a proxy to the server `target`; `rate` is in bytes per second.
    ///
    /// # Panics
    /// If it can't listen.
    #[must_use]
    pub fn new(target: &str, latency: Duration, rate: Option<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let target = target.trim_start_matches("http://").to_owned();
        let link = LinkState {
            latency,
            rate,
            free: Instant::now(),
            used: None,
        };
        let link = Arc::new(Mutex::new(link));
        let shared = Arc::clone(&link);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&target) else {
                    return;
                };
                forward(&shared, &client, &server);
            }
        });
        Self { url, link }
    }

    /// Returns the time from the first request to the last byte of a response, and starts over.
    #[must_use]
    pub fn transfer_time(&self) -> Duration {
        let used = lock(&self.link).used.take();
        used.map_or(Duration::ZERO, |(first, last)| last.duration_since(first))
    }
}

fn lock(link: &Mutex<LinkState>) -> MutexGuard<'_, LinkState> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forwards both directions of a connection until both ends are closed.
fn forward(link: &Arc<Mutex<LinkState>>, client: &TcpStream, server: &TcpStream) {
    let pair = || {
        let cloned = (client.try_clone(), server.try_clone());
        (cloned.0.expect("a socket"), cloned.1.expect("a socket"))
    };
    let (mut from, mut to) = pair();
    let shared = Arc::clone(link);
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let now = Instant::now();
            let latency = {
                let mut link = lock(&shared);
                link.used.get_or_insert((now, now));
                link.latency
            };
            std::thread::sleep(latency);
            if to.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
        drop(to.shutdown(std::net::Shutdown::Write));
    });
    let ((mut to, mut from), shared) = (pair(), Arc::clone(link));
    std::thread::spawn(move || {
        let mut buffer = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let arrives = lock(&shared).accept(count);
            std::thread::sleep(arrives.saturating_duration_since(Instant::now()));
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
