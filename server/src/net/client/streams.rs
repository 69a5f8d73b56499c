//! What a fetch gives its reader, as it comes.

use bytes::Bytes;
use futures_util::Stream;
use interplanar_core::fetch::{FetchError, Summary, TreePiece};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// From the driver to the stream.
pub(super) enum Item {
    Piece(TreePiece),
    Done(Summary),
    Failed(FetchError),
}

/// The content of a fetch; see [`fetch_ipfs`](super::fetch_ipfs).
pub struct FetchStream {
    receiver: mpsc::Receiver<Item>,
    task: JoinHandle<()>,
    summary: Option<Summary>,
    ended: bool,
}

impl FetchStream {
    pub(super) fn new(receiver: mpsc::Receiver<Item>, task: JoinHandle<()>) -> Self {
        Self {
            receiver,
            task,
            summary: None,
            ended: false,
        }
    }

    /// What the engine says of the whole fetch, once the stream has ended well.
    #[must_use]
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<TreePiece, FetchError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.receiver.poll_recv(context));
        self.ended = !matches!(item, Some(Item::Piece(_)));
        Poll::Ready(match item {
            Some(Item::Piece(piece)) => Some(Ok(piece)),
            Some(Item::Done(summary)) => {
                self.summary = Some(summary);
                None
            }
            Some(Item::Failed(error)) => Some(Err(error)),
            // The task ended without a word: it was aborted with its runtime.
            None => None,
        })
    }
}

impl Stream for FetchStream {
    type Item = Result<Bytes, FetchError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return match ready!(self.poll_piece(context)) {
                Some(Ok(TreePiece::Content(content))) => Poll::Ready(Some(Ok(content))),
                // Only trees have them, and this is none.
                Some(Ok(TreePiece::Entry(_))) => continue,
                Some(Err(error)) => Poll::Ready(Some(Err(error))),
                None => Poll::Ready(None),
            };
        }
    }
}

impl Drop for FetchStream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The entries of a tree, each file followed by its content; see [`fetch_tree`](super::fetch_tree).
pub struct TreeStream(pub(super) FetchStream);

impl TreeStream {
    /// As [`FetchStream::summary`].
    #[must_use]
    pub fn summary(&self) -> Option<&Summary> {
        self.0.summary()
    }
}

impl Stream for TreeStream {
    type Item = Result<TreePiece, FetchError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_piece(context)
    }
}
