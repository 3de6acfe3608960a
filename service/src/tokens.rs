//! Bearer tokens out of a file: who has one of them may do what the service guards with them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use axum::http::{HeaderMap, header};
use subtle::{Choice, ConstantTimeEq};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{info, warn};

/// How often it is looked whether the tokens have changed, at most.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The fewest characters of a token: one that can be guessed is none.
const MIN_TOKEN: usize = 16;

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

/// The token that a request bears, if it bears one.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// What a 401 says of the credentials that would do (RFC 6750, section 3).
#[must_use]
pub const fn challenge(has_token: bool) -> &'static str {
    if has_token { "Bearer realm=\"upbeat\", error=\"invalid_token\"" } else { "Bearer realm=\"upbeat\"" }
}

/// The tokens at one moment.
#[derive(Clone, Debug)]
struct Current(Arc<[String]>);

impl Current {
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

    /// Whether this is one of the tokens now. Takes as long for a wrong one as for a right one of the same length.
    pub async fn have(self: &Arc<Self>, token: &[u8]) -> bool {
        self.now().await.has(token)
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
                    warn!(error = %format_args!("{error:#}"), "no token counts any more");
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
