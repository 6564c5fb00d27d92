//! The static part of the test command: formatting, generated code, the code map, licences, lints, documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::codegen;
use crate::stages::{Stages, cargo, run};

pub(crate) fn check(stages: &mut Stages) -> Result<()> {
    stages.run("formatting", |root| run(cargo(root).args(["fmt", "--all", "--check"])))?;
    stages.run("generated code", |_| codegen::run(codegen::Mode::Check))?;
    stages.run("code map", code_map)?;
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

/// `ARCHITECTURE.md` has a row for each crate.
fn code_map(root: &Path) -> Result<()> {
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).context("reading ARCHITECTURE.md")?;
    let mut crates = BTreeSet::new();
    for entry in fs::read_dir(root.join("crates")).context("listing crates")? {
        crates.insert(format!("crates/{}", entry?.file_name().to_string_lossy()));
    }
    compare(&text, &crates)
}

fn compare(architecture: &str, crates: &BTreeSet<String>) -> Result<()> {
    let mut mapped = BTreeSet::new();
    for row in architecture.lines().filter_map(|line| line.strip_prefix("| `crates/")) {
        let name = format!("crates/{}", row.split('`').next().unwrap_or_default());
        ensure!(mapped.insert(name.clone()), "the code map of ARCHITECTURE.md has {name} twice");
    }
    let missing: Vec<_> = crates.difference(&mapped).collect();
    ensure!(missing.is_empty(), "the code map of ARCHITECTURE.md lacks {missing:?}");
    let gone: Vec<_> = mapped.difference(crates).collect();
    ensure!(gone.is_empty(), "the code map of ARCHITECTURE.md has {gone:?}, which are not there");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_has_one_row() {
        let crates = BTreeSet::from(["crates/a".to_owned(), "crates/b".to_owned()]);
        let (a, b, c) = ("| `crates/a` | x |\n", "| `crates/b` | y of `crates/a` |\n", "| `crates/c` | z |\n");
        assert!(compare(&format!("{a}{b}| `xtask` | |"), &crates).is_ok());
        for (rows, wanted) in
            [([a, ""].concat(), "lacks"), ([a, b, a].concat(), "twice"), ([a, b, c].concat(), "not there")]
        {
            let error = compare(&rows, &crates).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
