//! The stored figures: what this machine class needed when they were last written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::guard::Load;
use crate::record::Figures;

/// The figures of every profile, in the repository.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Which machine the figures are of, for people.
    pub machine: String,
    /// By stage; `--release` only.
    pub stages: BTreeMap<String, Figures>,
    /// What the guard compares with, by profile: `dev` is the gate's.
    pub guard: BTreeMap<String, Load>,
}

/// The name of the profile that this program was built with.
pub const PROFILE: &str = if cfg!(debug_assertions) { "dev" } else { "release" };

impl Baseline {
    fn path() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
    }

    #[expect(clippy::disallowed_methods, reason = "a file of the repository, no data of the product")]
    pub fn read() -> anyhow::Result<Self> {
        let path = Self::path();
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    #[expect(clippy::disallowed_methods, reason = "a file of the repository, no data of the product")]
    pub fn write(&self) -> anyhow::Result<()> {
        let path = Self::path();
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    }
}

/// The processor's name and number of threads.
#[expect(clippy::disallowed_methods, reason = "the kernel's description of the machine")]
pub fn machine() -> String {
    let text = std::fs::read("/proc/cpuinfo").unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {threads} threads", name.unwrap_or("unknown processor"))
}
