//! The orchestrator service: keeps a host's containers as they are wanted. The work is in the library; here it is set up.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use upbeat_orchestrator::settings::{LISTEN, Settings};
use upbeat_orchestrator::store::sqlite::SqliteStore;
use upbeat_orchestrator::{BOARD, app, dry_run};
use upbeat_service::settings::{parse_as, refuse};
use upbeat_service::{About, ServiceSettings, healthcheck, run};

/// Keeps the containers of a Docker host as they are wanted: as they were at the first start (the snapshot), or within an
/// allow list. Without --enforce it only says what it would do.
#[derive(Debug, Parser)]
#[command(name = "orchestrator", version, args_conflicts_with_subcommands = true)]
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
    /// Look after one host; the same as without a command
    Solo(Box<Solo>),
    /// Say what would be done now and why, and do nothing: exit code 0 if nothing, 3 if something, 1 if it can't be known
    Plan,
    /// Ask the orchestrator that runs here whether it is up: exit code 0 if it is, 1 if not
    Healthcheck,
}

#[derive(Debug, clap::Args)]
struct Solo {
    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    service: ServiceSettings,
}

fn main() -> ExitCode {
    let Cli { command, settings, service } = parse_as(
        Cli::command()
            .mut_arg("listen", |listen| listen.default_value(LISTEN))
            .mut_subcommand("solo", |solo| solo.mut_arg("listen", |listen| listen.default_value(LISTEN))),
    );
    let (settings, service) = match command {
        Some(Command::Plan) => {
            settings.check().unwrap_or_else(|error| refuse(format_args!("{error:#}")));
            return dry_run::run(&settings);
        }
        Some(Command::Healthcheck) => return healthcheck(&service),
        Some(Command::Solo(solo)) => (solo.settings, solo.service),
        None => (settings, service),
    };
    settings.check().unwrap_or_else(|error| refuse(format_args!("{error:#}")));
    let access = settings.access(service.listen).unwrap_or_else(|error| refuse(format_args!("{error:#}")));
    let store = SqliteStore::new(settings.state.join(app::FILE))
        .unwrap_or_else(|error| refuse(format_args!("--state (STATE): cannot start its thread: {error}")));
    let about = About { name: "orchestrator", version: env!("CARGO_PKG_VERSION"), board: &BOARD, page: "/ui" };
    run(about, &service, |running| app::start(running, settings, access, store))
}
