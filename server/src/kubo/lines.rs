//! Runs commands that take a stream and respond line by line.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use http_body_util::BodyExt;
use reqwest::multipart::{Form, Part};

use super::{Kubo, KuboError};

/// Most bytes of a line in a response; all names in it are ours and short.
const MAX_LINE: usize = 64 * 1024;

/// The trailer of a response that failed midway.
const STREAM_ERROR: &str = "x-stream-error";

impl Kubo {
    /// Streams a file into a command; `take` gets each line of the response.
    pub(super) async fn send<S>(
        &self,
        command: &str,
        arguments: &[(&str, String)],
        name: &str,
        data: S,
        take: &mut (impl FnMut(&[u8]) -> Result<(), KuboError> + Send),
    ) -> Result<(), KuboError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let failure = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&failure);
        let data = data.inspect_err(move |error| {
            *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        });
        let part = Part::stream(reqwest::Body::wrap_stream(data)).file_name(name.to_owned());
        let request = self
            .client
            .post(self.command(command, arguments))
            .multipart(Form::new().part("file", part));
        let read = match request.send().await {
            Ok(response) => self.read_lines(response, take).await,
            Err(error) => Err(self.transport(&error)),
        };
        // If our own stream failed, report that and not what Kubo made of it.
        let source = failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match source {
            Some(error) => Err(KuboError::Source(error)),
            None => read,
        }
    }

    async fn read_lines(
        &self,
        response: reqwest::Response,
        take: &mut (impl FnMut(&[u8]) -> Result<(), KuboError> + Send),
    ) -> Result<(), KuboError> {
        if !response.status().is_success() {
            let status = response.status();
            self.collect(response, 0).await?;
            return Err(KuboError::Protocol(format!("status {status}")));
        }
        let mut body = http::Response::<reqwest::Body>::from(response).into_body();
        let mut buffer = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.transport(&error))?;
            if let Some(error) = frame.trailers_ref().and_then(|all| all.get(STREAM_ERROR)) {
                return Err(KuboError::api(200, error.as_bytes()));
            }
            let Ok(data) = frame.into_data() else {
                continue;
            };
            buffer.extend_from_slice(&data);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end);
                buffer.advance(1);
                take(&line)?;
            }
            if buffer.len() > MAX_LINE {
                return Err(KuboError::Protocol(format!(
                    "a line of the response has more than {MAX_LINE} bytes"
                )));
            }
        }
        take(&buffer)
    }
}
