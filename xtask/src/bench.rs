//! What the stages of a record's way cost: the benchmark, and the guard of the test command.

use std::process::Command;

use anyhow::Result;

use crate::black_box::target;
use crate::stages::{Stages, cargo, run};

/// Measures with optimisations, against the stored baseline; `arguments` as `millstream-stages` takes them.
pub(crate) fn bench(stages: &mut Stages, arguments: &[String]) -> Result<()> {
    stages.run("benchmark of the stages", |root| {
        let release = ["run", "--release", "--quiet", "--locked", "--package", "millstream-stages", "--"];
        run(cargo(root).args(release).args(arguments))
    })
}

/// A short load in the profile of the tests, which have built the program, and its bounds.
pub(crate) fn guard(stages: &mut Stages) -> Result<()> {
    stages.run("guard: CPU per GiB, write amplification", |root| {
        run(Command::new(target(root).join("debug/millstream-stages")).arg("--guard"))
    })
}
