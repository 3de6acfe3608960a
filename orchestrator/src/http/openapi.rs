//! The description of the HTTP interface, made from the code that answers.

use axum::Json;
use upbeat_service::openapi as service;
pub(super) use upbeat_service::openapi::Bearer;
use utoipa::OpenApi;

use super::{events, logs, read, tokens, write};

/// Every route of the orchestrator.
#[derive(OpenApi)]
#[openapi(
    info(title = "Upbeat orchestrator", description = "Keeps the containers of a Docker host as they are wanted."),
    paths(
        read::inventory, read::containers, read::plan, read::snapshot, write::retake, read::allow, write::allow,
        events::stream, logs::logs, write::hold, write::release, tokens::make, tokens::list, tokens::forget, service::health, service::ready, openapi
    ),
    modifiers(&Bearer),
)]
struct Interface;

/// Every route of a node that goes by a server's orders.
#[derive(OpenApi)]
#[openapi(
    info(title = "Upbeat orchestrator: a node", description = "Keeps a node's containers as its cluster's server says."),
    paths(read::inventory, read::containers, read::plan, logs::logs),
    modifiers(&Bearer),
)]
struct NodeInterface;

/// What every interface of ours has, besides.
#[derive(OpenApi)]
#[openapi(paths(events::stream, service::health, service::ready, openapi))]
struct Common;

/// These routes, and those that every interface has.
pub(super) fn common(interface: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    interface.merge_from(Common::openapi())
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "service", responses((status = 200, description = "the description", body = Object)))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Interface::openapi())
}

/// A node's.
pub(super) async fn node_openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(common(NodeInterface::openapi()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The operations of this description that have an id which another has too.
    pub(in crate::http) fn repeated(description: &utoipa::openapi::OpenApi) -> Vec<String> {
        let description = serde_json::to_value(description).unwrap();
        let methods = description["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap());
        let ids = methods.map(|(_, operation)| operation["operationId"].as_str().unwrap().to_owned());
        let mut known = BTreeSet::new();
        ids.filter(|id| !known.insert(id.clone())).collect()
    }

    #[test]
    fn no_two_operations_of_a_host_or_a_node_have_the_same_id() {
        for description in [Interface::openapi(), common(NodeInterface::openapi())] {
            assert_eq!(repeated(&description), [""; 0]);
        }
    }
}
