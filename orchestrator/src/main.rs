//! The orchestrator service: keeps containers as they are wanted, on one host or several. The work is in the library; here
//! it is set up.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use upbeat_orchestrator::settings::{AgentSettings, LISTEN, ServerSettings, Settings, Target};
use upbeat_orchestrator::store::sqlite::SqliteStore;
use upbeat_orchestrator::{BOARD, CLUSTER_BOARD, agent, app, dry_run, http, server};
use upbeat_service::board::Board;
use upbeat_service::settings::{parse_as, refuse};
use upbeat_service::{About, ServiceSettings, healthcheck, run};

/// Keeps the containers of a Docker host as they are wanted: as they were at the first start (the snapshot), or within an
/// allow list. Without --enforce it only says what it would do. Several hosts run services by a server and its agents.
#[derive(Debug, Parser)]
#[command(name = "orchestrator", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    solo: Solo,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look after one host; the same as without a command
    Solo(Box<Solo>),
    /// Keep services running on several hosts
    Server(Box<Server>),
    /// Run on this host what a server says
    Agent(Box<Agent>),
    /// Say what would be done now and why, and do nothing: exit code 0 if nothing, 3 if something, 1 if it can't be known
    Plan(Box<Target>),
    /// Ask the orchestrator that runs here whether it is up: exit code 0 if it is, 1 if not
    Healthcheck(Box<ServiceSettings>),
}

#[derive(Debug, clap::Args)]
struct Solo {
    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    service: ServiceSettings,
}

#[derive(Debug, clap::Args)]
struct Server {
    #[command(flatten)]
    settings: ServerSettings,

    #[command(flatten)]
    service: ServiceSettings,
}

#[derive(Debug, clap::Args)]
struct Agent {
    #[command(flatten)]
    settings: AgentSettings,

    #[command(flatten)]
    service: ServiceSettings,
}

fn main() -> ExitCode {
    let local = |command: clap::Command| command.mut_arg("listen", |listen| listen.default_value(LISTEN));
    let all = ["solo", "server", "agent", "healthcheck"];
    let command = all.into_iter().fold(local(Cli::command()), |command, name| command.mut_subcommand(name, local));
    let Cli { command, solo } = parse_as(command);
    match command {
        None => look_after(solo),
        Some(Command::Solo(solo)) => look_after(*solo),
        Some(Command::Server(server)) => serve(*server),
        Some(Command::Agent(agent)) => obey(*agent),
        Some(Command::Plan(target)) => {
            or_refuse(target.engine.check());
            dry_run::run(&target)
        }
        Some(Command::Healthcheck(service)) => healthcheck(&service),
    }
}

fn look_after(Solo { settings, service }: Solo) -> ExitCode {
    or_refuse(settings.target.engine.check());
    let access = or_refuse(settings.door.access(service.listen));
    let store = open(&settings.target.state);
    let door = or_refuse(settings.door.prepare(&settings.target.state));
    run(about(&BOARD), &service, |running| app::start(running, settings, access, store, door))
}

fn serve(Server { settings, service }: Server) -> ExitCode {
    let access = or_refuse(settings.door.access(service.listen));
    let composed = or_refuse(settings.composed());
    let store = open(&settings.state);
    let door = or_refuse(settings.door.prepare(&settings.state));
    run(about(&CLUSTER_BOARD), &service, |running| server::start(running, settings, access, store, door, composed))
}

fn obey(Agent { settings, service }: Agent) -> ExitCode {
    or_refuse(settings.engine.check());
    let name = or_refuse(settings.name());
    let membership = or_refuse(agent::membership(&settings));
    let access = or_refuse(http::Access::new(false, None, service.listen));
    run(about(&BOARD), &service, |running| agent::start(running, settings, access, name, membership))
}

const fn about(board: &'static Board) -> About {
    About { name: "orchestrator", version: env!("CARGO_PKG_VERSION"), board, page: "/ui" }
}

fn open(state: &Path) -> SqliteStore {
    let store = SqliteStore::new(state.join(app::FILE));
    store.unwrap_or_else(|error| refuse(format_args!("--state (STATE): cannot start its thread: {error}")))
}

fn or_refuse<T, E: Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| refuse(format_args!("{error:#}")))
}
