//! What the stages of a record's way cost: the benchmark, and the guard of the test command.

use anyhow::Result;

use crate::stages::{Stages, cargo, run};

const PACKAGE: [&str; 4] = ["--quiet", "--locked", "--package", "millstream-stages"];

/// Measures with optimisations, against the stored baseline; `arguments` as `millstream-stages` takes them.
pub(crate) fn bench(stages: &mut Stages, arguments: &[String]) -> Result<()> {
    stages.run("benchmark of the stages", |root| {
        run(cargo(root).args(["run", "--release"]).args(PACKAGE).arg("--").args(arguments))
    })
}

/// A short load in the profile of the tests, and its bounds.
pub(crate) fn guard(stages: &mut Stages) -> Result<()> {
    stages.run("guard: CPU per GiB, write amplification", |root| {
        run(cargo(root).arg("run").args(PACKAGE).args(["--", "--guard"]))
    })
}
