//! The load: so many connections, on each a request after the other, by as little code as it takes.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::LocalSet;

use crate::server::Server;

/// Which texts are posted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Texts {
    /// The same again and again.
    One,
    /// Each once.
    New,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) requests: usize,
    pub(crate) texts: Texts,
}

/// What a run has shown; times in milliseconds, but for the CPU's, in µs a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) cpu: f64,
    pub(crate) memory: f64,
}

impl Load {
    /// Panics if an answer is not the right one.
    pub(crate) fn run(self, server: &Server) -> Measured {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let all = LocalSet::new();
        let measured = all.run_until(async {
            // So that what is to be found is there, and connections to the upstream.
            self.post(server, self.connections * 4, "warm").await;
            let (cpu, began) = (server.usage().cpu, Instant::now());
            let mut latencies = self.post(server, self.requests, "text").await;
            let (took, usage) = (began.elapsed(), server.usage());
            latencies.sort_unstable();
            let quantile = |part: f64| {
                // Within the length, as the part is below 1.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let at = (latencies.len() as f64 * part) as usize;
                latencies[at].as_secs_f64() * 1e3
            };
            Measured {
                rate: latencies.len() as f64 / took.as_secs_f64(),
                p50: quantile(0.5),
                p99: quantile(0.99),
                cpu: usage.cpu.saturating_sub(cpu).as_secs_f64() * 1e6 / latencies.len() as f64,
                memory: usage.resident_peak as f64 / 1e6,
            }
        });
        runtime.block_on(measured)
    }

    async fn post(self, server: &Server, requests: usize, name: &'static str) -> Vec<Duration> {
        let next = Rc::new(Cell::new(0));
        let mut tasks = Vec::new();
        for _ in 0..self.connections {
            let (next, address) = (Rc::clone(&next), server.address());
            tasks.push(tokio::task::spawn_local(async move {
                let mut connection = Connection::to(address).await;
                let mut latencies = Vec::new();
                while next.get() < requests {
                    let number = next.replace(next.get() + 1);
                    let text = match self.texts {
                        Texts::One => "a short text, as many are".to_owned(),
                        Texts::New => format!("{name} {number}, as many are"),
                    };
                    let began = Instant::now();
                    connection.post(&text).await;
                    latencies.push(began.elapsed());
                    connection.check(&text);
                }
                latencies
            }));
        }
        let mut latencies = Vec::with_capacity(requests);
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        latencies
    }
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    body_at: usize,
}

impl Connection {
    async fn to(address: std::net::SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, answer: Vec::with_capacity(4096), body_at: 0 }
    }

    /// Posts it and reads the whole answer.
    async fn post(&mut self, text: &str) {
        let body = format!(r#"{{"data":"{text}"}}"#);
        let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ";
        let request = format!("{head}{}\r\n\r\n{body}", body.len());
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.answer.clear();
        loop {
            assert!(self.stream.read_buf(&mut self.answer).await.unwrap() > 0, "it hung up");
            let Some(end) = self.answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.answer[..end]).unwrap();
            let length: usize =
                head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap().parse().unwrap();
            self.body_at = end + 4;
            if self.answer.len() >= self.body_at + length {
                return;
            }
        }
    }

    fn check(&self, text: &str) {
        let expected: String = text.chars().rev().flat_map(char::to_uppercase).collect();
        let body = std::str::from_utf8(&self.answer[self.body_at..]).unwrap();
        assert_eq!(body, format!(r#"{{"data":"{expected}"}}"#));
        assert!(self.answer.starts_with(b"HTTP/1.1 200"));
    }
}

impl Measured {
    /// Each figure by itself.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let of = |value: fn(&Self) -> f64| {
            let mut values: Vec<_> = runs.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            rate: of(|run| run.rate),
            p50: of(|run| run.p50),
            p99: of(|run| run.p99),
            cpu: of(|run| run.cpu),
            memory: of(|run| run.memory),
        }
    }
}
