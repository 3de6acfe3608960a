//! `/v1/tokens`: who may do what.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::access::{Asker, unavailable};
use super::body::json;
use super::path::Path;
use super::refusals::{Refusals, WriteRefusals};
use super::{Guard, Problem};
use crate::credentials::{Forgotten, MAX_TOKENS, Role, new_token};
use crate::picture::time;

/// The most characters of a token's name.
const MAX_NAME: usize = 63;

/// A token that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRequest {
    /// What it is called: letters, digits, _ . and -, 63 at most.
    name: String,
    /// What its bearer may do.
    role: Role,
}

/// A token, without the token itself.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenView {
    /// What it is called.
    name: String,
    /// What its bearer may do.
    role: Role,
    /// When it was made.
    made: String,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct NewToken {
    /// The token itself, which is told this once.
    token: String,
    #[serde(flatten)]
    view: TokenView,
}

/// Make a token
///
/// It is told this once: only its hash is kept.
#[utoipa::path(post, path = "/v1/tokens", operation_id = "make_token", tag = "access", request_body = TokenRequest, responses(
    WriteRefusals,
    (status = 201, description = "it counts from now on", body = NewToken),
    (status = 409, description = "there is one of that name, or too many", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "JSON of another shape, or no name", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn make(State(guard): State<Guard>, asker: Asker, body: Body) -> Result<Response, Problem> {
    guard.access.admin(&asker).await?;
    let TokenRequest { name, role } = json(&asker.headers, body).await?;
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !fits {
        return Err(Problem::new(422, format!("a name has letters, digits, _ . and -, {MAX_NAME} at most")));
    }
    if guard.credentials.tokens().await.map_err(|error| unavailable(&error))?.len() >= MAX_TOKENS {
        return Err(Problem::new(409, format!("there are {MAX_TOKENS} tokens; delete one")));
    }
    let made = Utc::now().timestamp();
    let (token, kept) = new_token(&name, role, made).map_err(|error| Problem::new(503, format!("{error:#}")))?;
    if !guard.credentials.keep_token(&kept).await.map_err(|error| unavailable(&error))? {
        return Err(Problem::new(409, format!("there is a token called {name}")));
    }
    tracing::info!(%name, %role, "token made");
    let new = NewToken { token, view: TokenView { name, role, made: time(made) } };
    Ok((StatusCode::CREATED, [("cache-control", "no-store")], Json(new)).into_response())
}

/// The tokens by name, without the tokens themselves
#[utoipa::path(get, path = "/v1/tokens", operation_id = "list_tokens", tag = "access", responses(
    Refusals,
    (status = 200, description = "the tokens", body = Vec<TokenView>),
), security((), ("token" = [])))]
pub(super) async fn list(State(guard): State<Guard>, asker: Asker) -> Result<Json<Vec<TokenView>>, Problem> {
    guard.access.admin(&asker).await?;
    let tokens = guard.credentials.tokens().await.map_err(|error| unavailable(&error))?;
    let view =
        |token: crate::credentials::Token| TokenView { name: token.name, role: token.role, made: time(token.made) };
    Ok(Json(tokens.into_iter().map(view).collect()))
}

/// Take a token back
#[utoipa::path(delete, path = "/v1/tokens/{name}", operation_id = "forget_token", tag = "access",
    params(("name" = String, Path, description = "the token's name")), responses(
    Refusals,
    (status = 204, description = "it counts no more"),
    (status = 404, description = "there is none of that name", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "it is the last one of role admin", body = Problem, content_type = "application/problem+json"),
), security((), ("token" = [])))]
pub(super) async fn forget(
    State(guard): State<Guard>,
    Path(name): Path<String>,
    asker: Asker,
) -> Result<StatusCode, Problem> {
    guard.access.admin(&asker).await?;
    match guard.credentials.forget_token(&name).await.map_err(|error| unavailable(&error))? {
        Forgotten::Done => {
            tracing::info!(%name, "token taken back");
            Ok(StatusCode::NO_CONTENT)
        }
        Forgotten::Missing => Err(Problem::new(404, "there is no token of that name")),
        Forgotten::LastAdmin => Err(Problem::new(409, "it is the last one of role admin; make another one first")),
    }
}
