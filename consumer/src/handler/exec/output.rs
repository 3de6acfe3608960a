//! What a command writes, as events in the log.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tracing::info;

/// The longest line that is logged, in bytes.
const LONGEST_LINE: usize = 8 * 1024;

/// How many lines of a stream are logged.
const MOST_LINES: u64 = 1000;

/// The longest last line that is told as the reason of a failure, in bytes.
const LONGEST_REASON: usize = 512;

/// One of a command's output streams.
#[derive(Debug)]
pub(super) struct Output {
    stream: &'static str,
    line: Vec<u8>,
    lines: u64,
    last: Option<String>,
}

impl Output {
    pub(super) const fn new(stream: &'static str) -> Self {
        Self { stream, line: Vec::new(), lines: 0, last: None }
    }

    /// Reads to the end, so that the command is never held up, and logs line by line. Cancel safe: what was read is kept.
    pub(super) async fn log(&mut self, from: Option<impl AsyncRead + Unpin>, id: &str) {
        let Some(from) = from else { return };
        let mut from = BufReader::new(from);
        // A pipe that can't be read has nothing more to say.
        while let Ok(read) = from.fill_buf().await {
            if read.is_empty() {
                break;
            }
            let length = read.len();
            for part in read.split_inclusive(|byte| *byte == b'\n') {
                self.take(part, id);
            }
            from.consume(length);
        }
    }

    /// No more will be read. Returns the last line that is not empty.
    pub(super) fn end(mut self, id: &str) -> Option<String> {
        if !self.line.is_empty() {
            self.end_line(id);
        }
        let more = self.lines.saturating_sub(MOST_LINES);
        if more > 0 {
            info!(%id, stream = self.stream, lines = more, "more output, not logged");
        }
        self.last
    }

    fn take(&mut self, part: &[u8], id: &str) {
        let text = part.strip_suffix(b"\n").unwrap_or(part);
        let room = LONGEST_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&text[..text.len().min(room)]);
        if text.len() < part.len() {
            self.end_line(id);
        }
    }

    fn end_line(&mut self, id: &str) {
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end();
        self.lines += 1;
        if self.lines <= MOST_LINES {
            info!(%id, stream = self.stream, line, "output");
        }
        if !line.is_empty() {
            self.last = Some(line[..line.floor_char_boundary(LONGEST_REASON)].to_owned());
        }
        self.line.clear();
    }
}
