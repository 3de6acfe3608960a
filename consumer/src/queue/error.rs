//! What can go wrong at the queue, and what the caller can do about it.

use std::fmt;

/// A request failed as a whole. All kinds are waited out with backoff; the kind tells what to look at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueueError {
    /// What to look at.
    pub kind: ErrorKind,
    /// In words, the same from try to try.
    pub message: String,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The queue does not exist (yet).
    NotFound,
    /// The credentials are missing, expired or not allowed to do this.
    AccessDenied,
    /// Too many requests; slow down.
    Throttled,
    /// No answer in time; the request may have been carried out.
    Timeout,
    /// The queue's service can't be reached or failed.
    Unavailable,
    /// The request itself is at fault.
    Invalid,
}

/// One entry of a batch failed while others may have succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryError {
    /// `true`: this entry can never succeed, as when its receipt handle is no longer valid.
    /// `false`: it may succeed when tried again.
    pub sender_fault: bool,
    /// The queue's code and message.
    pub reason: String,
}

impl QueueError {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl ErrorKind {
    /// The kind in one word, for labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AccessDenied => "access_denied",
            Self::Throttled => "throttled",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for EntryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}
