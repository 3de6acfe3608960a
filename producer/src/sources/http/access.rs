//! Who may publish by HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use axum::http::{HeaderMap, StatusCode, header};
use subtle::{Choice, ConstantTimeEq};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{info, warn};

use super::answer::Problem;

/// How often it is looked whether the tokens have changed, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The fewest characters of a token: one that can be guessed is none.
const MIN_TOKEN: usize = 16;

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

/// The tokens of a file, one a line, read again when it changes, so that they can be replaced one after the other.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    tokens: Arc<[String]>,
    stamp: Option<Stamp>,
    looked: Instant,
}

/// What a file's change is told by.
type Stamp = (SystemTime, u64);

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
                Some(token) if tokens.now().await.has(token) => Ok(()),
                Some(_) => Err(unauthorized("the token is not one of those that may publish", true)),
                None => Err(unauthorized("a token is needed: Authorization: Bearer …", false)),
            },
        }
    }
}

fn unauthorized(error: &str, has_token: bool) -> Problem {
    // RFC 6750, section 3.
    let challenge =
        if has_token { "Bearer realm=\"upbeat\", error=\"invalid_token\"" } else { "Bearer realm=\"upbeat\"" };
    Problem::new(StatusCode::UNAUTHORIZED, error).with_challenge(challenge)
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// The tokens at one moment.
#[derive(Clone, Debug)]
struct Current(Arc<[String]>);

impl Current {
    /// Takes as long for a wrong token as for a right one of the same length.
    fn has(&self, token: &[u8]) -> bool {
        let equal = |known: &String| known.as_bytes().ct_eq(token);
        self.0.iter().map(equal).fold(Choice::from(0), |any, this| any | this).into()
    }
}

impl Tokens {
    /// The tokens of this file. Blocks.
    ///
    /// # Errors
    /// If there is none.
    pub fn of_file(path: &Path) -> anyhow::Result<Self> {
        let (stamp, tokens) = read(path)?;
        let known = Known { tokens, stamp: Some(stamp), looked: Instant::now() };
        Ok(Self { path: path.to_owned(), known: Mutex::new(known) })
    }

    async fn now(self: &Arc<Self>) -> Current {
        let is_due = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = known.looked.elapsed() >= LOOK_EVERY;
            if is_due {
                // Others go on with what is known while one looks.
                known.looked = Instant::now();
            }
            is_due
        };
        if is_due {
            let tokens = Arc::clone(self);
            // It ends by a panic only, and then the next look is as good.
            drop(spawn_blocking(move || tokens.look()).await);
        }
        Current(Arc::clone(&self.known.lock().unwrap_or_else(PoisonError::into_inner).tokens))
    }

    /// Reads the file if it has changed. Blocks.
    fn look(&self) {
        let stamp = stamp(&self.path).ok();
        let known_stamp = self.known.lock().unwrap_or_else(PoisonError::into_inner).stamp;
        if stamp.is_some() && stamp == known_stamp {
            return;
        }
        let (stamp, tokens) = match read(&self.path) {
            Ok((stamp, tokens)) => {
                info!(file = %self.path.display(), tokens = tokens.len(), "tokens read");
                (Some(stamp), tokens)
            }
            // Whoever takes the file away wants to keep somebody out.
            Err(error) => {
                if known_stamp.is_some() {
                    warn!(error = %format_args!("{error:#}"), "nobody may publish");
                }
                (None, Arc::default())
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        (known.stamp, known.tokens) = (stamp, tokens);
    }
}

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let file = path.metadata()?;
    Ok((file.modified()?, file.len()))
}

fn read(path: &Path) -> anyhow::Result<(Stamp, Arc<[String]>)> {
    let shown = path.display();
    // The stamp first: a change between the two is then seen at the next look.
    let stamp = stamp(path).with_context(|| format!("{shown}: cannot be read"))?;
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown}: cannot be read"))?;
    let tokens: Arc<[_]> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    ensure!(!tokens.is_empty(), "{shown}: no token in it; give one a line");
    for (token, number) in tokens.iter().zip(1..) {
        let fits = token.len() >= MIN_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(
            fits,
            "{shown}: token {number} is not {MIN_TOKEN} or more letters, digits or punctuation marks of ASCII"
        );
    }
    Ok((stamp, tokens))
}

#[cfg(test)]
mod tests {
    use std::fs;

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
