//! What to run, and with which settings.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Service, Terminal, binary, reaper};
use crate::clients::{KEY, REGION};

/// A service to be started, as often as wanted.
#[derive(Clone, Debug)]
pub struct ServiceCommand {
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) input: Input,
    pub(super) errors_on_terminal: bool,
}

/// Where a service's standard input comes from.
#[derive(Clone, Debug, Default)]
pub enum Input {
    /// There is none.
    #[default]
    Empty,
    /// From the test, by [`Service::write_line`] until [`Service::close_input`].
    Pipe,
    /// From a file.
    File(PathBuf),
}

impl ServiceCommand {
    /// The binary `name` in an environment that holds nothing of ours but `PATH`: the server at `endpoint` with the
    /// tests' region and credentials, a free port, JSON logs, and a home folder of its own.
    #[must_use]
    pub fn new(name: &str, endpoint: impl AsRef<str>) -> Self {
        let env = [
            ("PATH", &*std::env::var("PATH").unwrap_or_default()),
            ("AWS_ENDPOINT_URL", endpoint.as_ref()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", KEY),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("LISTEN", "127.0.0.1:0"),
            ("LOG_FORMAT", "json"),
            ("RUST_BACKTRACE", "1"),
        ];
        let env = env.map(|(variable, value)| (variable.to_owned(), value.to_owned())).into();
        Self { name: name.to_owned(), args: Vec::new(), env, input: Input::Empty, errors_on_terminal: false }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, variable: &str, value: impl Into<String>) -> Self {
        self.env.insert(variable.to_owned(), value.into());
        self
    }

    /// Without an environment variable.
    #[must_use]
    pub fn env_remove(mut self, variable: &str) -> Self {
        self.env.remove(variable);
        self
    }

    /// With standard input from there.
    #[must_use]
    pub fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// With standard error on a terminal, a hundred columns wide.
    #[must_use]
    pub fn errors_on_terminal(mut self) -> Self {
        self.errors_on_terminal = true;
        self.env("TERM", "xterm")
    }

    /// Starts it and waits until it listens; panics with its output if it does not.
    pub async fn start(&self) -> Service {
        let service = self.spawn().await;
        service.wait_listening().await;
        service
    }

    /// Starts it and waits for nothing: for what ends by itself, such as `--version`, and for settings that it refuses.
    pub async fn spawn(&self) -> Service {
        let binary = binary(&self.name).await;
        let home = reaper::folder("home-");
        let mut command = Command::new(&binary);
        command.args(&self.args).env_clear().envs(&self.env).current_dir(home.path());
        if !self.env.contains_key("HOME") {
            command.env("HOME", home.path());
        }
        command.stdin(match &self.input {
            Input::Empty => Stdio::null(),
            Input::Pipe => Stdio::piped(),
            Input::File(path) => {
                File::open(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display())).into()
            }
        });
        // Ctrl-C is for us; what becomes of the service then is ours to say, and the reaper's.
        command.stdout(Stdio::piped()).process_group(0);
        let terminal = self.errors_on_terminal.then(|| {
            let (terminal, theirs) = Terminal::open(100);
            command.stderr(theirs);
            terminal
        });
        if terminal.is_none() {
            command.stderr(Stdio::piped());
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", binary.display()));
        Service::new(&self.name, child, terminal, home)
    }
}
