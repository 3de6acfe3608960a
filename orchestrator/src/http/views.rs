//! What answers are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::container::{Container, Health, State};
use crate::picture::{Picture, time};
use crate::plan::{Deed, Standing, Step, Verdict};
use crate::redact;

/// A container as `docker ps --format json` writes it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Row {
    #[serde(rename = "ID")]
    id: String,
    image: String,
    command: String,
    created_at: String,
    status: String,
    /// Docker's word, or `missing`.
    state: String,
    ports: String,
    names: String,
    labels: String,
}

/// Everything that is known of a container.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct View {
    name: String,
    /// The engine's id; empty if there is none.
    id: String,
    image: String,
    /// What it is doing; null if there is none.
    state: Option<State>,
    health: Option<Health>,
    /// How it ended the last time.
    exit_code: Option<i64>,
    /// What it is to us.
    standing: Standing,
    /// Somebody asked to have it left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldView>,
    /// Restarts have not helped it.
    degraded: bool,
    /// How often it was restarted for its health or its logs in the last ten minutes.
    restarts: usize,
    /// Whether it was created otherwise than when the snapshot was taken; null where that is not known.
    changed: Option<bool>,
    /// What is being done to it right now.
    doing: Option<Deed>,
    /// What is to be done.
    next: Option<NextView>,
}

/// What is to be done to a container.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NextView {
    action: Option<Deed>,
    why: String,
    /// In how many seconds; null if that depends on something else.
    due_in: Option<f64>,
}

/// What is to be done, container by container.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlanView {
    /// `snapshot`, `allow`, `cluster`, or `unknown`.
    pub(super) mode: &'static str,
    /// Why nothing is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Only what is due now or later.
    pub(super) steps: Vec<StepView>,
}

/// What is to be done to a container.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StepView {
    name: String,
    #[serde(flatten)]
    next: NextView,
}

/// The containers that ran when it was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SnapshotView {
    /// When it was taken.
    pub(super) taken: String,
    /// Whether a restart would find it again.
    pub(super) stored: bool,
    /// By name.
    pub(super) containers: BTreeMap<String, OriginalView>,
}

/// A container as it was when the snapshot was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OriginalView {
    pub(super) image: String,
    /// Of all that it was created from.
    pub(super) hash: String,
    /// The names of its variables; their values are nobody's business.
    pub(super) environment: Vec<String>,
}

/// The allow list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowView {
    /// Names and image patterns.
    #[schema(max_items = 1000)]
    pub(super) allow: Vec<String>,
}

/// Why a container is held.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HoldView {
    pub(super) reason: String,
    pub(super) since: String,
}

/// A request to hold a container.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldRequest {
    /// Why, for those who wonder.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub(super) reason: String,
}

/// What a new snapshot has.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Taken {
    /// So many containers.
    pub(super) containers: usize,
}

pub(super) fn row(name: &str, image: &str, container: Option<&Container>) -> Row {
    let Some(container) = container else {
        let empty = String::new;
        let (status, state) = ("Missing".to_owned(), "missing".to_owned());
        let (id, command, created_at, ports, labels) = (empty(), empty(), empty(), empty(), empty());
        return Row {
            id,
            image: image.to_owned(),
            command,
            created_at,
            status,
            state,
            ports,
            names: name.to_owned(),
            labels,
        };
    };
    let labels = container.labels.iter().map(|(name, value)| format!("{name}={}", redact::value(name, value)));
    Row {
        id: container.id.get(..12).unwrap_or(&container.id).to_owned(),
        image: container.image.clone(),
        command: format!("\"{}\"", redact::command(&container.command)),
        created_at: container.created.clone(),
        status: status(container),
        state: container.state.word().to_owned(),
        ports: container.ports.join(", "),
        names: container.name.clone(),
        labels: labels.collect::<Vec<_>>().join(","),
    }
}

/// `Up 3m (healthy)`, `Exited (1) 20s ago`.
fn status(container: &Container) -> String {
    let ago = |stamp: &str| {
        let since = DateTime::parse_from_rfc3339(stamp).ok()?;
        let seconds = (Utc::now() - since.with_timezone(&Utc)).to_std().ok()?.as_secs();
        Some(humantime::format_duration(Duration::from_secs(seconds)).to_string())
    };
    match container.state {
        State::Running | State::Paused => {
            let up = ago(&container.started).map_or_else(|| "Up".to_owned(), |ago| format!("Up {ago}"));
            match (container.state, container.health) {
                (State::Paused, _) => format!("{up} (Paused)"),
                (_, Health::Healthy) => format!("{up} (healthy)"),
                (_, Health::Unhealthy) => format!("{up} (unhealthy)"),
                (_, Health::Starting) => format!("{up} (health: starting)"),
                (_, Health::None) => up,
            }
        }
        State::Exited => {
            let code = container.exit_code.unwrap_or_default();
            ago(&container.finished)
                .map_or_else(|| format!("Exited ({code})"), |ago| format!("Exited ({code}) {ago} ago"))
        }
        State::Created => "Created".to_owned(),
        State::Restarting => "Restarting".to_owned(),
        State::Removing => "Removal In Progress".to_owned(),
        State::Dead => "Dead".to_owned(),
    }
}

pub(super) fn view(picture: &Picture, verdict: &Verdict) -> View {
    let container = picture.observed.containers.get(&verdict.name);
    let history = picture.observed.history.get(&verdict.name);
    let original = match &picture.desired.scope {
        crate::desired::Scope::Snapshot(snapshot) => snapshot.originals.get(&verdict.name),
        _ => None,
    };
    let image = container.map(|container| container.image.clone()).or_else(|| original.map(|one| one.image.clone()));
    let hold = picture.holds.get(&verdict.name);
    View {
        name: verdict.name.clone(),
        id: container.map(|container| container.id.clone()).unwrap_or_default(),
        image: image.unwrap_or_default(),
        state: container.map(|container| container.state),
        health: container.map(|container| container.health),
        exit_code: container.and_then(|container| container.exit_code),
        standing: verdict.standing,
        hold: hold.map(|hold| HoldView { reason: hold.reason.clone(), since: time(hold.since) }),
        degraded: history.is_some_and(|history| history.degraded),
        restarts: history.map_or(0, crate::history::History::restarts),
        changed: container.zip(original).and_then(|(container, original)| {
            (container.image != original.image)
                .then_some(true)
                .or_else(|| container.spec().map(|spec| spec != original.spec.hash))
        }),
        doing: picture.observed.busy.get(&verdict.name).copied(),
        next: next(picture, verdict),
    }
}

fn next(picture: &Picture, verdict: &Verdict) -> Option<NextView> {
    match &verdict.step {
        Step::Leave => None,
        Step::Act(deed, why) => Some(NextView { action: Some(*deed), why: why.clone(), due_in: Some(0.0) }),
        Step::Wait(deed, why, due) => {
            let due_in = due.map(|due| due.since(picture.at).as_secs_f64());
            Some(NextView { action: Some(*deed), why: why.clone(), due_in })
        }
        Step::GiveUp(why) => Some(NextView { action: None, why: why.clone(), due_in: None }),
    }
}

pub(super) fn step(picture: &Picture, verdict: &Verdict) -> Option<StepView> {
    next(picture, verdict).map(|next| StepView { name: verdict.name.clone(), next })
}
