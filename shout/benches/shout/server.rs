//! What is put under load, each in a process of its own, and the upstream behind it.

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::runtime;
use upbeat_testkit::bench::pin::{pin, two_cpus};
use upbeat_testkit::port::ReservedPort;
use upbeat_testkit::process::Usage;

/// Tells the bench's own executable to be the bare handler: the port, and how many milliseconds each answer takes.
const BARE: &str = "UPBEAT_BENCH_BARE";

/// A server that was started; killed when dropped.
pub(crate) struct Server {
    process: Child,
    port: ReservedPort,
}

impl Server {
    /// `bare` or `shout`, and variables for its environment. Its log goes to /dev/null.
    pub(crate) fn start(arguments: &[String], upstream: Option<&str>, redis: &str) -> Self {
        let port = ReservedPort::take();
        let mut command = if arguments[0] == "bare" {
            let mut command = Command::new(env::current_exe().unwrap());
            command.env(BARE, format!("{} {}", port.number(), arguments.get(1).map_or("0", String::as_str)));
            command
        } else {
            let mut command = Command::new(env!("CARGO_BIN_EXE_shout"));
            command.env_clear().env("LISTEN", port.address().to_string());
            command.envs(upstream.map(|url| ("UPSTREAM", url)));
            for variable in &arguments[1..] {
                let (name, value) = variable.split_once('=').unwrap();
                command.env(name, if value == "redis" { redis } else { value });
            }
            command
        };
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // A process is kept where the thread that starts it is.
        let cpus = two_cpus();
        if let Some((_, theirs)) = cpus {
            pin(theirs);
        }
        let process = command.spawn().unwrap();
        if let Some((ours, _)) = cpus {
            pin(ours);
        }
        let server = Self { process, port };
        let began = Instant::now();
        while TcpStream::connect(server.address()).is_err() {
            assert!(began.elapsed() < Duration::from_mins(1), "it does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.process.id()).expect("it runs")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Serialize, Deserialize)]
struct Text {
    data: String,
}

pub(crate) fn is_asked_for() -> bool {
    env::var_os(BARE).is_some()
}

/// The shortest program that does the work: no limits, no log, no metrics, and no graphemes.
pub(crate) fn serve() {
    let told = env::var(BARE).unwrap();
    let (port, millis) = told.split_once(' ').unwrap();
    let (port, wait) = (port.parse().unwrap(), Duration::from_millis(millis.parse().unwrap()));
    let handler = post(async move |Json(text): Json<Text>| {
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Json(Text { data: text.data.chars().rev().flat_map(char::to_uppercase).collect() })
    });
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        axum::serve(listener, Router::new().route("/", handler)).await.unwrap();
    });
}

/// An upstream on a thread of this process; it ends with it.
pub(crate) struct Upstream(String);

impl Upstream {
    pub(crate) fn start(latency: Duration) -> Self {
        #[derive(Deserialize)]
        struct Question {
            #[serde(rename = "INPUT")]
            input: String,
        }
        #[derive(Serialize)]
        struct Answer {
            #[serde(rename = "INPUT")]
            input: String,
            #[serde(rename = "OUTPUT")]
            output: String,
        }
        let handler = post(async move |Json(Question { input }): Json<Question>| {
            tokio::time::sleep(latency).await;
            Json(Answer { output: input.to_uppercase(), input })
        });
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let serving = axum::serve(listener, Router::new().route("/V1/SHOUT", handler));
            runtime.block_on(serving.into_future()).unwrap();
        });
        Self(url)
    }

    pub(crate) fn url(&self) -> &str {
        &self.0
    }
}
