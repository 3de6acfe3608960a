//! What tests with engines of their own want of the machine, and leave on it: nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::time::Duration;

/// Longer than an engine takes for anything, the machine being busy.
pub(crate) const SOON: Duration = Duration::from_mins(2);

/// The image that there is.
pub(crate) const IMAGE: &str = "tiny:1";

/// Runs until it is told to stop, and then does so at once.
pub(crate) const STEADY: &str = "trap 'exit 0' TERM; sleep 100000 & wait";

/// A shell and a few programs of this machine, with the libraries that they need, as an image.
pub(crate) const MAKE_IMAGE: &str = r#"
set -e
mkdir -p "$1/bin" "$1/tmp"
for program in sh sleep cat; do cp -L "$(command -v $program)" "$1/bin/"; done
ldd "$1"/bin/* | grep -o '/[^ :]*' | sort -u | while read -r library; do
  case $library in "$1"*) continue ;; esac
  mkdir -p "$1${library%/*}" && cp -L "$library" "$1$library"
done
tar -C "$1" -c . | docker import - tiny:1
"#;

/// Whether this machine can run engines, once that is known: what can't be is not waited for again and again.
#[derive(Debug)]
pub(crate) struct Verdict(Mutex<Option<Result<(), String>>>);

impl Verdict {
    pub(crate) const fn unknown() -> Self {
        Self(Mutex::new(None))
    }

    /// What was started; `None`, which is said, where nothing can be.
    pub(crate) async fn on<T>(&self, start: impl Future<Output = Result<T, String>>) -> Option<T> {
        let known = self.0.lock().unwrap().clone();
        let started = match &known {
            Some(Err(why)) => Err(why.clone()),
            _ => start.await,
        };
        match started {
            Ok(started) => {
                *self.0.lock().unwrap() = Some(Ok(()));
                Some(started)
            }
            Err(why) => {
                assert!(known != Some(Ok(())), "an engine could be started before: {why}");
                println!("SKIPPED: no Docker engine of our own, {why}");
                *self.0.lock().unwrap() = Some(Err(why));
                None
            }
        }
    }
}

/// Why this machine can run no engine, if that can be seen.
pub(crate) fn lacks(programs: &[&str]) -> Result<(), String> {
    // Whose this is, we are.
    if fs::metadata("/proc/self").map_err(|error| error.to_string())?.uid() != 0 {
        return Err("only root can".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    match programs.iter().find(|program| !std::env::split_paths(&path).any(|folder| folder.join(program).is_file())) {
        Some(program) => Err(format!("{program} is not there")),
        None => Ok(()),
    }
}
