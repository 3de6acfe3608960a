//! What can be read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::access::Asker;
use super::refusals::Refusals;
use super::views::{AllowView, OriginalView, PlanView, Row, SnapshotView, StepView, View, row, step, view};
use super::{Gateway, Problem};
use crate::desired::Scope;
use crate::picture::{Picture, time};
use crate::plan::Standing;

/// There is neither a snapshot nor a list.
const OF_A_CLUSTER: &str = "this is a node of a cluster, whose server says what runs here";

/// The last picture, for whoever may see it.
async fn picture(gateway: &Gateway, asker: &Asker) -> Result<Arc<Picture>, Problem> {
    gateway.guard.access.read(asker).await?;
    let picture = Arc::clone(&gateway.shared.picture.borrow());
    if !picture.seen && picture.observed.containers.is_empty() {
        let why = picture.engine.clone().unwrap_or_else(|| "the engine has not been seen yet".to_owned());
        return Err(Problem::new(503, why));
    }
    Ok(picture)
}

/// The inventory: the containers of the snapshot, as they are now
///
/// As `docker ps --format json` writes them, in one array. Under an allow list, all containers that run.
#[utoipa::path(get, path = "/", tag = "containers", responses(
    Refusals,
    (status = 200, description = "the inventory", body = Vec<Row>),
    (status = 503, description = "the engine has not been seen yet", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn inventory(State(gateway): State<Gateway>, asker: Asker) -> Result<Json<Vec<Row>>, Problem> {
    let picture = picture(&gateway, &asker).await?;
    let containers = &picture.observed.containers;
    let rows = if let Scope::Snapshot(snapshot) = &picture.desired.scope {
        let rows = snapshot.originals.iter();
        rows.map(|(name, original)| row(name, &original.image, containers.get(name))).collect()
    } else {
        let up = containers.values().filter(|container| container.state.is_up());
        up.map(|container| row(&container.name, &container.image, Some(container))).collect()
    };
    Ok(Json(rows))
}

/// Every container's state, and what is to become of it
#[utoipa::path(get, path = "/containers", tag = "containers", responses(
    Refusals,
    (status = 200, description = "all that there are, and those that are missing", body = Vec<View>),
    (status = 503, description = "the engine has not been seen yet", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn containers(State(gateway): State<Gateway>, asker: Asker) -> Result<Json<Vec<View>>, Problem> {
    let picture = picture(&gateway, &asker).await?;
    Ok(Json(picture.plan.verdicts.iter().map(|verdict| view(&picture, verdict)).collect()))
}

/// What is to be done now and later, and why
#[utoipa::path(get, path = "/v1/plan", tag = "containers", responses(
    Refusals,
    (status = 200, description = "the plan", body = PlanView),
    (status = 503, description = "the engine has not been seen yet", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn plan(State(gateway): State<Gateway>, asker: Asker) -> Result<Json<PlanView>, Problem> {
    let picture = picture(&gateway, &asker).await?;
    let (mode, reason) = match &picture.desired.scope {
        Scope::Unknown(why) => ("unknown", Some(why.clone())),
        Scope::Snapshot(_) => ("snapshot", None),
        Scope::Allow(_) => ("allow", None),
        Scope::Assigned(_) => ("cluster", None),
    };
    let known = picture.plan.verdicts.iter().filter(|verdict| verdict.standing != Standing::Unknown);
    let steps: Vec<StepView> = known.filter_map(|verdict| step(&picture, verdict)).collect();
    Ok(Json(PlanView { mode, reason, steps }))
}

/// The snapshot, without secrets
#[utoipa::path(get, path = "/v1/snapshot", tag = "wanted", responses(
    Refusals,
    (status = 200, description = "the snapshot", body = SnapshotView),
    (status = 404, description = "there is none: an allow list is in force", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "it is not known", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn snapshot(State(gateway): State<Gateway>, asker: Asker) -> Result<Json<SnapshotView>, Problem> {
    let picture = picture(&gateway, &asker).await?;
    let snapshot = match &picture.desired.scope {
        Scope::Snapshot(snapshot) => snapshot,
        Scope::Allow(_) => return Err(Problem::new(404, "there is an allow list, and so no snapshot; see /v1/allow")),
        Scope::Assigned(_) => return Err(Problem::new(404, OF_A_CLUSTER)),
        Scope::Unknown(why) => return Err(Problem::new(503, why)),
    };
    let containers = snapshot.originals.iter().map(|(name, original)| {
        let variables = original.spec.body["Env"].as_array().into_iter().flatten().filter_map(|one| one.as_str());
        let environment = variables.map(|one| one.split('=').next().unwrap_or_default().to_owned()).collect();
        let view = OriginalView { image: original.image.clone(), hash: original.spec.hash.clone(), environment };
        (name.clone(), view)
    });
    let (taken, stored) = (time(snapshot.taken), snapshot.stored);
    Ok(Json(SnapshotView { taken, stored, containers: containers.collect() }))
}

/// The allow list
#[utoipa::path(get, path = "/v1/allow", operation_id = "allow_list", tag = "wanted", responses(
    Refusals,
    (status = 200, description = "the allow list", body = AllowView),
    (status = 404, description = "there is none: the snapshot is in force", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "it is not known", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn allow(State(gateway): State<Gateway>, asker: Asker) -> Result<Json<AllowView>, Problem> {
    let picture = picture(&gateway, &asker).await?;
    match &picture.desired.scope {
        Scope::Allow(list) => Ok(Json(AllowView { allow: list.entries() })),
        Scope::Snapshot(_) => {
            Err(Problem::new(404, "there is no allow list; what ran at the start is in /v1/snapshot"))
        }
        Scope::Assigned(_) => Err(Problem::new(404, OF_A_CLUSTER)),
        Scope::Unknown(why) => Err(Problem::new(503, why)),
    }
}
