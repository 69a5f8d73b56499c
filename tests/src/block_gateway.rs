//! A gateway over blocks in memory. It can attack its clients in ways that a
//! [`Relay`](crate::relay::Relay) in front of an honest gateway can't.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use interplanar_core::block::Block;
use interplanar_core::car;
use interplanar_core::cid::{self, Cid};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a gateway responds with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// The requested blocks: the gateway is honest.
    None,
    /// Other bytes under the right CIDs.
    WrongBytes,
    /// An endless stream of blocks that nobody requested.
    UnrequestedBlocks,
    /// A block that claims to have a gigabyte, and an endless stream of bytes.
    Oversize,
    /// One byte at a time, and no end.
    Drip,
}

/// A running gateway, which stops when it is dropped.
pub struct BlockGateway {
    /// Its URL, `http://127.0.0.1:port`.
    pub url: String,
    runtime: Option<tokio::runtime::Runtime>,
}

struct GatewayState {
    blocks: Vec<(Cid, Bytes)>,
    /// Indexes of the blocks by the text of their CID.
    by_text: HashMap<String, usize>,
    attack: Attack,
}

impl BlockGateway {
    /// Starts a gateway over these blocks. Each of its CARs has all of them, in this order.
    ///
    /// # Panics
    /// If it can't listen.
    #[must_use]
    pub fn new(blocks: &[Block], attack: Attack) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let held = blocks
            .iter()
            .map(|block| (*block.cid(), block.data().clone()));
        let names = blocks.iter().enumerate();
        let state = GatewayState {
            blocks: held.collect(),
            by_text: names
                .map(|(index, block)| (cid::text(block.cid()), index))
                .collect(),
            attack,
        };
        runtime.spawn(accept(listener, Arc::new(state)));
        Self {
            url,
            runtime: Some(runtime),
        }
    }
}

impl Drop for BlockGateway {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<GatewayState>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| answer(Arc::clone(&state), request));
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(
    state: Arc<GatewayState>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let raw = request
        .uri()
        .query()
        .unwrap_or_default()
        .contains("format=raw");
    let (send, receive) = mpsc::channel::<Bytes>(1);
    let kind = if raw {
        "application/vnd.ipld.raw"
    } else {
        "application/vnd.ipld.car"
    };
    tokio::spawn(async move {
        let asked = path.rsplit('/').next().unwrap_or_default();
        if raw {
            send_block(&state, asked, &send).await;
        } else {
            send_car(&state, &send).await;
        }
    });
    let body = futures_util::stream::unfold(receive, |mut receive| async {
        let bytes = receive.recv().await?;
        Some((Ok(Frame::data(bytes)), receive))
    });
    let response = Response::builder().header("content-type", kind);
    Ok(response
        .body(StreamBody::new(body).boxed_unsync())
        .expect("a response"))
}

async fn send_block(state: &GatewayState, asked: &str, send: &mpsc::Sender<Bytes>) {
    let Some((_, data)) = state.by_text.get(asked).map(|index| &state.blocks[*index]) else {
        return;
    };
    match state.attack {
        Attack::None => drop(send.send(data.clone()).await),
        Attack::WrongBytes => drop(send.send(corrupted(data)).await),
        Attack::UnrequestedBlocks | Attack::Oversize => {
            endless(send, |_| vec![7; 65_536].into()).await
        }
        Attack::Drip => drip(send, data.clone()).await,
    }
}

async fn send_car(state: &GatewayState, send: &mpsc::Sender<Bytes>) {
    let roots: Vec<Cid> = state
        .blocks
        .first()
        .map(|(cid, _)| *cid)
        .into_iter()
        .collect();
    let mut bytes = car::header(&roots);
    match state.attack {
        Attack::None | Attack::WrongBytes | Attack::Drip => {
            for (cid, data) in &state.blocks {
                let data = match state.attack {
                    Attack::WrongBytes => corrupted(data),
                    _ => data.clone(),
                };
                bytes.extend_from_slice(&car::block_prefix(cid, data.len()));
                bytes.extend_from_slice(&data);
            }
            match state.attack {
                Attack::Drip => drip(send, bytes.into()).await,
                _ => drop(send.send(bytes.into()).await),
            }
        }
        Attack::UnrequestedBlocks => {
            drop(send.send(bytes.into()).await);
            let blocks = unrequested_blocks();
            endless(send, |index| blocks[index % blocks.len()].clone()).await;
        }
        Attack::Oversize => {
            if let Some((cid, _)) = state.blocks.first() {
                bytes.extend_from_slice(&car::block_prefix(cid, 1 << 30));
            }
            drop(send.send(bytes.into()).await);
            endless(send, |_| vec![7; 65_536].into()).await;
        }
    }
}

/// Returns 8 MiB of blocks that no test requests, as sections of a CAR.
fn unrequested_blocks() -> &'static [Bytes] {
    static BLOCKS: OnceLock<Vec<Bytes>> = OnceLock::new();
    BLOCKS.get_or_init(|| {
        let section = |index: usize| {
            let mut data = vec![0; 65_536];
            data[..8].copy_from_slice(&index.to_le_bytes());
            let block = Block::raw(data.into());
            let mut section = car::block_prefix(block.cid(), block.data().len());
            section.extend_from_slice(block.data());
            section.into()
        };
        (0..128).map(section).collect()
    })
}

/// Returns the bytes with one bit flipped in the middle.
fn corrupted(data: &Bytes) -> Bytes {
    let mut data = data.to_vec();
    let middle = data.len() / 2;
    data[middle] ^= 1;
    data.into()
}

/// Sends pieces until the client closes the connection.
async fn endless(send: &mpsc::Sender<Bytes>, piece: impl Fn(usize) -> Bytes) {
    for index in 0.. {
        if send.send(piece(index)).await.is_err() {
            return;
        }
    }
}

/// Sends the right bytes, one every 5 ms, and doesn't end.
async fn drip(send: &mpsc::Sender<Bytes>, data: Bytes) {
    for index in 0..data.len() {
        if send.send(data.slice(index..=index)).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    std::future::pending::<()>().await;
}
