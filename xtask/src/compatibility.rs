//! `docs/compatibility.md`: which operation which AWS client was seen to call, and what differs from AWS.
//!
//! The black-box tests note what their servers answered (`tests/black_box/operations_seen.py`). The texts around the
//! tables are in `xtask/compatibility/notes.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::stages::say;

const CLIENTS: [&str; 4] = ["boto3", "AWS CLI", "JavaScript v3", "Rust"];
const TABLE: &str = "docs/compatibility.md";

#[derive(Deserialize)]
struct Notes {
    introduction: Vec<String>,
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    title: String,
    text: Vec<String>,
    operations: BTreeMap<String, String>,
    /// All operations of a service whose types are not generated.
    #[serde(default)]
    served: Vec<String>,
}

#[derive(Deserialize)]
struct Generated {
    operations: Vec<String>,
}

/// By service and operation, then by client: protocols.
type Seen = BTreeMap<(String, String), BTreeMap<String, BTreeSet<String>>>;

/// Where the tests leave their notes.
pub(crate) fn notes_folder(root: &Path) -> PathBuf {
    root.join("target/black-box/operations-seen")
}

/// Takes the notes of earlier runs away.
pub(crate) fn clear(root: &Path) -> Result<()> {
    match std::fs::remove_dir_all(notes_folder(root)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("old notes of the tests"),
        _ => Ok(()),
    }
}

/// Compares the table with what a whole run of the tests saw. Where they differ, the table is written anew and the run
/// fails, so that the change is looked at and committed.
pub(crate) fn check(root: &Path) -> Result<()> {
    let wanted = table(root)?;
    let path = root.join(TABLE);
    if std::fs::read_to_string(&path).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    std::fs::write(&path, wanted).context(TABLE)?;
    say(&format!("{TABLE} was not what the tests saw; it is now. Look at the difference and commit it."));
    bail!("{TABLE} was out of date")
}

fn table(root: &Path) -> Result<String> {
    let notes: Notes = read(&root.join("xtask/compatibility/notes.json"))?;
    let generated: BTreeMap<String, Generated> = read(&root.join("xtask/codegen/operations.json"))?;
    let seen = seen(root)?;
    let mut text = "# Compatibility\n\n".to_owned();
    text += "<!-- Made by `cargo xtask test`; the texts are in `xtask/compatibility/notes.json`. -->\n\n";
    writeln!(text, "{}", notes.introduction.join("\n"))?;
    for (name, service) in ["kinesis", "lambda", "sqs", "sns", "s3", "iam", "sts", "logs", "monitoring", "millstream"]
        .iter()
        .filter_map(|n| notes.services.get_key_value(*n))
    {
        let operations = generated.get(name).map_or(&service.served, |generated| &generated.operations);
        if operations.is_empty() {
            bail!("no operations of {name}");
        }
        writeln!(text, "\n## {}\n", service.title)?;
        if !service.text.is_empty() {
            writeln!(text, "{}\n", service.text.join("\n"))?;
        }
        if let Some(unknown) = service.operations.keys().find(|operation| !operations.contains(operation)) {
            bail!("the notes name {unknown}, which {name} does not have");
        }
        writeln!(text, "| operation | {} | notes |", CLIENTS.join(" | "))?;
        writeln!(text, "|---|{}---|", "---|".repeat(CLIENTS.len()))?;
        for operation in operations {
            let by_client = seen.get(&(name.clone(), operation.clone()));
            let cell = |client: &&str| {
                let protocols = by_client.and_then(|clients| clients.get(*client));
                protocols.map_or(String::new(), |all| all.iter().cloned().collect::<Vec<_>>().join("; "))
            };
            let cells: Vec<String> = CLIENTS.iter().map(cell).collect();
            let note = service.operations.get(operation).map_or("", String::as_str);
            writeln!(text, "| {operation} | {} | {note} |", cells.join(" | "))?;
        }
    }
    Ok(text)
}

fn seen(root: &Path) -> Result<Seen> {
    let mut seen = Seen::new();
    for entry in std::fs::read_dir(notes_folder(root)).context("the tests left no notes; run all of them")? {
        let calls: Vec<(String, String, String, String, String)> = read(&entry?.path())?;
        for (service, operation, protocol, http, client) in calls {
            let clients = seen.entry((service, operation)).or_default();
            clients.entry(client).or_default().insert(format!("{protocol}, {http}"));
        }
    }
    Ok(seen)
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}
