//! Who may publish by HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use upbeat_service::tokens::{Tokens, bearer, challenge};

use super::answer::Problem;

/// Who may publish.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever can reach us.
    Open,
    /// Nobody: we can be reached from elsewhere, and nothing says who may.
    Closed,
    /// Whoever has one of these tokens.
    Tokens(Arc<Tokens>),
}

impl Access {
    /// By the settings: without any, whoever is on this machine may, since only they can reach a loopback address.
    ///
    /// # Errors
    /// If there is no token in the file.
    pub fn new(open: bool, token_file: Option<&Path>, listen: SocketAddr) -> anyhow::Result<Self> {
        match token_file {
            Some(path) => Ok(Self::Tokens(Arc::new(Tokens::of_file(path)?))),
            None if open || listen.ip().to_canonical().is_loopback() => Ok(Self::Open),
            None => Ok(Self::Closed),
        }
    }

    /// Whether a request with these headers may publish, or what to answer it.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match self {
            Self::Open => Ok(()),
            Self::Closed => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "closed, since it can be reached from other machines; --token-file (TOKEN_FILE) opens it to who has a \
                 token, --open (OPEN) to all",
            )),
            Self::Tokens(tokens) => match bearer(headers) {
                Some(token) if tokens.have(token).await => Ok(()),
                Some(_) => Err(unauthorized("the token is not one of those that may publish", true)),
                None => Err(unauthorized("a token is needed: Authorization: Bearer …", false)),
            },
        }
    }
}

fn unauthorized(error: &str, has_token: bool) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, error).with_challenge(challenge(has_token))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use axum::http::header;
    use upbeat_service::tokens::LOOK_EVERY;

    use super::*;

    const ONE: &str = "one-0123456789abcdef";
    const TWO: &str = "two-0123456789abcdef";

    async fn status(access: &Access, authorization: Option<&str>) -> Option<StatusCode> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        access.check(&headers).await.err().map(|problem| problem.status)
    }

    #[tokio::test]
    async fn without_a_token_file_it_is_open_on_loopback_only() {
        for (open, listen, expected) in [
            (false, "127.0.0.1:5000", None),
            (false, "127.9.9.9:5000", None),
            (false, "[::1]:5000", None),
            (false, "[::ffff:127.0.0.1]:5000", None),
            (false, "0.0.0.0:5000", Some(StatusCode::FORBIDDEN)),
            (false, "[::]:5000", Some(StatusCode::FORBIDDEN)),
            (false, "192.168.0.1:5000", Some(StatusCode::FORBIDDEN)),
            (true, "0.0.0.0:5000", None),
        ] {
            let access = Access::new(open, None, listen.parse().unwrap()).unwrap();
            assert_eq!(status(&access, None).await, expected, "{listen}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_read_again_when_the_file_changes_and_nobody_may_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, format!("{ONE}\n\n")).unwrap();
        let access = Access::new(false, Some(&path), "127.0.0.1:5000".parse().unwrap()).unwrap();
        let bearer = |token: &str| format!("Bearer {token}");
        let unauthorized = Some(StatusCode::UNAUTHORIZED);
        assert_eq!(status(&access, Some(&bearer(ONE))).await, None);
        assert_eq!(status(&access, Some(&format!("bearer {ONE}"))).await, None);
        for wrong in [bearer(TWO), bearer(""), bearer(&ONE[1..]), "Basic dTpw".to_owned(), ONE.to_owned()] {
            assert_eq!(status(&access, Some(&wrong)).await, unauthorized, "{wrong}");
        }
        assert_eq!(status(&access, None).await, unauthorized, "on loopback as well");

        fs::write(&path, format!("{ONE}\n{TWO}\n")).unwrap();
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(status(&access, Some(&bearer(TWO))).await, None);
        assert_eq!(status(&access, Some(&bearer(ONE))).await, None);
        fs::write(&path, TWO).unwrap();
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(status(&access, Some(&bearer(ONE))).await, unauthorized);
        fs::remove_file(&path).unwrap();
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(status(&access, Some(&bearer(TWO))).await, unauthorized);
        fs::write(&path, TWO).unwrap();
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(status(&access, Some(&bearer(TWO))).await, None);
    }

    #[test]
    fn a_file_without_a_good_token_is_refused_with_what_would_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (content, told) in [("\n", "one a line"), ("short", "16 or more"), ("0123456789 abcdefgh", "16 or more")] {
            fs::write(file.path(), content).unwrap();
            let why = Tokens::of_file(file.path()).unwrap_err().to_string();
            assert!(why.contains(told), "{why}");
            assert!(!why.contains("abcdefgh"), "a token is a secret: {why}");
        }
    }
}
