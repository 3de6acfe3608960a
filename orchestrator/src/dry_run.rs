//! `orchestrator plan`: what would be done now and why, without a service and without doing it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use upbeat_service::Health;

use crate::app::FILE;
use crate::control::Control;
use crate::desired::Scope;
use crate::picture::Picture;
use crate::plan::Step;
use crate::readers::Readers;
use crate::runtime::Runtime;
use crate::settings::Target;
use crate::store::memory::MemoryStore;
use crate::store::sqlite::SqliteStore;
use crate::store::{Kept, Store};
use crate::watch::watch;

/// How long the engine may take to be looked at.
const LIMIT: Duration = Duration::from_secs(30);

/// It ends long before it would look again.
const RESYNC: Duration = Duration::from_mins(1);

/// Something would be done.
const WOULD: u8 = 3;

/// Prints a line for each container, and gives the exit code.
#[must_use]
pub fn run(target: &Target) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime");
    match runtime.and_then(|runtime| runtime.block_on(look(target))) {
        Ok(picture) => {
            let mut would = false;
            for verdict in &picture.plan.verdicts {
                let told = match &verdict.step {
                    Step::Leave if verdict.held => "leave: it is held".to_owned(),
                    Step::Leave => "leave".to_owned(),
                    Step::Act(deed, why) | Step::Wait(deed, why, _) => {
                        would = true;
                        format!("{}: {why}", crate::control::word(*deed))
                    }
                    Step::GiveUp(why) => format!("leave: {why}"),
                };
                println!("{}: {told}", verdict.name);
            }
            if would { WOULD.into() } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn look(target: &Target) -> anyhow::Result<Arc<Picture>> {
    let options = target.options(false, RESYNC);
    let runtime: Arc<dyn Runtime> = Arc::new(target.engine.open());
    let control = Control::new(options, Arc::clone(&runtime), kept(target).await?, Readers::default());
    let (mut shared, stop) = (control.shared(), CancellationToken::new());
    let looked = async {
        loop {
            {
                let picture = shared.picture.borrow_and_update();
                let known = picture.seen && !matches!(picture.desired.scope, Scope::Unknown(_));
                if known {
                    return Ok(Arc::clone(&picture));
                }
                if let Some(why) = &picture.engine
                    && why != "not reached yet"
                {
                    anyhow::bail!("{why}");
                }
            }
            shared.picture.changed().await.context("the loop has ended")?;
        }
    };
    let health = Health::default();
    tokio::select! {
        looked = tokio::time::timeout(LIMIT, looked) => looked.context("the engine does not answer")?,
        () = watch(runtime, Arc::clone(&shared.marks), health.clone()) => anyhow::bail!("the connection has ended"),
        () = control.run(health, stop) => anyhow::bail!("the loop has ended"),
    }
}

/// What is kept, in memory: a look writes nothing. Without a store there is no snapshot, and what runs now is as wanted.
async fn kept(target: &Target) -> anyhow::Result<Arc<dyn Store>> {
    let path = target.state.join(FILE);
    let memory = MemoryStore::default();
    if path.exists() {
        let kept: Kept = SqliteStore::new(path).context("cannot start the store's thread")?.load().await?;
        memory.fill(kept);
    }
    Ok(Arc::new(memory))
}
