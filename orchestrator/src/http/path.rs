//! What is named in a path.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Problem;

/// What a path names. One that is no text is refused as everything else is.
pub(super) struct Path<T>(pub(super) T);

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let axum::extract::Path(named) = axum::extract::Path::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::new(404, "no name is written so: it has to be UTF-8"))?;
        Ok(Self(named))
    }
}
