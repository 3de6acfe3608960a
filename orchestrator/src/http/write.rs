//! What can be asked for.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::Utc;
use tokio::sync::oneshot;

use super::access::{Asker, unavailable};
use super::body::json;
use super::path::Path;
use super::refusals::{Refusals, WriteRefusals};
use super::views::{AllowView, HoldRequest, HoldView, Taken};
use super::{Gateway, Problem};
use crate::allow::AllowList;
use crate::desired::Scope;
use crate::marks::Retake;
use crate::picture::{Event, time};
use crate::store::Hold;

/// The most entries of an allow list, and characters of a reason and of a name.
const MAX_ENTRIES: usize = 1000;
const MAX_REASON: usize = 1000;
const MAX_NAME: usize = 253;

/// Docker's own rule for a container's name.
pub(super) fn name_of(name: String) -> Result<String, Problem> {
    let fits = name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if fits { Ok(name) } else { Err(Problem::new(422, "that is no container's name: letters, digits, _ . and -")) }
}

/// Take the snapshot anew: what runs now is what is to run
#[utoipa::path(post, path = "/v1/snapshot", operation_id = "retake_snapshot", tag = "wanted",
    request_body(content = Object, description = "an empty object", content_type = "application/json"),
    responses(
    WriteRefusals,
    (status = 200, description = "it is taken, and kept", body = Taken),
    (status = 409, description = "an allow list is in force", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "no object", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "the engine or the disk does not take part", body = Problem, content_type = "application/problem+json",
        headers(("retry-after" = u32, description = "seconds"))),
), security((), ("token" = [])))]
pub(super) async fn retake(State(gateway): State<Gateway>, asker: Asker, body: Body) -> Result<Json<Taken>, Problem> {
    gateway.guard.access.write(&asker).await?;
    let _: serde_json::Map<String, serde_json::Value> = json(&asker.headers, body).await?;
    let (answer, answered) = oneshot::channel();
    gateway.shared.marks.leave(|left| left.retake.push(answer));
    match answered.await {
        Ok(Ok(containers)) => Ok(Json(Taken { containers })),
        Ok(Err(error @ Retake::NotHere)) => Err(Problem::new(409, error.to_string())),
        Ok(Err(error)) => Err(Problem::new(503, error.to_string())),
        Err(_) => Err(Problem::new(503, "the orchestrator is stopping")),
    }
}

/// Replace the allow list
///
/// It is kept, and counts until the setting is changed.
#[utoipa::path(put, path = "/v1/allow", operation_id = "put_allow_list", tag = "wanted", request_body = AllowView, responses(
    WriteRefusals,
    (status = 200, description = "it is kept, and in force", body = AllowView),
    (status = 409, description = "the snapshot is in force: start it with a list", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "JSON of another shape, or an entry that is no pattern", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn allow(
    State(gateway): State<Gateway>,
    asker: Asker,
    body: Body,
) -> Result<Json<AllowView>, Problem> {
    gateway.guard.access.write(&asker).await?;
    let AllowView { allow } = json(&asker.headers, body).await?;
    let list = AllowList::parse(allow.iter().take(MAX_ENTRIES + 1).map(String::as_str));
    let list = list.map_err(|why| Problem::new(422, why))?;
    if allow.len() > MAX_ENTRIES {
        return Err(Problem::new(422, format!("a list may have at most {MAX_ENTRIES} entries")));
    }
    let Some(setting) = gateway.setting.clone() else {
        return Err(Problem::new(409, "the snapshot is in force; --allow (ALLOW) starts with a list instead"));
    };
    gateway.store.keep_allow_list(&list, &setting).await.map_err(|error| unavailable(&error))?;
    gateway.shared.marks.leave(|left| left.reload = true);
    let mut picture = gateway.shared.picture.clone();
    // Answered once it is in force, or a newer one is.
    let in_force =
        picture.wait_for(|picture| matches!(&picture.desired.scope, Scope::Allow(current) if *current == list));
    drop(tokio::time::timeout(super::IN_FORCE_WITHIN, in_force).await);
    Ok(Json(AllowView { allow: list.entries() }))
}

/// Why something is to be held.
pub(super) async fn reason(asker: &Asker, body: Body) -> Result<String, Problem> {
    let HoldRequest { reason } = json(&asker.headers, body).await?;
    if reason.chars().count() > MAX_REASON {
        return Err(Problem::new(422, format!("a reason may have at most {MAX_REASON} characters")));
    }
    Ok(reason)
}

/// Leave a container alone, until that is taken back
///
/// Also one that is not there, or not any more. It outlives a restart of the orchestrator.
#[utoipa::path(post, path = "/v1/containers/{name}/hold", operation_id = "hold_container", tag = "containers", request_body = HoldRequest,
    params(("name" = String, Path, description = "the container's name")), responses(
    WriteRefusals,
    (status = 200, description = "nothing more is begun to it", body = HoldView),
    (status = 404, description = "no such path", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "JSON of another shape, or no container's name", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn hold(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    asker: Asker,
    body: Body,
) -> Result<Json<HoldView>, Problem> {
    gateway.guard.access.write(&asker).await?;
    let name = name_of(name)?;
    let reason = reason(&asker, body).await?;
    let hold = Hold { reason, since: Utc::now().timestamp() };
    gateway.store.hold(&name, &hold).await.map_err(|error| unavailable(&error))?;
    gateway.changed(&name, true).await;
    drop(gateway.shared.events.send(Event::now("held", &name, None, hold.reason.clone())));
    tracing::info!(container = %name, why = %hold.reason, "held");
    Ok(Json(HoldView { reason: hold.reason, since: time(hold.since) }))
}

/// Look after a container again
#[utoipa::path(delete, path = "/v1/containers/{name}/hold", operation_id = "release_container", tag = "containers",
    params(("name" = String, Path, description = "the container's name")), responses(
    Refusals,
    (status = 204, description = "it is looked after again"),
    (status = 404, description = "it is not held", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "no container's name", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn release(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    asker: Asker,
) -> Result<StatusCode, Problem> {
    gateway.guard.access.write(&asker).await?;
    let name = name_of(name)?;
    if !gateway.store.release(&name).await.map_err(|error| unavailable(&error))? {
        return Err(Problem::new(404, format!("{name} is not held")));
    }
    gateway.changed(&name, false).await;
    drop(gateway.shared.events.send(Event::now("released", &name, None, "")));
    tracing::info!(container = %name, "released");
    Ok(StatusCode::NO_CONTENT)
}
