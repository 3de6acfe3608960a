//! The producer service: publishes messages to an SNS topic. The work is in the library; here it is set up.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use upbeat_producer::{BOARD, app, settings::Settings, tools};
use upbeat_service::settings::refuse;
use upbeat_service::{About, ServiceSettings, healthcheck, parse, run};

/// Publishes messages to an SNS topic: one every so often, the lines of standard input or of a file, and what is
/// posted to /messages.
///
/// AWS is set up by AWS's own variables: region, endpoint, credentials.
#[derive(Debug, Parser)]
#[command(name = "producer", version, args_conflicts_with_subcommands = true)]
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
    /// Ask the producer that runs here whether it is up: exit code 0 if it is, 1 if not
    Healthcheck(ServiceSettings),
    Doctor(tools::doctor::Arguments),
    Spool(tools::spool::Arguments),
}

fn main() -> ExitCode {
    let Cli { command, settings, service } = parse();
    match command {
        Some(Command::Healthcheck(service)) => return healthcheck(&service),
        Some(Command::Doctor(_)) => return tools::doctor::run(&settings),
        Some(Command::Spool(arguments)) => return tools::spool::run(arguments, &settings),
        None => {}
    }
    let source = settings.source().unwrap_or_else(|reason| refuse(reason));
    let spool = settings.open_spool().unwrap_or_else(|error| refuse(format_args!("--spool (SPOOL) {error}")));
    let access = settings.access(service.listen).unwrap_or_else(|error| refuse(format_args!("{error:#}")));
    let about = About { name: "producer", version: env!("CARGO_PKG_VERSION"), board: &BOARD, page: "/" };
    run(about, &service, |running| app::start(running, settings, source, spool, access, service.drain_timeout))
}
