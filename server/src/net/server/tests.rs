//! The server as clients see it, over real connections.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;

/// Answers each path in another way.
#[derive(Default)]
struct Paths {
    /// Notified when `/slow` is requested.
    entered: Notify,
    /// Lets `/slow` answer.
    released: Notify,
}

impl Handler for Paths {
    fn handle(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(async move {
            match request.uri().path() {
                "/hello" => full(StatusCode::OK, "text/plain", "hello"),
                "/panic" => panic!("a handler's fault"),
                "/peer" => {
                    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
                    text(StatusCode::OK, format!("{peer:?}"))
                }
                "/chunks" => {
                    let pieces =
                        ["a", "", "b"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
                    stream(
                        StatusCode::OK,
                        "text/plain",
                        from_blocking(pieces.into_iter(), None),
                    )
                }
                "/long" => {
                    let pieces = std::iter::repeat_with(|| Ok(Bytes::from(vec![0; 1 << 16])));
                    stream(
                        StatusCode::OK,
                        "text/plain",
                        from_blocking(pieces, Some(1 << 40)),
                    )
                }
                "/aborted" => {
                    let (sender, body) = channel(None);
                    tokio::spawn(async move {
                        sender.send(Bytes::from_static(b"half")).await
                        // Dropped without finish().
                    });
                    stream(StatusCode::OK, "text/plain", body)
                }
                "/finished" => {
                    let (sender, body) = channel(Some(4));
                    tokio::spawn(async move {
                        let _ = sender.send(Bytes::from_static(b"full")).await;
                        sender.finish().await;
                    });
                    stream(StatusCode::OK, "text/plain", body)
                }
                "/short" => {
                    let pieces = std::iter::once(Ok(Bytes::from_static(b"abc")));
                    stream(StatusCode::OK, "text/plain", from_blocking(pieces, Some(5)))
                }
                "/panicking-body" => {
                    let pieces = std::iter::from_fn(|| panic!("a producer's fault"));
                    stream(StatusCode::OK, "text/plain", from_blocking(pieces, None))
                }
                "/slow" => {
                    self.entered.notify_one();
                    self.released.notified().await;
                    text(StatusCode::OK, "done")
                }
                _ => not_found(),
            }
        })
    }
}

struct Running {
    address: SocketAddr,
    paths: Arc<Paths>,
    shutdown: Shutdown,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn start(limits: Limits) -> Running {
    let mut listeners = bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
    let listener = listeners.remove(0);
    let address = listener.local_addr().unwrap();
    let (shutdown, paths) = (Shutdown::new(), Arc::new(Paths::default()));
    let handler: Arc<dyn Handler> = Arc::clone(&paths) as _;
    let served = tokio::spawn(serve(listener, handler, shutdown.clone(), limits));
    Running {
        address,
        paths,
        shutdown,
        served,
    }
}

/// Sends a text and returns everything that is received until the connection ends.
async fn exchange(running: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(running: &Running, path: &str) -> String {
    exchange(
        running,
        &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    )
    .await
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let running = start(Limits::default()).await;
    let answer = get(&running, "/hello").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-length: 5\r\n") && answer.contains("date: "),
        "{answer}"
    );
    assert_eq!(body(&answer), "hello");
    for path in ["/hello", "/finished", "/chunks", "/long", "/aborted"] {
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let head = exchange(&running, &head).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(body(&head), "", "{path}");
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let expected = match path {
            "/hello" => Some("5"),
            "/finished" => Some("4"),
            "/long" => Some("1099511627776"),
            _ => None,
        };
        assert_eq!(length, expected, "{path}");
    }
    assert!(get(&running, "/peer").await.contains("127.0.0.1"));
    assert!(get(&running, "/nothing").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn keeps_connections_alive() {
    let running = start(Limits::default()).await;
    let twice = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /chunks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(&running, twice).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert!(
        answer.ends_with("1\r\na\r\n1\r\nb\r\n0\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_panicking_handler_is_a_500() {
    let running = start(Limits::default()).await;
    let before = task::panics();
    let answer = get(&running, "/panic").await;
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert_eq!(body(&answer), "internal error\n");
    assert!(!answer.contains("fault"), "{answer}");
    assert!(task::panics() > before);
    assert_eq!(body(&get(&running, "/hello").await), "hello");
}

/// A failed body must not look complete: it has no last chunk, or fewer bytes than announced.
#[tokio::test]
async fn a_failed_body_looks_incomplete() {
    let running = start(Limits::default()).await;
    let answer = get(&running, "/aborted").await;
    assert!(
        answer.contains("half"),
        "what came before is delivered: {answer}"
    );
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    let answer = get(&running, "/short").await;
    assert!(
        answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\nabc"),
        "{answer}"
    );
    let before = task::panics();
    let answer = get(&running, "/panicking-body").await;
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    assert!(!answer.contains("fault"), "{answer}");
    assert!(task::panics() > before);
    assert_eq!(body(&get(&running, "/finished").await), "full");
}

#[tokio::test]
async fn too_large_heads_are_rejected() {
    let running = start(Limits::default()).await;
    for request in [
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000)),
        format!(
            "GET /hello HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
            "a".repeat(70_000)
        ),
        format!(
            "GET /hello HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "A: b\r\n".repeat(200)
        ),
    ] {
        let answer = exchange(&running, &request).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(
        exchange(&running, "nonsense\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400")
    );
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    let limits = Limits {
        head_time: Duration::from_millis(100),
        idle_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let running = start(limits).await;
    let started = Instant::now();
    exchange(&running, "GET /hello HTTP/1.1\r\nHost:").await;
    assert!(
        started.elapsed() < Duration::from_millis(290),
        "{:?}",
        started.elapsed()
    );
    let started = Instant::now();
    let answer = exchange(&running, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(
        started.elapsed() >= Duration::from_millis(250),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected() {
    let limits = Limits {
        stall_time: Duration::from_millis(100),
        grace: Duration::from_secs(60),
        ..Limits::default()
    };
    let running = start(limits).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    stream.readable().await.unwrap();
    // The server can end before the grace period only if it disconnects this client.
    running.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), running.served).await;
    assert!(ended.unwrap().unwrap().is_ok());
    drop(stream);
}

#[tokio::test]
async fn shutdown_waits_for_responses_up_to_the_grace_period() {
    let running = start(Limits::default()).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    idle.readable().await.unwrap();
    running.paths.entered.notified().await;
    running.shutdown.cancel();
    running.paths.released.notify_one();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    running.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());

    let limits = Limits {
        grace: Duration::from_millis(50),
        ..Limits::default()
    };
    let running = start(limits).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream
        .write_all(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    stream.readable().await.unwrap();
    running.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), running.served).await;
    assert!(ended.unwrap().unwrap().is_ok());
}

#[tokio::test]
async fn further_connections_wait_for_a_free_slot() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let running = start(limits).await;
    let first = TcpStream::connect(running.address).await.unwrap();
    let second = get(&running, "/hello");
    let mut second = std::pin::pin!(second);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
    assert!(early.is_err(), "the place is taken");
    drop(first);
    assert_eq!(body(&second.await), "hello");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = start(Limits::default()).await;
    let error = bind(&[running.address]).await.unwrap_err().to_string();
    assert!(error.contains(&running.address.to_string()), "{error}");
}
