//! A package's examples, run as a reader of them would.

use std::collections::BTreeSet;
use std::env::{current_exe, var_os, vars_os};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Each takes a few seconds at most.
const LIMIT: Duration = Duration::from_mins(1);

/// The examples of one package; a test has it as a `static`.
#[derive(Debug)]
pub struct Examples {
    manifest_folder: &'static str,
    package: &'static str,
    built: OnceLock<PathBuf>,
}

impl Examples {
    /// Those of the package whose `CARGO_MANIFEST_DIR` and `CARGO_PKG_NAME` these are.
    #[must_use]
    pub const fn of(manifest_folder: &'static str, package: &'static str) -> Self {
        Self { manifest_folder, package, built: OnceLock::new() }
    }

    /// The names of all there are.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let files = std::fs::read_dir(Path::new(self.manifest_folder).join("examples")).unwrap();
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    /// What an example prints on standard output, once it has ended well.
    #[must_use]
    pub fn output(&self, example: &str) -> Vec<String> {
        let program = self.built.get_or_init(|| self.build()).join(example);
        let mut child = Command::new(&program).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if started.elapsed() > LIMIT {
                child.kill().unwrap();
                panic!("{example} does not end");
            }
            thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example}: {}\n{text}\n{errors}", output.status);
        text.lines().map(str::to_owned).collect()
    }

    /// Cargo builds examples before it runs all tests, but not before it runs one test alone. Returns where they are.
    fn build(&self) -> PathBuf {
        let profile = current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let name = match profile.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            name => name,
        };
        let mut cargo = Command::new(var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // What cargo tells a test of its package would have dependencies that read it built anew.
        for (variable, _) in vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_BIN_EXE_")
        }) {
            cargo.env_remove(variable);
        }
        cargo.args(["build", "--quiet", "--examples", "--package", self.package, "--profile", name, "--target-dir"]);
        let built = cargo.arg(profile.parent().unwrap()).current_dir(self.manifest_folder).status();
        assert!(built.unwrap().success());
        profile.join("examples")
    }
}
