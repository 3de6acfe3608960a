//! The names of queues.

/// Longest name of a queue, `.fifo` included (SQS API reference, `CreateQueue`).
const MAX_NAME: usize = 80;

const FIFO_SUFFIX: &str = ".fifo";

/// Whether SQS could have a queue of this name.
pub(super) fn is_valid(text: &str) -> bool {
    let name = text.strip_suffix(FIFO_SUFFIX).unwrap_or(text);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && text.len() <= MAX_NAME && name.bytes().all(allowed)
}

/// Whether a queue of this name, or with a URL that ends in it, is FIFO.
pub(super) fn is_fifo(name: &str) -> bool {
    name.strip_suffix(FIFO_SUFFIX).is_some()
}
