//! Settings, a scene, steps until the time is over, the drain, the verdict.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tempfile::TempDir;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use upbeat_chaos::drain::drain;
use upbeat_chaos::faults;
use upbeat_chaos::fleet::Member;
use upbeat_chaos::oracle::Verdict;
use upbeat_chaos::plan::Plan;
use upbeat_chaos::scene::Scene;
use upbeat_chaos::settings::Settings;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let settings = Settings::parse();
    let seed = settings.seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    println!("seed {seed}: SEED={seed} make chaos does the same steps again");

    let folder = match &settings.folder {
        Some(folder) => std::fs::create_dir_all(folder).map(|()| folder.clone()),
        None => tempfile::Builder::new().prefix("upbeat-chaos-").tempdir().map(TempDir::keep),
    };
    let folder = folder.context("cannot make the folder for the journal and the logs")?;
    let is_temporary = settings.folder.is_none();

    let mut scene = Scene::start(settings, seed, &folder).await?;
    scene.screen.line(&format!(
        "LocalStack, a producer with a spool, {} consumers, {} messages a second; journal and logs in {}",
        scene.consumers.len(),
        scene.settings.rate,
        folder.display()
    ));
    break_things(&mut scene).await;
    drain(&mut scene).await?;
    scene.screen.end();

    let verdict = Verdict::read(scene.journal.path())?;
    let starts: usize = scene.consumers.iter().map(Member::starts).sum();
    println!("{} producers, {starts} consumers ran one after the other", scene.producer.starts());
    for problem in &scene.problems {
        println!("WRONG: {problem}");
    }
    println!("{verdict}");
    let good = verdict.is_good() && scene.problems.is_empty();
    drop(scene);
    if good && is_temporary {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    } else {
        println!("journal and logs are in {}", folder.display());
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Step after step, until the time is over, enough are done or accepted, or Ctrl-C.
async fn break_things(scene: &mut Scene) {
    let mut plan = Plan::new(scene.seed, &scene.settings.only);
    let deadline = Instant::now() + scene.settings.duration;
    let (most_steps, most_messages) = (scene.settings.steps, scene.settings.messages);
    let interrupted = CancellationToken::new();
    tokio::spawn(on_ctrl_c(interrupted.clone()));
    while let Some(step) = plan.step() {
        let enough = most_steps.is_some_and(|most| step.number > most)
            || most_messages.is_some_and(|most| scene.journal.figures().accepted >= most);
        // A step that has begun is done to its end: the half of it would be another.
        if enough || interrupted.is_cancelled() || Instant::now() >= deadline {
            break;
        }
        match faults::run(scene, &step).await {
            Ok(did) => scene.screen.line(&format!("{:3} {:26} {did}", step.number, step.fault.name())),
            Err(error) => scene.problems.push(format!("{error:#}")),
        }
    }
}

/// Ends the steps; said again, ends everything.
async fn on_ctrl_c(interrupted: CancellationToken) {
    // Fails where there are no signals.
    while tokio::signal::ctrl_c().await.is_ok() {
        if interrupted.is_cancelled() {
            std::process::exit(130);
        }
        eprintln!("no further steps; Ctrl-C again leaves the drain out");
        interrupted.cancel();
    }
}
