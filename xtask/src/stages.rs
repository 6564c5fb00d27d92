//! Runs the stages of a command one after the other and says how long each took.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The stages run so far and their times.
pub(crate) struct Stages {
    pub(crate) root: PathBuf,
    done: Vec<(String, Duration)>,
    started: Instant,
}

impl Stages {
    pub(crate) fn new() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run this through `cargo xtask`")?;
        let root = Path::new(&manifest).parent().context("xtask lies inside the workspace")?.to_owned();
        Ok(Self { root, done: Vec::new(), started: Instant::now() })
    }

    /// Runs one stage; its failure ends the command.
    pub(crate) fn run(&mut self, name: &str, stage: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        say(&format!("== {name}"));
        let started = Instant::now();
        stage(&self.root).with_context(|| format!("stage `{name}` failed"))?;
        self.done.push((name.to_owned(), started.elapsed()));
        Ok(())
    }

    /// Prints the time of each stage.
    pub(crate) fn report(&self) {
        say("== time per stage");
        for (name, time) in &self.done {
            say(&format!("{:>7.1} s  {name}", time.as_secs_f64()));
        }
        say(&format!("{:>7.1} s  in all", self.started.elapsed().as_secs_f64()));
    }
}

/// A cargo call in the workspace, with the same cargo that runs this program.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Runs a command to its end; a status other than zero is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "xtask is a command line program")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
