//! Records what AWS's own Node.js client does, for the test that compares our bootstrap with it.
//!
//! Apart from the other tests because npm builds the client from source, libcurl included. The cases and the recorder are the
//! test's own (`crates/runtime/tests/node_client`): it writes the transcripts rather than comparing when it is told where
//! AWS's client is.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::black_box::{same_content, target};
use crate::stages::{Stages, cargo, run, say};

const SOURCE: &str = "crates/runtime/tests/node_client";

/// What the build of the client calls, and the Debian packages that have it.
const TOOLS: &[(&str, &str)] = &[
    ("npm", "npm"),
    ("node", "nodejs"),
    ("python3", "python3"),
    ("g++", "g++"),
    ("make", "make"),
    ("cmake", "cmake"),
    ("autoreconf", "autoconf"),
    ("automake", "automake"),
    ("libtoolize", "libtool"),
];

/// Installs the pinned client under `target/node-client` and writes `transcripts.json`.
pub(crate) fn record(stages: &mut Stages) -> Result<()> {
    stages.run("AWS's Node.js client", prepare)?;
    stages.run("recording", |root| {
        run(cargo(root)
            .args(["test", "--locked", "--package", "millstream-runtime", "--test", "node_client"])
            .env("MILLSTREAM_RECORD_NODE_CLIENT", target(root).join("node-client")))
    })?;
    say(&format!("written: {SOURCE}/transcripts.json"));
    Ok(())
}

fn prepare(root: &Path) -> Result<()> {
    let (folder, source) = (target(root).join("node-client"), root.join(SOURCE).join("client"));
    if same_content(&folder.join("installed.json"), &source.join("package-lock.json")) {
        return Ok(());
    }
    let missing: Vec<&str> = TOOLS.iter().filter(|(tool, _)| !is_there(tool)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        bail!("the client is built from source, for which tools are missing: apt-get install {}", missing.join(" "));
    }
    say("building the client (pinned version, takes a minute or more)");
    std::fs::create_dir_all(&folder)?;
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), folder.join(name)).with_context(|| name.to_owned())?;
    }
    run(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    if !folder.join("node_modules/aws-lambda-ric/dist/rapid-client.node").is_file() {
        bail!("npm has installed the client without building it: allow its install scripts");
    }
    std::fs::copy(source.join("package-lock.json"), folder.join("installed.json"))?;
    Ok(())
}

fn is_there(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}
