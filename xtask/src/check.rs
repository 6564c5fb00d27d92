//! The static part of the test command: formatting, generated code, licences, lints, documentation.

use anyhow::Result;

use crate::codegen;
use crate::stages::{Stages, cargo, run};

pub(crate) fn check(stages: &mut Stages) -> Result<()> {
    stages.run("formatting", |root| run(cargo(root).args(["fmt", "--all", "--check"])))?;
    stages.run("generated code", |_| codegen::run(codegen::Mode::Check))?;
    stages.run("licences, bans, sources", crate::deny::check)?;
    stages.run("lints", |root| {
        run(cargo(root).args(["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    stages.run("documentation", |root| {
        let mut doc = cargo(root);
        doc.args(["doc", "--quiet", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
        // The documentation is for those who work on the code: it shows private items, so links to them are good.
        run(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))
    })
}
