//! Lines of bytes, each with its number and none longer than allowed, whatever comes in.

use std::io;

use memchr::memchr;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// A line without its end (`\n` or `\r\n`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Nothing but white space.
    Blank,
    /// What is in the line.
    Bytes(Vec<u8>),
    /// More bytes than allowed, of which there were this many; they are not kept.
    TooLong(usize),
}

impl Line {
    /// How many bytes it had, as far as they were counted.
    #[must_use]
    pub const fn length(&self) -> usize {
        match self {
            Self::Blank => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::TooLong(length) => *length,
        }
    }
}

/// Splits a reader into lines.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    max_bytes: usize,
    number: u64,
    /// The line so far, unless it is too long.
    line: Vec<u8>,
    /// How many bytes the line has so far.
    length: usize,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Lines of up to this many bytes.
    pub const fn new(reader: R, max_bytes: usize) -> Self {
        Self { reader, max_bytes, number: 0, line: Vec::new(), length: 0 }
    }

    /// The next line and its number, counted from 1; `None` at the end. A last line without an end counts.
    ///
    /// Dropped before it returns, it loses nothing.
    pub async fn next(&mut self) -> io::Result<Option<(u64, Line)>> {
        loop {
            let bytes = self.reader.fill_buf().await?;
            if bytes.is_empty() {
                return Ok((self.length > 0).then(|| self.end()));
            }
            let end = memchr(b'\n', bytes);
            let part = &bytes[..end.unwrap_or(bytes.len())];
            self.length += part.len();
            // One more for a \r, which may turn out to be a part of the line's end.
            if self.length <= self.max_bytes + 1 {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(self.end()));
            }
        }
    }

    fn end(&mut self) -> (u64, Line) {
        self.number += 1;
        let mut line = std::mem::take(&mut self.line);
        let mut length = std::mem::take(&mut self.length);
        if length == line.len() && line.last() == Some(&b'\r') {
            line.pop();
            length -= 1;
        }
        let line = if length > self.max_bytes {
            Line::TooLong(length)
        } else if line.trim_ascii().is_empty() {
            Line::Blank
        } else {
            Line::Bytes(line)
        };
        (self.number, line)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::io::{AsyncWriteExt, BufReader, duplex};

    use super::*;

    async fn lines_of(input: &[u8], buffer: usize, max_bytes: usize) -> Vec<(u64, Line)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, input), max_bytes);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    fn bytes(text: &str) -> Line {
        Line::Bytes(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn a_line_ends_at_its_end_or_at_the_end_of_the_input_and_blank_ones_have_numbers_too() {
        let lines = lines_of(b"one\r\n\n \t\ntwo \nlast", 4, 100).await;
        let expected = [(1, bytes("one")), (2, Line::Blank), (3, Line::Blank), (4, bytes("two ")), (5, bytes("last"))];
        assert_eq!(lines, expected);
        assert_eq!(lines_of(b"", 4, 100).await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_counted_but_not_kept_and_the_next_one_is_whole() {
        let input = [&b"x".repeat(1000)[..], b"\n12345\r\n123456\r\nend"].concat();
        let lines = lines_of(&input, 64, 5).await;
        assert_eq!(lines, [(1, Line::TooLong(1000)), (2, bytes("12345")), (3, Line::TooLong(7)), (4, bytes("end"))]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_comes_in_pieces_is_whole_though_waiting_for_it_was_given_up() {
        let (mut writer, reader) = duplex(64);
        let mut lines = Lines::new(BufReader::new(reader), 100);
        writer.write_all(b"first ha").await.unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(1), lines.next()).await.is_err());
        writer.write_all(b"lf\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap(), Some((1, bytes("first half"))));
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_standard_library_whatever_the_buffer(
            input in "[a-z\r\n ]{0,200}", buffer in 1..20_usize
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let split = runtime.block_on(lines_of(input.as_bytes(), buffer, 1000));
            let split: Vec<_> = split.into_iter().map(|(_, line)| line).collect();
            // The standard library leaves a lone \r at the end of the input.
            let expected = input.lines().map(|line| match line {
                line if line.trim_ascii().is_empty() => Line::Blank,
                line => bytes(line),
            });
            let expected: Vec<_> = expected.collect();
            prop_assume!(!input.ends_with('\r'));
            prop_assert_eq!(split, expected);
        }
    }
}
