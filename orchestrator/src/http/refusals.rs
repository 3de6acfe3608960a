//! What any request may be answered instead, for `/openapi.json`.

use std::collections::BTreeMap;

use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::Problem;

const EVERY: [(&str, &str); 3] = [
    ("401", "a token is needed, or a certificate"),
    ("403", "closed, or the token's role is not enough"),
    ("503", "what is kept can't be read or written now, or is not known yet; `Retry-After` says when to try again"),
];

const WRITES: [(&str, &str); 4] = [
    ("400", "not JSON, or a header that can't be read"),
    ("413", "too large"),
    ("415", "not application/json"),
    ("422", "JSON of another shape, or with values that can't be; the detail says what would do"),
];

/// Of a request that may be refused.
pub(super) struct Refusals;

/// Of one with a body besides.
pub(super) struct WriteRefusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        EVERY.into_iter().map(problem).collect()
    }
}

impl IntoResponses for WriteRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        EVERY.into_iter().chain(WRITES).map(problem).collect()
    }
}

fn problem((status, description): (&str, &str)) -> (String, RefOr<Response>) {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    let response = ResponseBuilder::new().description(description).content("application/problem+json", content);
    (status.to_owned(), response.build().into())
}
