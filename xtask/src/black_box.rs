//! The black-box tests: the built binary, driven by real AWS clients.
//!
//! Everything they need is prepared here with pinned versions, under `target/black-box`: a Python virtual environment
//! (boto3, the AWS CLI, the Python runtime client), an npm folder (AWS SDK for JavaScript v3) and the Rust SDK tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::compatibility;
use crate::stages::{Stages, cargo, run, say};

/// Runs the black-box tests on what [`prepare`] made; `arguments` go to pytest.
pub(crate) fn run_tests(stages: &mut Stages, arguments: &[String]) -> Result<()> {
    stages.run("black-box tests", |root| {
        compatibility::clear(root)?;
        let folder = root.join("tests/black_box");
        let mut pytest = Command::new(venv(root).join("bin/python"));
        pytest.args(["-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "--color=yes"]).args(arguments);
        pytest.current_dir(&folder).envs(environment(root));
        run(&mut pytest)
    })?;
    if arguments.is_empty() {
        stages.run("compatibility table", compatibility::check)?;
    }
    Ok(())
}

/// What the black-box tests and the runtime's differential test need to know.
pub(crate) fn environment(root: &Path) -> Vec<(&'static str, PathBuf)> {
    vec![
        ("MILLSTREAM_TEST_BINARY", target(root).join("debug/millstream")),
        ("MILLSTREAM_TEST_NODE_MODULES", modules(root).join("node_modules")),
        ("MILLSTREAM_TEST_RUST_CLIENT", rust_target(root).join("debug/rust-client")),
        ("MILLSTREAM_TEST_RUST_FAN_OUT", rust_target(root).join("debug/rust-fan-out")),
        ("MILLSTREAM_TEST_RUST_BOOTSTRAP", rust_target(root).join("debug/rust-bootstrap")),
        ("MILLSTREAM_TEST_RUST_RELAY", rust_target(root).join("debug/rust-relay")),
        ("MILLSTREAM_TEST_AWSLAMBDARIC_PYTHON", venv(root).join("bin/python")),
        ("MILLSTREAM_TEST_OPERATIONS_SEEN", compatibility::notes_folder(root)),
    ]
}

/// Makes the virtual environment, the npm folder and the Rust client; does nothing where they are there already.
pub(crate) fn prepare(stages: &mut Stages) -> Result<()> {
    stages.run("Python virtual environment", prepare_venv)?;
    stages.run("golden answers, read by botocore", |root| {
        run(Command::new(venv(root).join("bin/python"))
            .args(["xtask/codegen/transcripts.py", "check"])
            .current_dir(root))
    })?;
    stages.run("npm folder", prepare_npm)?;
    stages.run("Rust SDK client", |root| {
        run(cargo(root)
            .args(["build", "--quiet", "--locked", "--manifest-path", "tests/rust_client/Cargo.toml"])
            .arg("--target-dir")
            .arg(rust_target(root)))
    })?;
    stages.run("server binary", |root| run(cargo(root).args(["build", "--locked", "--package", "millstream-server"])))
}

fn prepare_venv(root: &Path) -> Result<()> {
    let (venv, requirements) = (venv(root), root.join("tests/black_box/requirements.txt"));
    let stamp = venv.join("requirements.txt");
    if same_content(&stamp, &requirements) {
        return Ok(());
    }
    say("making a virtual environment with the AWS CLI, boto3 and pytest (pinned versions)");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(venv.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements))?;
    std::fs::copy(&requirements, &stamp).context("stamp of the virtual environment")?;
    Ok(())
}

fn prepare_npm(root: &Path) -> Result<()> {
    let (folder, source) = (modules(root), root.join("tests/black_box/javascript"));
    if same_content(&folder.join("installed.json"), &source.join("package-lock.json")) {
        return Ok(());
    }
    say("installing the AWS SDK for JavaScript v3 (pinned versions)");
    std::fs::create_dir_all(&folder)?;
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), folder.join(name)).with_context(|| name.to_owned())?;
    }
    run(Command::new("npm").args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    std::fs::copy(source.join("package-lock.json"), folder.join("installed.json"))?;
    Ok(())
}

/// Whether both files are there and the same.
pub(crate) fn same_content(a: &Path, b: &Path) -> bool {
    matches!((std::fs::read(a), std::fs::read(b)), (Ok(a), Ok(b)) if a == b)
}

/// Cargo's build folder.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn venv(root: &Path) -> PathBuf {
    target(root).join("black-box/venv")
}

fn modules(root: &Path) -> PathBuf {
    target(root).join("black-box/javascript")
}

fn rust_target(root: &Path) -> PathBuf {
    target(root).join("black-box/rust")
}
