//! `GET /v1/logs/{name}` of a server: asked of the replica's engine, where the server asks that itself, or of its agent.

use axum::extract::State;
use axum::response::Response;
use tokio::time::timeout;

use super::super::Problem;
use super::super::access::Asker;
use super::super::logs::{Asked, LIMIT, Tail, lines, plain, printed};
use super::super::path::Path;
use super::super::refusals::Refusals;
use super::super::write::name_of;
use super::ClusterGateway;
use crate::cluster::model::Reach;
use crate::cluster::server::View;
use crate::cluster::sight::Standing;
use crate::cluster::tails::Printed;

/// Where a replica is.
enum Place {
    Nowhere,
    Lost(String),
    Agents(String),
    Engine(String),
}

/// The last lines that a replica printed
///
/// As it printed them, on both its outputs, at most 1 MiB; nothing is taken out of them, and so `--public-status` does not
/// open this.
#[utoipa::path(get, path = "/v1/logs/{name}", tag = "status",
    params(("name" = String, Path, description = "the replica's name: service.slot.epoch"), Tail), responses(
    Refusals,
    (status = 200, description = "the lines", content_type = "text/plain", body = String),
    (status = 400, description = "tail is 1 to 10000", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "there is none", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "no container's name, or its engine does not keep what it prints", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "too many ask", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn logs(
    State(gateway): State<ClusterGateway>,
    Path(name): Path<String>,
    tail: Asked,
    asker: Asker,
) -> Result<Response, Problem> {
    gateway.guard.access.read_private(&asker).await?;
    let (name, tail) = (name_of(name)?, lines(tail)?);
    let wanted = name.clone();
    match gateway.server.read(move |view| place(view, &wanted)).await? {
        Place::Nowhere => Err(Problem::new(404, format!("there is no replica {name}"))),
        Place::Lost(node) => Err(Problem::new(503, format!("{name} is on {node}, which is lost"))),
        Place::Agents(node) => of_agent(&gateway, &node, &name, tail).await,
        Place::Engine(address) => printed(&*(gateway.engines)(&address), &name, tail, &gateway.listeners).await,
    }
}

/// What the node's agent sends, if it does in time.
async fn of_agent(gateway: &ClusterGateway, node: &str, name: &str, lines: u32) -> Result<Response, Problem> {
    let asked = gateway.tails.ask(node, name, lines);
    let mut asked = asked.ok_or_else(|| Problem::new(429, "too many ask"))?;
    let answered = timeout(LIMIT, asked.printed()).await;
    match answered.map_err(|_| Problem::new(503, format!("the agent of {node} has not answered for {LIMIT:?}")))? {
        Printed::Text(text) => Ok(plain(text)),
        Printed::Missing(_) => Err(Problem::new(404, format!("there is no container {name} on {node} now"))),
        Printed::Unreachable(why) => Err(Problem::new(503, format!("{node}: {why}"))),
        Printed::Refused(why) => Err(Problem::new(422, why)),
    }
}

fn place(view: &View<'_>, name: &str) -> Place {
    let replica = view.cluster.slots.values().flatten().find(|replica| *replica.name == *name);
    let node = replica.and_then(|replica| view.cluster.nodes.get(&replica.node));
    node.map_or(Place::Nowhere, |node| match &node.reach {
        Reach::Agent if view.sight.standing(&node.name, view.now) == Standing::Lost => Place::Lost(node.name.clone()),
        Reach::Agent => Place::Agents(node.name.clone()),
        Reach::Engine(address) => Place::Engine(address.clone()),
    })
}
