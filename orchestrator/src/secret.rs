//! Secrets: where they come from, how they are kept, and what is kept of those that others have.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// The SHA-256 of this, in hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// 256 bits that nobody can guess, in hex.
///
/// # Errors
/// If the system has none to give.
pub fn new() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The text of a file, if there is one. Blocks.
pub(crate) fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Has this in a file that only its owner may read, whole or not at all. Blocks.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = beside(path, text)?;
    std::fs::rename(&written, path).with_context(|| format!("cannot write {}", path.display()))
}

/// The same, unless there is one already: what is in it then. Two that start at once have the same. Blocks.
pub(crate) fn write_once(path: &Path, text: &str) -> anyhow::Result<String> {
    let written = beside(path, text)?;
    let linked = std::fs::hard_link(&written, path);
    drop(std::fs::remove_file(&written));
    match linked {
        Ok(()) => Ok(text.to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            read(path)?.with_context(|| format!("{} is gone again", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}

fn beside(path: &Path, text: &str) -> anyhow::Result<std::path::PathBuf> {
    let folder = path.parent().context("no folder")?;
    let shown = path.display();
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let written = path.with_extension(format!("{:016x}.new", fastrand::u64(..)));
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&written);
    let done = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    if done.is_err() {
        drop(std::fs::remove_file(&written));
    }
    done.with_context(|| format!("cannot write {shown}"))?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_everybody_and_secrets_differ() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let (one, two) = (new().unwrap(), new().unwrap());
        assert!(one != two && one.len() == 64, "{one} {two}");
    }

    #[test]
    fn what_is_written_once_stays_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert_eq!(write_once(&path, "one").unwrap(), "one");
        assert_eq!(write_once(&path, "two").unwrap(), "one");
        write(&path, "three").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("three"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
