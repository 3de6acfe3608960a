//! Where the binaries are, and that they are fresh.

use std::collections::BTreeMap;
use std::env::{current_exe, var_os, vars_os};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Mutex;

/// A folder, from the repository's own if relative, with the binaries to test, which are then not built: such as
/// `target/release`, for benches, and where a build has just been made.
pub const BINARIES_VARIABLE: &str = "UPBEAT_TEST_BINARIES";

/// A build from nothing, with others building at the same time.
const BUILT_WITHIN: Duration = Duration::from_mins(15);

/// The path of the binary `name`, built by the package `upbeat-NAME` before its first use in this process, in the
/// profile and target folder of the calling test (by Cargo itself, where the test is of that package). A name with a
/// slash is a path already.
pub async fn binary(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::const_new(BTreeMap::new());
    if name.contains('/') {
        return name.into();
    }
    if let Some(folder) = var_os(BINARIES_VARIABLE).filter(|folder| !folder.is_empty()) {
        return Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join(name);
    }
    // Cargo has built the binaries of the package whose test this is.
    if let Some(path) = var_os(format!("CARGO_BIN_EXE_{name}")) {
        return path.into();
    }
    let mut built = BUILT.lock().await;
    if let Some(path) = built.get(name) {
        return path.clone();
    }
    let folder = profile_folder();
    build(name, &folder).await;
    built.insert(name.to_owned(), folder.join(name));
    folder.join(name)
}

/// `target/debug` or the like. Tests and benches run in its `deps`, examples in its `examples`, binaries in itself.
fn profile_folder() -> PathBuf {
    let executable = current_exe().expect("a process can read where its executable is");
    let folder = executable.parent().expect("an executable is in a folder");
    let is_below = folder.ends_with("deps") || folder.ends_with("examples");
    if is_below { folder.parent().expect("deps is in a folder") } else { folder }.to_owned()
}

async fn build(name: &str, folder: &Path) {
    let (Some(target), Some(profile)) = (folder.parent(), folder.file_name().and_then(|name| name.to_str())) else {
        panic!("{} is no target/PROFILE; set {BINARIES_VARIABLE}", folder.display());
    };
    let mut command = Command::new(var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (variable, _) in vars_os().filter(|(variable, _)| variable.to_str().is_some_and(is_of_the_calling_package)) {
        // Build scripts that read them would run anew, and everything after them be built anew, each time.
        command.env_remove(variable);
    }
    command.args(["build", "--quiet", "--bin", name, "--package", &format!("upbeat-{name}")]);
    command.args(["--profile", if profile == "debug" { "dev" } else { profile }]).arg("--target-dir").arg(target);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).kill_on_drop(true);
    let built = tokio::time::timeout(BUILT_WITHIN, command.output()).await;
    let built = built.unwrap_or_else(|_| panic!("{name} was not built within {BUILT_WITHIN:?}"));
    let built = built.unwrap_or_else(|error| panic!("cannot run cargo to build {name}: {error}"));
    let report = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "cannot build {name} ({}):\n{report}", built.status);
}

/// Whether cargo has set this variable for the package whose test is running, rather than somebody for cargo.
fn is_of_the_calling_package(variable: &str) -> bool {
    let one =
        ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_CRATE_NAME", "CARGO_BIN_NAME", "CARGO_TARGET_TMPDIR"];
    one.contains(&variable)
        || ["OUT_DIR", "CARGO_PRIMARY_PACKAGE"].contains(&variable)
        || variable.starts_with("CARGO_PKG_")
        || variable.starts_with("CARGO_BIN_EXE_")
}
