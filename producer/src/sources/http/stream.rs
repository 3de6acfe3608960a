//! A request whose lines are messages, of any length: they are published as they come in.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Json;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use tokio::time::timeout;
use upbeat_service::traces::TraceContext;

use super::super::body::BodyError;
use super::super::lines::{Line, Lines};
use super::READ_TIMEOUT;
use super::answer::{LineError, Streamed, with_retry_after};
use crate::error::SendError;
use crate::message::Message;
use crate::producer::{Producer, Ticket};
use crate::refusal::Refusal;

/// How many lines may be on their way.
const MAX_UNDER_WAY: usize = 1000;

/// How many errors are told one by one.
const MAX_ERRORS: usize = 1000;

/// A line of JSON may have escapes where the message has characters.
const LINE_PER_MESSAGE: usize = 6;

/// Reads one line's message.
pub(super) type ParseLine = fn(&[u8]) -> Result<Message, BodyError>;

/// Publishes line by line, and answers when all of them are settled. Waits while the buffer is full, and so does whoever
/// sends.
pub(super) async fn publish(
    producer: &Producer,
    body: Body,
    parse: ParseLine,
    parent: Option<TraceContext>,
) -> Response {
    let max_line = producer.topic().max_bytes.saturating_mul(LINE_PER_MESSAGE);
    let mut lines = Lines::new(Incoming::new(body), max_line);
    let mut under_way = VecDeque::with_capacity(MAX_UNDER_WAY);
    let mut report = Streamed::default();
    let ended = loop {
        let line = match timeout(READ_TIMEOUT, lines.next()).await {
            Err(_elapsed) => break Err((StatusCode::REQUEST_TIMEOUT, "no more lines arrived in time".to_owned())),
            Ok(Err(error)) => {
                break Err((StatusCode::BAD_REQUEST, format!("the request did not arrive whole: {error}")));
            }
            Ok(Ok(None)) => break Ok(()),
            Ok(Ok(Some(line))) => line,
        };
        let (number, line) = line;
        report.lines += 1;
        match message(line, parse, max_line) {
            Ok(None) => report.blank += 1,
            Err(error) => report.failed(number, error),
            Ok(Some(message)) => match producer.enqueue(message.trace_parent(parent.clone())).await {
                Ok(ticket) => under_way.push_back((number, ticket)),
                Err(error @ SendError::Refused(_)) => report.failed(number, error.to_string()),
                // This line and all that follow are for another time.
                Err(error) => {
                    report.lines -= 1;
                    break Err((StatusCode::SERVICE_UNAVAILABLE, error.to_string()));
                }
            },
        }
        if under_way.len() >= MAX_UNDER_WAY {
            report.settle_first(&mut under_way).await;
        }
    };
    while !under_way.is_empty() {
        report.settle_first(&mut under_way).await;
    }
    report.answer(ended)
}

fn message(line: Line, parse: ParseLine, max_line: usize) -> Result<Option<Message>, String> {
    match line {
        Line::Blank => Ok(None),
        Line::TooLong(bytes) => Err(Refusal::TooLarge { bytes, limit: max_line }.to_string()),
        Line::Bytes(bytes) => parse(&bytes).map(Some).map_err(|error| error.to_string()),
    }
}

impl Streamed {
    async fn settle_first(&mut self, under_way: &mut VecDeque<(u64, Ticket)>) {
        let Some((number, ticket)) = under_way.pop_front() else { return };
        match ticket.accepted().await {
            Ok(_) => self.accepted += 1,
            Err(error) => self.failed(number, error.to_string()),
        }
    }

    fn failed(&mut self, line: u64, error: String) {
        self.failed += 1;
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(LineError { line, error });
        }
    }

    fn answer(mut self, ended: Result<(), (StatusCode, String)>) -> Response {
        let status = match ended {
            Err((status, error)) => {
                self.error = Some(error);
                status
            }
            Ok(()) if self.failed == 0 => StatusCode::ACCEPTED,
            Ok(()) => StatusCode::MULTI_STATUS,
        };
        with_retry_after(status, Json(self)).into_response()
    }
}

/// A body as bytes that can be looked at before they are taken.
struct Incoming {
    body: BodyDataStream,
    chunk: Bytes,
}

impl Incoming {
    fn new(body: Body) -> Self {
        Self { body: body.into_data_stream(), chunk: Bytes::new() }
    }
}

impl AsyncBufRead for Incoming {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.chunk.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_next(context)) {
                Some(Ok(chunk)) => this.chunk = chunk,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => break,
            }
        }
        Poll::Ready(Ok(&this.chunk))
    }

    fn consume(self: Pin<&mut Self>, bytes: usize) {
        drop(self.get_mut().chunk.split_to(bytes));
    }
}

/// Only for the trait above.
impl AsyncRead for Incoming {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(context))?;
        let count = bytes.len().min(out.remaining());
        out.put_slice(&bytes[..count]);
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}
