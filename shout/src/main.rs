//! The shout service: reverses and capitalises text over HTTP. The work is in the library; here it is set up.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use upbeat_service::settings::refuse;
use upbeat_service::{About, ServiceSettings, healthcheck, parse, run};
use upbeat_shout::{BOARD, app, settings::Settings};

/// Reverses the text that is posted to / and capitalises it: by an upstream if there is one, with retries, a circuit
/// breaker and a cache, or by itself.
#[derive(Debug, Parser)]
#[command(name = "shout", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    service: ServiceSettings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask the service that runs here whether it is up: exit code 0 if it is, 1 if not
    Healthcheck(ServiceSettings),
}

fn main() -> ExitCode {
    let Cli { command, settings, service } = parse();
    if let Some(Command::Healthcheck(service)) = command {
        return healthcheck(&service);
    }
    settings.check().unwrap_or_else(|reason| refuse(reason));
    let about = About { name: "shout", version: env!("CARGO_PKG_VERSION"), board: &BOARD, page: "/" };
    run(about, &service, |running| app::start(running, &settings, service.drain_timeout))
}
