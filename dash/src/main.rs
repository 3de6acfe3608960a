//! The `dash` binary.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use tokio::time::{MissedTickBehavior, interval, sleep};
use upbeat_dash::figure::written;
use upbeat_dash::settings::Settings;
use upbeat_dash::view::draw;
use upbeat_dash::watched::Watched;
use upbeat_service::parse;
use upbeat_service::settings::refuse;

/// How often it is drawn anew, and how long a key may wait.
const DRAWN_EVERY: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    let settings: Settings = parse();
    if !settings.once && !std::io::stdout().is_terminal() {
        refuse("standard output is no terminal; --once prints the figures as lines of text");
    }
    match run(&settings) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("cannot start a runtime")?;
    let services: Vec<_> = settings.services.iter().cloned().map(Watched::new).collect();
    if settings.once {
        return Ok(runtime.block_on(once(&services, settings.interval)));
    }
    for service in services.clone() {
        runtime.spawn(watch(service, settings.interval));
    }
    let ended = ratatui::run(|terminal| show(terminal, &services)).context("cannot draw");
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

async fn watch(service: Watched, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        service.ask().await;
    }
}

fn show(terminal: &mut DefaultTerminal, services: &[Watched]) -> std::io::Result<()> {
    let mut held = false;
    loop {
        if !held {
            terminal.draw(|frame| draw(frame, services, held))?;
        }
        if !event::poll(DRAWN_EVERY)? {
            continue;
        }
        // A change of the terminal's size is drawn with the next round.
        let Event::Key(key) = event::read()? else { continue };
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
            KeyCode::Char(' ') => {
                held = !held;
                terminal.draw(|frame| draw(frame, services, held))?;
            }
            _ => {}
        }
    }
}

/// Rates need two scrapes.
async fn once(services: &[Watched], apart: Duration) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for service in services {
        service.ask().await;
    }
    sleep(apart).await;
    for service in services {
        service.ask().await;
        let known = service.known();
        let address = service.address();
        if let Some(error) = &known.error {
            eprintln!("error: {address}: {error}");
            code = ExitCode::FAILURE;
        }
        let Some(kind) = &known.is else { continue };
        println!("{} {} {address} healthy={} ready={}", kind.name, kind.version, known.healthy, known.ready);
        let Some(last) = kind.history.points().next_back() else { continue };
        let series = kind.board.panels.iter().flat_map(|panel| panel.series.iter().map(move |series| (panel, series)));
        for ((panel, series), value) in series.zip(&last.values) {
            println!("  {}: {} {}", panel.title, series.label, written(*value, panel.unit));
        }
        for (what, reason, count) in &known.failures {
            println!("  failures: {what}, {reason}: {count}");
        }
    }
    code
}
