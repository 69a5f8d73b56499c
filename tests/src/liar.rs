//! A gateway that holds blocks and hands them out as a hostile one would: what no relay in front of an honest one can make.

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

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// As it should.
    None,
    /// With other bytes under the right CIDs.
    WrongBytes,
    /// With blocks that nobody asked for, without an end.
    Strangers,
    /// With a block that claims a gigabyte, and bytes without an end.
    Oversize,
    /// With one byte at a time, without an end.
    Drip,
}

/// A running gateway; ends when dropped.
pub struct Liar {
    /// Its address.
    pub url: String,
    runtime: Option<tokio::runtime::Runtime>,
}

struct State {
    blocks: Vec<(Cid, Bytes)>,
    by_text: HashMap<String, usize>,
    lie: Lie,
}

impl Liar {
    /// Holds these blocks, in this order in its CARs, whatever is asked for.
    ///
    /// # Panics
    /// When it can't listen.
    #[must_use]
    pub fn new(blocks: &[Block], lie: Lie) -> Self {
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
        let state = State {
            blocks: held.collect(),
            by_text: names
                .map(|(index, block)| (cid::text(block.cid()), index))
                .collect(),
            lie,
        };
        runtime.spawn(accept(listener, Arc::new(state)));
        Self {
            url,
            runtime: Some(runtime),
        }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
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
    state: Arc<State>,
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

async fn send_block(state: &State, asked: &str, send: &mpsc::Sender<Bytes>) {
    let Some((_, data)) = state.by_text.get(asked).map(|index| &state.blocks[*index]) else {
        return;
    };
    match state.lie {
        Lie::None => drop(send.send(data.clone()).await),
        Lie::WrongBytes => drop(send.send(spoiled(data)).await),
        Lie::Strangers | Lie::Oversize => endless(send, |_| vec![7; 65_536].into()).await,
        Lie::Drip => drip(send, data.clone()).await,
    }
}

async fn send_car(state: &State, send: &mpsc::Sender<Bytes>) {
    let roots: Vec<Cid> = state
        .blocks
        .first()
        .map(|(cid, _)| *cid)
        .into_iter()
        .collect();
    let mut bytes = car::header(&roots);
    match state.lie {
        Lie::None | Lie::WrongBytes | Lie::Drip => {
            for (cid, data) in &state.blocks {
                let data = match state.lie {
                    Lie::WrongBytes => spoiled(data),
                    _ => data.clone(),
                };
                bytes.extend_from_slice(&car::block_prefix(cid, data.len()));
                bytes.extend_from_slice(&data);
            }
            match state.lie {
                Lie::Drip => drip(send, bytes.into()).await,
                _ => drop(send.send(bytes.into()).await),
            }
        }
        Lie::Strangers => {
            drop(send.send(bytes.into()).await);
            let strangers = strangers();
            endless(send, |index| strangers[index % strangers.len()].clone()).await;
        }
        Lie::Oversize => {
            if let Some((cid, _)) = state.blocks.first() {
                bytes.extend_from_slice(&car::block_prefix(cid, 1 << 30));
            }
            drop(send.send(bytes.into()).await);
            endless(send, |_| vec![7; 65_536].into()).await;
        }
    }
}

/// Blocks of a CAR that are nobody's, some 8 MiB.
fn strangers() -> &'static [Bytes] {
    static STRANGERS: OnceLock<Vec<Bytes>> = OnceLock::new();
    STRANGERS.get_or_init(|| {
        let stranger = |index: usize| {
            let mut data = vec![0; 65_536];
            data[..8].copy_from_slice(&index.to_le_bytes());
            let stranger = Block::raw(data.into());
            let mut frame = car::block_prefix(stranger.cid(), stranger.data().len());
            frame.extend_from_slice(stranger.data());
            frame.into()
        };
        (0..128).map(stranger).collect()
    })
}

fn spoiled(data: &Bytes) -> Bytes {
    let mut data = data.to_vec();
    let middle = data.len() / 2;
    data[middle] ^= 1;
    data.into()
}

/// Until nobody reads it.
async fn endless(send: &mpsc::Sender<Bytes>, piece: impl Fn(usize) -> Bytes) {
    for index in 0.. {
        if send.send(piece(index)).await.is_err() {
            return;
        }
    }
}

/// Begins well, and slowly.
async fn drip(send: &mpsc::Sender<Bytes>, data: Bytes) {
    for index in 0..data.len() {
        if send.send(data.slice(index..=index)).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    std::future::pending::<()>().await;
}
