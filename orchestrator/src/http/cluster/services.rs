//! Services: what is wanted.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;

use super::super::Problem;
use super::super::access::Asker;
use super::super::body::json;
use super::super::path::Path;
use super::super::refusals::{Refusals, WriteRefusals};
use super::super::views::HoldRequest;
use super::super::write::reason;
use super::ClusterGateway;
use super::views::{PutView, ScaleRequest, ServiceView, service};
use crate::cluster::commands::{Put, live};
use crate::cluster::model::Service;
use crate::cluster::request::ServiceRequest;
use crate::cluster::state::Name;
use crate::cluster::template;
use crate::store::Hold;

/// All services
#[utoipa::path(get, path = "/v1/services", operation_id = "list_services", tag = "services", responses(
    (status = 200, description = "in the order of their names", body = Vec<ServiceView>),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn list(
    State(gateway): State<ClusterGateway>,
    asker: Asker,
) -> Result<Json<Vec<ServiceView>>, Problem> {
    gateway.guard.access.read(&asker).await?;
    let all = gateway.server.read(|view| {
        let services = view.cluster.services.iter();
        services.map(|(name, entry)| service(view, name, entry)).collect()
    });
    Ok(Json(all.await?))
}

/// One service
#[utoipa::path(get, path = "/v1/services/{name}", operation_id = "get_service", tag = "services",
    params(("name" = String, Path, description = "the service's name")), responses(
    (status = 200, description = "the service; its revision is in `ETag` too", body = ServiceView),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn one(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<Name>,
    asker: Asker,
) -> Result<Response, Problem> {
    gateway.guard.access.read(&asker).await?;
    let found = gateway.server.read(move |view| live(view, &name).map(|entry| service(view, &name, entry))).await??;
    let tag = format!("\"{}\"", found.revision);
    Ok(([(header::ETAG, tag)], Json(found)).into_response())
}

/// Have a service be as this says
///
/// New, or instead of the one of that name; replicas that are made of something else are replaced one after the other.
/// With `If-Match: "revision"` only if it is of that revision, with `If-None-Match: *` only if there is none.
#[utoipa::path(put, path = "/v1/services/{name}", operation_id = "put_service", tag = "services", request_body = ServiceRequest,
    params(
        ("name" = String, Path, description = "the service's name, as in the body"),
        ("If-Match" = Option<String>, Header, description = "the revision that it must be of, such as `\"7\"`"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: there must be none"),
    ), responses(
    (status = 200, description = "it is kept", body = PutView),
    (status = 412, description = "it is of another revision by now", body = Problem, content_type = "application/problem+json"),
    WriteRefusals,
), security((), ("token" = [])))]
pub(super) async fn put(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<String>,
    asker: Asker,
    body: Body,
) -> Result<Json<PutView>, Problem> {
    gateway.guard.access.write(&asker).await?;
    let wanted = asked(&asker, body).await?;
    if wanted.name != name {
        return Err(Problem::new(422, format!("name: the path says {name}, the body {}", wanted.name)));
    }
    let only = only(&asker.headers)?;
    let replicas = wanted.replicas;
    let (result, revision) = gateway.server.put_service(wanted, only).await?;
    Ok(Json(PutView { service: name, revision, replicas, result }))
}

/// Have a service that there is not yet
#[utoipa::path(post, path = "/create", operation_id = "create_service", tag = "services", request_body = ServiceRequest, responses(
    (status = 202, description = "it is kept, and begun", body = PutView),
    (status = 200, description = "it is there already, the same", body = PutView),
    (status = 409, description = "there is another one of that name", body = Problem, content_type = "application/problem+json"),
    WriteRefusals,
), security((), ("token" = [])))]
pub(super) async fn create(
    State(gateway): State<ClusterGateway>,
    asker: Asker,
    body: Body,
) -> Result<Response, Problem> {
    gateway.guard.access.write(&asker).await?;
    let wanted = asked(&asker, body).await?;
    let (service, replicas) = (wanted.name.clone(), wanted.replicas);
    let (result, revision) = gateway.server.create_service(wanted).await?;
    let status = if result == Put::Unchanged { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(PutView { service, revision, replicas, result })).into_response())
}

/// Have so many replicas
#[utoipa::path(post, path = "/v1/services/{name}/scale", operation_id = "scale_service", tag = "services", request_body = ScaleRequest,
    params(("name" = String, Path, description = "the service's name")), responses(
    (status = 200, description = "it is kept", body = PutView),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    WriteRefusals,
), security((), ("token" = [])))]
pub(super) async fn scale(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<String>,
    asker: Asker,
    body: Body,
) -> Result<Json<PutView>, Problem> {
    gateway.guard.access.write(&asker).await?;
    let ScaleRequest { replicas } = json(&asker.headers, body).await?;
    if replicas > template::MOST_REPLICAS {
        return Err(Problem::new(422, format!("replicas: 0 to {}", template::MOST_REPLICAS)));
    }
    let revision = gateway.server.scale(&name, replicas).await?;
    Ok(Json(PutView { service: name, revision, replicas, result: Put::Updated }))
}

/// Replace all replicas, one after the other
#[utoipa::path(post, path = "/v1/services/{name}/restart", operation_id = "restart_service", tag = "services",
    request_body(content = Object, description = "an empty object", content_type = "application/json"),
    params(("name" = String, Path, description = "the service's name")), responses(
    (status = 202, description = "it has begun"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    WriteRefusals,
), security((), ("token" = [])))]
pub(super) async fn restart(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<String>,
    asker: Asker,
    body: Body,
) -> Result<StatusCode, Problem> {
    gateway.guard.access.write(&asker).await?;
    let _: serde_json::Map<String, serde_json::Value> = json(&asker.headers, body).await?;
    gateway.server.restart(&name).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Leave a service alone, until that is taken back
#[utoipa::path(post, path = "/v1/services/{name}/hold", operation_id = "hold_service", tag = "services", request_body = HoldRequest,
    params(("name" = String, Path, description = "the service's name")), responses(
    (status = 204, description = "nothing more is begun to it"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    WriteRefusals,
), security((), ("token" = [])))]
pub(super) async fn hold(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<String>,
    asker: Asker,
    body: Body,
) -> Result<StatusCode, Problem> {
    gateway.guard.access.write(&asker).await?;
    let reason = reason(&asker, body).await?;
    gateway.server.hold(&name, Some(Hold { reason, since: Utc::now().timestamp() })).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Look after a service again
#[utoipa::path(delete, path = "/v1/services/{name}/hold", operation_id = "release_service", tag = "services",
    params(("name" = String, Path, description = "the service's name")), responses(
    (status = 204, description = "it is looked after"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn release(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<String>,
    asker: Asker,
) -> Result<StatusCode, Problem> {
    gateway.guard.access.write(&asker).await?;
    gateway.server.hold(&name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a service
///
/// It is gone once its last replica has; those of a node that is lost once that is back, or taken out.
#[utoipa::path(delete, path = "/v1/services/{name}", operation_id = "remove_service", tag = "services",
    params(("name" = String, Path, description = "the service's name")), responses(
    (status = 202, description = "it goes"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    Refusals,
), security((), ("token" = [])))]
pub(super) async fn remove(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<String>,
    asker: Asker,
) -> Result<StatusCode, Problem> {
    gateway.guard.access.write(&asker).await?;
    gateway.server.remove_service(&name).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn asked(asker: &Asker, body: Body) -> Result<Service, Problem> {
    let request: ServiceRequest = json(&asker.headers, body).await?;
    template::service(request).map_err(|error| Problem::new(422, error.to_string()))
}

/// The revision that it must be of.
fn only(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    let bad = |header, good| Problem::new(400, format!("{header}: {good} will do"));
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(None),
        (None, Some("*")) => Ok(Some(0)),
        (Some(tag), None) => {
            let revision = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')?.parse().ok());
            // 0 would mean that there is none.
            let revision = revision.filter(|revision| *revision > 0);
            revision.map(Some).ok_or_else(|| bad("If-Match", "a revision such as \"7\""))
        }
        (None, Some(_)) => Err(bad("If-None-Match", "*")),
        (Some(_), Some(_)) => Err(bad("If-Match and If-None-Match", "one of them")),
    }
}
