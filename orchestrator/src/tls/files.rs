//! A certificate that others have made, and make anew from time to time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

use super::{certificates, private_key};

/// How often it is looked whether the files have changed, at most.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// A certificate that is not our own authority's, as files of PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate, and what leads from it to what clients trust.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Files {
    fn written(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| path.metadata().and_then(|file| file.modified()).ok())
    }

    /// Blocks.
    fn load(&self) -> anyhow::Result<CertifiedKey> {
        let chain = certificates(&self.certificate)?;
        let key = private_key(&self.key)?;
        CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
            .with_context(|| format!("{} and {} do not fit", self.certificate.display(), self.key.display()))
    }
}

/// What is in the files, so far as it fits together.
#[derive(Debug)]
pub(super) struct Others {
    files: Files,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    shown: Arc<CertifiedKey>,
    /// When the files were last written to; what can't be told differs from all that can.
    written: [Option<SystemTime>; 2],
    looked: Instant,
}

impl Others {
    /// Blocks.
    pub(super) fn new(files: Files) -> anyhow::Result<Self> {
        // First: a change meanwhile is then seen at the next look.
        let written = files.written();
        let shown = Arc::new(files.load()?);
        Ok(Self { files, known: Mutex::new(Known { shown, written, looked: Instant::now() }) })
    }

    /// What is to be shown now. Blocks for as long as two small files take to be read, once a minute at most.
    pub(super) fn shown(&self) -> Arc<CertifiedKey> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.looked.elapsed() >= LOOK_EVERY {
            known.looked = Instant::now();
            self.look(&mut known);
        }
        Arc::clone(&known.shown)
    }

    fn look(&self, known: &mut Known) {
        let written = self.files.written();
        if written == known.written {
            return;
        }
        match self.files.load() {
            Ok(next) => {
                (known.shown, known.written) = (Arc::new(next), written);
                info!(file = %self.files.certificate.display(), "certificate read again");
            }
            // One of them is new and the other is not yet, as a rule.
            Err(error) => warn!(error = %format_args!("{error:#}"), "the last certificate is still shown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_certificate_is_shown_when_it_and_its_key_are_there_and_the_last_one_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        let files = Files { certificate, key };
        let minutes = |n: u64| SystemTime::now() + Duration::from_mins(n);
        let put = |path: &PathBuf, text: &str, at: SystemTime| {
            std::fs::write(path, text).unwrap();
            std::fs::File::options().append(true).open(path).unwrap().set_modified(at).unwrap();
        };
        let new = || {
            let key = rcgen::KeyPair::generate().unwrap();
            let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
            (own.pem(), key.serialize_pem())
        };
        let (one, two) = (new(), new());
        put(&files.certificate, &one.0, minutes(0));
        put(&files.key, &one.1, minutes(0));
        let others = Others::new(files.clone()).unwrap();
        let first = others.shown();
        let look = || {
            others.look(&mut others.known.lock().unwrap());
            others.shown()
        };
        assert!(Arc::ptr_eq(&look(), &first));
        put(&files.certificate, &two.0, minutes(1));
        assert!(Arc::ptr_eq(&look(), &first), "its key is not there yet");
        put(&files.key, &two.1, minutes(1));
        let second = look();
        assert_ne!(second.cert, first.cert);
        assert!(Arc::ptr_eq(&look(), &second));
    }
}
