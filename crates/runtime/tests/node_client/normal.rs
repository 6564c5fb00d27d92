//! Takes out of a run what differs from machine to machine: folders, times, and the client's own stack frames.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::transcript::Transcript;

/// Where functions find their code on AWS.
const TASK: &str = "/var/task";

/// Scripts of a client all go by the name of AWS's.
const CLIENT: &str = "/var/runtime/index.mjs";

/// Longer texts are stored by their start and a checksum.
const TEXT_BYTES_MAX: usize = 4096;

const XRAY_CAUSE: &str = "lambda-runtime-function-xray-error-cause";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// The folders of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) task: &'a Path,
    pub(crate) client: &'a Path,
}

impl Names<'_> {
    pub(crate) fn normalise(self, mut run: Transcript) -> Transcript {
        for request in &mut run.requests {
            request.body = self.text(&request.body);
            if let Some(document) = request.trailers.get_mut(ERROR_BODY) {
                *document = self.text(&decoded(document));
            }
            for (name, value) in &mut request.headers {
                *value = if name == XRAY_CAUSE { self.cause(value) } else { self.text(value) };
            }
        }
        run.log = run.log.iter().map(|event| self.text(&without_time(event))).collect();
        run.stdout = self.text(&run.stdout);
        run.stderr = self.text(&run.stderr);
        run
    }

    fn text(self, text: &str) -> String {
        let text = self.folders(text);
        // Frames stand in lines of their own, or in lists of JSON.
        let is_own = |line: &&str| line.contains(TASK) || !line.trim_start_matches(' ').starts_with("at ");
        let lines = text.split_inclusive('\n').filter(is_own);
        shortened(without_process_id(&without_client_elements(&lines.collect::<String>())))
    }

    fn folders(self, text: &str) -> String {
        let text = text.replace(self.task.to_str().unwrap(), TASK);
        let client = self.client.to_str().unwrap();
        let mut parts = text.split(client);
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(".mjs").map_or(0, |end| end + ".mjs".len());
            result += CLIENT;
            result += &part[end..];
        }
        result
    }

    /// Keeps of a cause for X-Ray what is the function's.
    fn cause(self, text: &str) -> String {
        let Ok(mut cause) = serde_json::from_str::<BTreeMap<String, Value>>(&self.folders(text)) else {
            return text.to_owned();
        };
        let is_own = |path: &Value| path.as_str().is_some_and(|path| path.contains(TASK));
        if let Some(Value::Array(paths)) = cause.get_mut("paths") {
            paths.retain(is_own);
        }
        if let Some(stack) = cause.get_mut("exceptions").and_then(|list| list[0]["stack"].as_array_mut()) {
            // The client takes the scheme of a module's URL for a path.
            stack.retain(|frame| is_own(&frame["path"]));
        }
        serde_json::to_string(&cause).unwrap()
    }
}

/// `"    at …"` in lists of JSON, with the comma before.
fn without_client_elements(text: &str) -> String {
    let mut parts = text.split(",\"    at ");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escaped = |at: &usize| part[..*at].ends_with('\\');
        let end = part.match_indices('"').map(|(at, _)| at).find(|at| !escaped(at)).unwrap_or(part.len());
        if part[..end].contains(TASK) {
            result += ",\"    at ";
            result += part;
        } else {
            result += part.get(end + 1..).unwrap_or_default();
        }
    }
    result
}

/// A log event without the time at its start, if it has one.
fn without_time(event: &str) -> String {
    match event.split_once('\t') {
        Some((time, rest)) if time.len() == 24 && time.ends_with('Z') => rest.to_owned(),
        _ => event.to_owned(),
    }
}

/// Warnings of Node.js name the process.
fn without_process_id(text: &str) -> String {
    match text.split_once("(node:") {
        Some((before, after)) if after.starts_with(|digit: char| digit.is_ascii_digit()) => {
            let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
            format!("{before}(node:1{after}")
        }
        _ => text.to_owned(),
    }
}

/// A long text by its start, its length and a checksum (FNV-1a) of all of it.
fn shortened(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let step = |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    format!("{}… {} bytes, {sum:016x}", text.chars().take(40).collect::<String>(), text.len())
}

fn decoded(document: &str) -> String {
    let bytes = base64_simd::STANDARD.decode_to_vec(document).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
