//! Where the service models come from: the pinned botocore release, installed or downloaded.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::read_json;

/// The release whose models are the source of the wire types.
pub(super) const BOTOCORE_VERSION: &str = "1.43.11";

/// botocore's `data` folder: the installed one when its version is right, else a download under `target/codegen`.
pub(super) fn data_folder(root: &Path) -> Result<PathBuf> {
    let probe = "import botocore; print(botocore.__version__); print(botocore.__path__[0])";
    if let Ok(output) = python(&["-c", probe]) {
        let text = String::from_utf8(output).context("python prints UTF-8")?;
        let mut lines = text.lines();
        if let (Some(BOTOCORE_VERSION), Some(path)) = (lines.next(), lines.next()) {
            return Ok(Path::new(path).join("data"));
        }
    }
    download(root)
}

/// Reads `<service>/<version>/service-2.json` below our own inputs where it is there, else the `.gz` below the data folder.
pub(super) fn read_model(own: &Path, data: &Path, model: &str) -> Result<Value> {
    let own = own.join(model).join("service-2.json");
    if own.exists() {
        return read_json(&own);
    }
    let file = data.join(model).join("service-2.json.gz");
    let program = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
    let text = python(&["-c", program, &file.to_string_lossy()])?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))
}

fn download(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/codegen").join(format!("botocore-{BOTOCORE_VERSION}"));
    let data = folder.join("botocore/data");
    if data.join("endpoints.json").exists() || data.join("endpoints.json.gz").exists() {
        return Ok(data);
    }
    let place = folder.to_string_lossy().into_owned();
    let requirement = format!("botocore=={BOTOCORE_VERSION}");
    python(&["-m", "pip", "download", "--quiet", "--no-deps", "--dest", &place, &requirement])?;
    let unzip = "import glob, sys, zipfile; \
                 [zipfile.ZipFile(wheel).extractall(sys.argv[1]) for wheel in glob.glob(sys.argv[1] + '/*.whl')]";
    python(&["-c", unzip, &place])?;
    Ok(data)
}

fn python(arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("python3").args(arguments).output().context("cannot run python3")?;
    ensure!(output.status.success(), "python3 failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
