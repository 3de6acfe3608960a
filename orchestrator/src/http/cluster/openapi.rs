//! The description of a server's HTTP interface, made from the code that answers.

use utoipa::OpenApi;

use super::super::openapi::{Bearer, common};
use super::super::{join, tokens};
use super::{logs, nodes, servers, services, status};

#[derive(OpenApi)]
#[openapi(
    info(title = "Upbeat orchestrator", description = "Keeps services running on several Docker hosts."),
    paths(
        status::status, status::inventory, status::replicas, status::plan, logs::logs, services::list, services::one, services::put,
        services::remove, services::create, services::scale, services::restart, services::hold, services::release,
        nodes::list, nodes::one, nodes::add, nodes::remove, nodes::drain, nodes::cordon, nodes::uncordon,
        tokens::make, tokens::list, tokens::forget
    ),
    modifiers(&Bearer),
)]
struct Interface;

/// With the routes by which hosts become nodes, and those of one of several servers, if there are any.
pub(super) fn described(joining: bool, several: bool) -> utoipa::openapi::OpenApi {
    let all = common(Interface::openapi());
    let all = if joining { all.merge_from(join::Interface::openapi()) } else { all };
    if several { all.merge_from(servers::Interface::openapi()) } else { all }
}

#[cfg(test)]
mod tests {
    use super::super::super::openapi::tests::repeated;
    use super::*;

    #[test]
    fn no_two_operations_of_a_server_have_the_same_id() {
        assert_eq!(repeated(&described(true, true)), [""; 0]);
    }
}
