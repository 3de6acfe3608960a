//! Chromium without a window, to see a page as a person does. Told what to do by `WebDriver`, the W3C's protocol.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::http::request_within;

/// How long the driver may take to listen, and the browser for anything that it is told.
const LIMIT: Duration = Duration::from_mins(1);

/// A browser that was started; it ends when dropped.
#[derive(Debug)]
pub struct Browser {
    session: String,
    /// The driver and the browser.
    group: Pid,
    _profile: TempDir,
}

impl Browser {
    /// Starts one, with a window of this size; `None` on a machine that has no `chromedriver` (Debian's
    /// chromium-driver), which is said.
    pub async fn start(width: u32, height: u32, dark: bool) -> Option<Self> {
        let profile = tempfile::tempdir().expect("no temporary folder");
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).process_group(0).spawn();
        let mut driver = match driver {
            Ok(driver) => driver,
            Err(error) => {
                println!("SKIPPED: no browser to look at the page, chromedriver: {error}");
                return None;
            }
        };
        let group = Pid::from_raw(driver.id().expect("it runs").cast_signed());
        let mut lines = BufReader::new(driver.stdout.take().expect("standard output is a pipe")).lines();
        let port = async {
            loop {
                let line = lines.next_line().await.expect("readable output").expect("chromedriver listens");
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
        };
        let port = timeout(LIMIT, port).await.expect("chromedriver starts");
        let mut args = vec![
            "--headless=new".to_owned(),
            // Tests may run as root, in a container without user namespaces, with a small /dev/shm.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        if dark {
            args.push("--force-dark-mode".to_owned());
        }
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let mut browser = Self { session: format!("http://127.0.0.1:{port}/session"), group, _profile: profile };
        let made = call("POST", &browser.session, &wanted).await;
        browser.session = format!("{}/{}", browser.session, made["sessionId"].as_str().expect("a session"));
        Some(browser)
    }

    /// Goes to a page.
    pub async fn open(&self, url: &str) {
        self.post("url", &json!({"url": url})).await;
    }

    /// Runs the body of a function in the page, and gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Presses keys one after the other, as on a keyboard; `\u{e004}` is Tab.
    pub async fn press(&self, keys: &str) {
        let each = |key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let actions: Vec<_> = keys.chars().map(String::from).flat_map(each).collect();
        self.post("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})).await;
    }

    /// What the console has said since it was last asked, a line each.
    pub async fn console(&self) -> String {
        let said = self.post("se/log", &json!({"type": "browser"})).await;
        said.as_array().into_iter().flatten().fold(String::new(), |mut lines, entry| {
            let _ = writeln!(lines, "{}: {}", entry["level"], entry["message"]);
            lines
        })
    }

    /// Writes what the window shows to a file, as PNG.
    pub async fn screenshot(&self, file: &Path) {
        let shot = call("GET", &format!("{}/screenshot", self.session), &Value::Null).await;
        let png = BASE64_STANDARD.decode(shot.as_str().expect("a picture")).expect("base64");
        std::fs::write(file, png).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    async fn post(&self, command: &str, body: &Value) -> Value {
        call("POST", &format!("{}/{command}", self.session), body).await
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver alone would leave its browser behind.
        let _ = killpg(self.group, Signal::SIGKILL);
    }
}

async fn call(method: &str, url: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = request_within(LIMIT, method, url, "application/json", body.into()).await;
    let answer = answer.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
    assert_eq!(answer.status, 200, "{method} {url}: {answer:?}");
    answer.json()["value"].take()
}
