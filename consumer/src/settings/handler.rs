//! Which of the built-in handlers, and what it can be told.

use std::time::Duration;

use clap::{Args, ValueEnum};
use upbeat_service::settings::positive_duration;

use crate::handler::http::{Endpoint, TIMEOUT};
use crate::handler::{Exec, Handler, Http, Log};
use crate::message::Message;
use crate::outcome::Outcome;

/// What is done with each message.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Handler")]
pub struct HandlerSettings {
    /// What is done with each message [default: what --exec or --http choose, or log]
    #[arg(long, env = "HANDLER", value_name = "HANDLER")]
    handler: Option<HandlerName>,

    /// Run this shell command for each message: body on standard input, `MESSAGE_ID`, `MESSAGE_ATTEMPT`, `MESSAGE_GROUP` and
    /// `ATTRIBUTE_name` in the environment; exit code 0 is done, 65 reject, 75 or any other a later try
    #[arg(long, env = "EXEC", value_name = "COMMAND")]
    exec: Option<String>,

    /// POST each message's body to this URL, with headers `upbeat-…`: 2xx is done, 429 or 503 with Retry-After a try after
    /// that time, anything else or no answer a later try
    #[arg(long, env = "HTTP", value_name = "URL")]
    http: Option<Endpoint>,

    /// How long the endpoint may take to answer [default: 30s]
    #[arg(long, env = "HTTP_TIMEOUT", value_name = "DURATION", value_parser = positive_duration)]
    http_timeout: Option<Duration>,

    /// Reject messages that the endpoint answers with 4xx (but 408, 425, 429) instead of trying them again
    #[arg(long, env = "HTTP_REJECT")]
    http_reject: bool,
}

/// The built-in handlers by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HandlerName {
    /// Logs each message with its body.
    Log,
    /// Runs a command for each message: `--exec`.
    Exec,
    /// Posts each message to a URL: `--http`.
    Http,
}

/// One of the built-in handlers.
#[derive(Clone, Debug)]
pub enum BuiltIn {
    /// Logs each message with its body.
    Log(Log),
    /// Runs a command for each message.
    Exec(Exec),
    /// Posts each message to a URL.
    Http(Box<Http>),
}

impl HandlerSettings {
    /// The handler that is asked for. `Err` if it can't be set up on this machine.
    pub fn handler(&self) -> anyhow::Result<BuiltIn> {
        Ok(if let Some(endpoint) = self.http.clone() {
            let http = Http::new(endpoint)?.timeout(self.http_timeout.unwrap_or(TIMEOUT)).reject(self.http_reject);
            BuiltIn::Http(Box::new(http))
        } else if let Some(command) = &self.exec {
            BuiltIn::Exec(Exec::new(command))
        } else {
            BuiltIn::Log(Log)
        })
    }

    /// `Err` names the settings that contradict each other, and what would do.
    pub(super) fn check(&self, handler_timeout: Duration) -> Result<(), String> {
        let Self { handler, exec, http, http_timeout, http_reject } = self;
        let refuse = |text: &str| Err(text.to_owned());
        match (handler, exec, http) {
            (_, Some(_), Some(_)) => return refuse("--exec and --http are two handlers; give one of them"),
            (Some(HandlerName::Log), Some(_), _) => {
                return refuse("--handler log runs no command; leave out --exec, or give --handler exec");
            }
            (Some(HandlerName::Log), _, Some(_)) => {
                return refuse("--handler log posts to no URL; leave out --http, or give --handler http");
            }
            (Some(HandlerName::Exec), None, _) => {
                return refuse("--handler exec needs --exec COMMAND, such as --exec 'jq .'");
            }
            (Some(HandlerName::Http), _, None) => {
                return refuse("--handler http needs --http URL, such as --http http://127.0.0.1:8080/messages");
            }
            _ => {}
        }
        if http.is_none() && http_timeout.is_some() {
            return refuse("--http-timeout is of no use without --http; give both or neither");
        }
        if http.is_none() && *http_reject {
            return refuse("--http-reject is of no use without --http; give both or neither");
        }
        let timeout = http_timeout.unwrap_or(TIMEOUT);
        if http.is_some() && timeout >= handler_timeout {
            return Err(format!(
                "--http-timeout ({timeout:?}) must be shorter than --handler-timeout ({handler_timeout:?}), which ends the request too; such as 30s and 1m"
            ));
        }
        Ok(())
    }
}

impl Handler for BuiltIn {
    async fn handle(&self, message: Message) -> Outcome {
        // Boxed, so that a message which is only logged does not carry the room of the others along.
        match self {
            Self::Log(log) => log.handle(message).await,
            Self::Exec(exec) => Box::pin(exec.handle(message)).await,
            Self::Http(http) => Box::pin(http.handle(message)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use clap::Parser;

    fn settings(arguments: &[&str]) -> Settings {
        Settings::try_parse_from([&["consumer"], arguments].concat()).unwrap()
    }

    #[test]
    fn a_command_or_a_url_chooses_the_handler_and_messages_are_logged_without() {
        let chosen = |arguments: &[&str]| {
            let settings = settings(arguments);
            settings.check().unwrap();
            settings.consumer.handler.handler().unwrap()
        };
        assert!(matches!(chosen(&[]), BuiltIn::Log(_)));
        assert!(matches!(chosen(&["--handler", "log"]), BuiltIn::Log(_)));
        assert!(matches!(chosen(&["--exec", "true"]), BuiltIn::Exec(_)));
        assert!(matches!(chosen(&["--exec", "true", "--handler", "exec"]), BuiltIn::Exec(_)));
        assert!(matches!(chosen(&["--http", "http://localhost"]), BuiltIn::Http(_)));
        assert!(matches!(chosen(&["--http", "http://localhost", "--http-reject"]), BuiltIn::Http(_)));
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_both_names() {
        let url = "http://localhost";
        let cases: [(&[&str], [&str; 2]); 8] = [
            (&["--exec", "true", "--http", url], ["--exec", "--http"]),
            (&["--handler", "log", "--exec", "true"], ["--handler log", "--exec"]),
            (&["--handler", "log", "--http", url], ["--handler log", "--http"]),
            (&["--handler", "exec"], ["--handler exec", "--exec"]),
            (&["--handler", "http"], ["--handler http", "--http"]),
            (&["--http-timeout", "1s"], ["--http-timeout", "--http;"]),
            (&["--http-reject"], ["--http-reject", "--http;"]),
            (&["--http", url, "--handler-timeout", "30s"], ["--http-timeout (30s)", "--handler-timeout (30s)"]),
        ];
        for (arguments, names) in cases {
            let refused = settings(arguments).check().unwrap_err();
            assert!(names.iter().all(|name| refused.contains(name)), "{arguments:?}: {refused}");
        }
    }
}
