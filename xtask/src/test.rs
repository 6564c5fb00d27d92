//! The test command: everything there is, from formatting to real AWS clients.

use anyhow::Result;

use crate::stages::{Stages, cargo, run};
use crate::{bench, black_box, check};

pub(crate) fn test(stages: &mut Stages) -> Result<()> {
    check::check(stages)?;
    black_box::prepare(stages)?;
    stages.run("building the tests", |root| {
        run(cargo(root).args(["test", "--quiet", "--locked", "--workspace", "--no-run"]))
    })?;
    stages.run("unit, property, conformance and simulation tests", |root| {
        run(cargo(root).args(["test", "--locked", "--workspace"]).envs(black_box::environment(root)))
    })?;
    stages.run("models of what threads share", |root| {
        let models = ["--package", "millstream-log", "--features", "loom", "--lib", "models::"];
        run(cargo(root).args(["test", "--quiet", "--locked"]).args(models))
    })?;
    bench::guard(stages)?;
    black_box::run_tests(stages, &[])
}
