//! The streams that a fetch returns.

use bytes::Bytes;
use futures_util::Stream;
use interplanar_core::fetch::{FetchError, Summary, TreePiece};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

use crate::task::Task;

/// A message from the driver to the stream.
pub(super) enum StreamItem {
    Piece(TreePiece),
    Done(Summary),
    Failed(FetchError),
}

/// The content of a fetch. See [`fetch_ipfs`](super::fetch_ipfs).
pub struct FetchStream {
    receiver: mpsc::Receiver<StreamItem>,
    task: Task<()>,
    summary: Option<Summary>,
    ended: bool,
}

impl FetchStream {
    pub(super) fn new(receiver: mpsc::Receiver<StreamItem>, task: Task<()>) -> Self {
        Self {
            receiver,
            task,
            summary: None,
            ended: false,
        }
    }

    /// Returns the engine's summary of the fetch. Available after the stream has ended without an
    /// error.
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
        self.ended = !matches!(item, Some(StreamItem::Piece(_)));
        Poll::Ready(match item {
            Some(StreamItem::Piece(piece)) => Some(Ok(piece)),
            Some(StreamItem::Done(summary)) => {
                self.summary = Some(summary);
                None
            }
            Some(StreamItem::Failed(error)) => Some(Err(error)),
            // The task panicked, or its runtime shut down.
            None => Some(Err(FetchError::Interrupted)),
        })
    }
}

impl Stream for FetchStream {
    type Item = Result<Bytes, FetchError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            return match ready!(self.poll_piece(context)) {
                Some(Ok(TreePiece::Content(content))) => Poll::Ready(Some(Ok(content))),
                // Only trees have entries, and this fetch is not one.
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

/// The entries of a tree, each file followed by its content. See [`fetch_tree`](super::fetch_tree).
pub struct TreeStream(pub(super) FetchStream);

impl TreeStream {
    /// See [`FetchStream::summary`].
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
