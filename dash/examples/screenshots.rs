//! Makes the README's pictures: the pair under load beside `LocalStack`, its page and its terminal view.
//!
//! `make screenshots` runs it. It needs Chromium and its driver (Debian: `apt-get install chromium-driver`).

#![allow(clippy::unwrap_used, reason = "who runs it sees the panic")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use ratatui::style::{Color, Modifier};
use upbeat_dash::view::draw;
use upbeat_dash::watched::Watched;
use upbeat_testkit::process::Input;
use upbeat_testkit::{Browser, LocalStack, Options, Resources, Service};

/// How long the pair works before it is looked at.
const WORKS: Duration = Duration::from_mins(5);

/// Now and then slow, now and then failing.
const HANDLER: &str = r"read -r n; case $n in *7) sleep 0.2;; *13) exit 1;; *) sleep 0.02;; esac";

#[tokio::main]
async fn main() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let localstack = LocalStack::shared().await;
    let resources = Resources::make(localstack, Options::default()).await;
    let producer = Service::producer(localstack).args(["--topic", &resources.topic, "--stdin"]).input(Input::Pipe);
    let producer = producer.start().await;
    let consumer = Service::consumer(localstack).args(["--queue", &resources.queue.name, "--exec", HANDLER]);
    let consumer = consumer.args(["--concurrency", "8", "--queue-metrics-interval", "2s"]).start().await;
    let mut watched = Vec::new();
    for service in [&producer, &consumer] {
        let address = service.wait_listening().await;
        watched.push(Watched::new(format!("http://{address}/metrics").parse().unwrap()));
    }

    let began = Instant::now();
    let mut n = 0_u64;
    while began.elapsed() < WORKS {
        // A load that comes and goes.
        let seconds = began.elapsed().as_secs_f64();
        let burst = 4.0 + 3.0 * (seconds / 40.0).sin() + if seconds % 90.0 < 15.0 { 12.0 } else { 0.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few dozen")]
        for _ in 0..burst as u64 {
            n += 1;
            producer.write_line(&n.to_string());
        }
        for service in &watched {
            service.ask().await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    let browser = Browser::start(1180, 1000, false).await.unwrap();
    browser.open(&format!("http://{}/", consumer.wait_listening().await)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    browser.screenshot(&docs.join("page.png")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dash.html");
    std::fs::write(&file, terminal(&watched, 160, 42)).unwrap();
    browser.open(&format!("file://{}", file.display())).await;
    browser.screenshot(&docs.join("dash.png")).await;
}

/// What a terminal of this size shows, in HTML.
fn terminal(services: &[Watched], columns: u16, rows: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, services, false)).unwrap();
    // Each cell as wide as any other, whichever font its sign comes from.
    let style = "body{margin:12px;background:#161615;color:#dddcd6;font:12px/16px 'DejaVu Sans Mono',monospace}\
                 pre{margin:0}span{display:inline-block;width:7px;height:16px;overflow:visible;vertical-align:top}";
    let mut html = format!("<!doctype html><meta charset=utf-8><style>{style}</style><pre>");
    for row in terminal.backend().buffer().content().chunks(usize::from(columns)) {
        for cell in row {
            write_cell(&mut html, cell);
        }
        html.push('\n');
    }
    html
}

fn write_cell(html: &mut String, cell: &Cell) {
    let colour = match cell.fg {
        Color::Blue => "#5b9df0",
        Color::Yellow => "#ee9044",
        Color::Magenta => "#a893ee",
        Color::Green => "#4cc39a",
        Color::Red => "#ff8b80",
        _ if cell.modifier.contains(Modifier::DIM) => "#8a887f",
        _ => "inherit",
    };
    let weight = if cell.modifier.contains(Modifier::BOLD) { "bold" } else { "normal" };
    let text = cell.symbol().replace('&', "&amp;").replace('<', "&lt;");
    let _ = write!(html, "<span style=\"color:{colour};font-weight:{weight}\">{text}</span>");
}
