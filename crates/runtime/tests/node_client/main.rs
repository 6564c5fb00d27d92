//! Our Node.js bootstrap against transcripts of AWS's own client, `aws-lambda-ric`.
//!
//! One table of cases serves both: `cargo xtask record-node` runs them through AWS's client (a native build of minutes) and
//! writes `transcripts.json`; the test runs them through our bootstrap and demands the same requests, log events and exit.
//! Both talk to the same recording Runtime API, with nothing else around them. [`differences`] lists what is meant to differ.
#![expect(clippy::disallowed_methods, reason = "tests write the files of functions")]

mod api;
mod cases;
mod client;
mod differences;
mod normal;
mod transcript;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cases::Case;
use client::Client;
use transcript::Transcript;

/// Names the folder with AWS's client: then the transcripts are written rather than compared.
const RECORD: &str = "MILLSTREAM_RECORD_NODE_CLIENT";

/// Transcripts are recorded with this version.
const RECORDED_NODE: u32 = 20;

/// Clients at once.
const WORKERS: usize = 4;

#[test]
fn our_node_bootstrap_does_what_awss_client_does() {
    let mut cases = cases::all();
    let version = client::node_version();
    if let Some(folder) = std::env::var_os(RECORD) {
        assert_eq!(version, Some(RECORDED_NODE), "transcripts are recorded with this version of Node.js");
        let recorded = run_all(&cases, &Client::aws(Path::new(&folder)));
        let text = serde_json::to_string_pretty(&recorded).unwrap();
        std::fs::write(transcripts(), text + "\n").unwrap();
        return;
    }
    if version.is_none() {
        assert!(std::env::var_os("MILLSTREAM_TEST_BINARY").is_none(), "no node on the PATH");
        return;
    }
    let text = std::fs::read_to_string(transcripts()).unwrap();
    let mut expected: BTreeMap<String, Transcript> = serde_json::from_str(&text).unwrap();
    if version != Some(RECORDED_NODE) {
        cases.retain(|case| !case.is_of_recorded_node || expected.remove(case.name).is_none());
    }
    let unused = differences::apply(&mut expected);
    assert!(unused.is_empty(), "differences that change no transcript: {unused:?}");
    let ours = run_all(&cases, &Client::ours());
    let names = |runs: &BTreeMap<String, Transcript>| runs.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&expected), "cases without a transcript or the reverse: cargo xtask record-node");
    let different = ours.iter().filter(|(name, run)| expected[*name] != **run).map(|(name, run)| {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        format!("{name}: {}\n{}\n{}", case.handler, case.code(), transcript::difference(&expected[name], run))
    });
    let different: Vec<_> = different.collect();
    assert!(different.is_empty(), "{} of {} differ\n\n{}", different.len(), ours.len(), different.join("\n"));
}

fn transcripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node_client/transcripts.json")
}

fn run_all(cases: &[Case], client: &Client) -> BTreeMap<String, Transcript> {
    let (next, runs) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let run = client.run(case);
                    assert!(
                        runs.lock().unwrap().insert(case.name.to_owned(), run).is_none(),
                        "two cases are named {}",
                        case.name
                    );
                }
            });
        }
    });
    runs.into_inner().unwrap()
}
