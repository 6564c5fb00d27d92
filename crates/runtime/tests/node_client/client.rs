//! A client of the Runtime API as a process, and what is left of its run.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::api::{Notice, Recorder};
use crate::cases::Case;
use crate::normal::Names;
use crate::transcript::Transcript;

/// A run that takes longer is broken.
const RUN_TIME_MAX: Duration = Duration::from_mins(2);

/// Starts AWS's client as the managed runtime does; its own command line prints a line of its own.
const AWS_START: &str = "import { run } from 'aws-lambda-ric';\n\
                         await run(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);\n";

/// Which program runs the handlers.
#[derive(Debug)]
pub(crate) struct Client {
    script: PathBuf,
    /// Stack frames of this folder are the client's own.
    folder: PathBuf,
    log: LogForm,
}

/// How a client keeps log events of several lines whole.
#[derive(Clone, Copy, Debug)]
enum LogForm {
    /// Binary frames on a descriptor of their own.
    Descriptor,
    /// A mark before them on the standard output.
    Marked,
}

impl Client {
    /// The bootstrap that the runtime embeds.
    pub(crate) fn ours() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bootstraps");
        Self { script: folder.join("bootstrap.mjs"), folder, log: LogForm::Marked }
    }

    /// AWS's client out of a folder with `node_modules`.
    pub(crate) fn aws(folder: &Path) -> Self {
        let script = folder.join("start.mjs");
        fs::write(&script, AWS_START).unwrap();
        Self { script, folder: folder.to_owned(), log: LogForm::Descriptor }
    }

    /// Runs a case until the client waits for an event that does not come, or ends.
    pub(crate) fn run(&self, case: &Case) -> Transcript {
        let folder = tempfile::tempdir().unwrap();
        let task = write_code(&folder, case);
        let outputs = ["stdout", "stderr", "frames"].map(|name| folder.path().join(name));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = self.command(case, &task, &outputs);
        command.env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string());
        let (sender, notices) = mpsc::channel();
        let recorder = Recorder::new(case, sender.clone());
        let end = std::thread::scope(|scope| {
            scope.spawn(|| recorder.serve(scope, &listener));
            let mut child = command.spawn().unwrap();
            let pid = Pid::from_child(&child);
            scope.spawn(move || sender.send(Notice::Ended(child.wait().unwrap())));
            let notice = notices.recv_timeout(RUN_TIME_MAX);
            if !matches!(notice, Ok(Notice::Ended(_))) {
                let _ = kill_process(pid, Signal::KILL);
            }
            recorder.close(&listener);
            match notice {
                Ok(Notice::WaitsForEvent) => "waits for an event".to_owned(),
                Ok(Notice::Ended(status)) => status.to_string(),
                Err(_) => "neither ends nor waits for an event".to_owned(),
            }
        });
        let [stdout, stderr, frames] = outputs.map(|file| fs::read(file).unwrap_or_default());
        let (log, stdout) = match self.log {
            LogForm::Descriptor => (frame_texts(&frames), stdout),
            LogForm::Marked => split_marked(&stdout),
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let run = Transcript { requests: recorder.requests(), log, stdout: text(stdout), stderr: text(stderr), end };
        Names { task: &task, client: &self.folder }.normalise(run)
    }

    /// The shell only opens the third descriptor.
    fn command(&self, case: &Case, task: &Path, outputs: &[PathBuf; 3]) -> Command {
        let [stdout, stderr, frames] = outputs;
        let mut command = Command::new("sh");
        command.args(["-c", "exec node \"$0\" 3>\"$FRAMES\""]).arg(&self.script);
        command.current_dir(task).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("FRAMES", frames).env("LAMBDA_TASK_ROOT", task).env("_HANDLER", case.handler);
        for (name, value) in [
            ("TZ", ":UTC"),
            ("LANG", "en_US.UTF-8"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_nodejs20.x"),
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ] {
            command.env(name, value);
        }
        if let LogForm::Descriptor = self.log {
            command.env("_LAMBDA_TELEMETRY_LOG_FD", "3");
        }
        command.stdin(Stdio::null());
        command.stdout(File::create(stdout).unwrap()).stderr(File::create(stderr).unwrap());
        command
    }
}

/// The version of the Node.js on the path, e.g. 20, if there is one.
pub(crate) fn node_version() -> Option<u32> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn write_code(folder: &TempDir, case: &Case) -> PathBuf {
    let task = folder.path().canonicalize().unwrap().join("task");
    fs::create_dir(&task).unwrap();
    for (name, text) in case.files.iter().chain([&case.main]) {
        let file = task.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    task
}

/// Texts of frames: four bytes of kind, length, eight bytes of time, text.
fn frame_texts(mut frames: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((head, rest)) = frames.split_first_chunk::<16>() {
        let length = u32::from_be_bytes(head[4..8].try_into().unwrap()) as usize;
        texts.push(String::from_utf8_lossy(&rest[..length]).into_owned());
        frames = &rest[length..];
    }
    texts
}

/// Log events, and what else is in an output: events begin with a time or stand after a mark.
fn split_marked(mut output: &[u8]) -> (Vec<String>, Vec<u8>) {
    let (mut events, mut rest) = (Vec::new(), Vec::new());
    while !output.is_empty() {
        let line_end = output.iter().position(|byte| *byte == b'\n').map_or(output.len(), |end| end + 1);
        let (line, after) = output.split_at(line_end);
        output = after;
        let text = String::from_utf8_lossy(line).into_owned();
        if let Some(length) = text.strip_prefix("\u{1e}millstream ") {
            let (event, after) = output.split_at(length.trim_end().parse().unwrap());
            output = after;
            events.push(String::from_utf8_lossy(event).into_owned());
        } else if text.as_bytes().get(23) == Some(&b'Z') && text.as_bytes()[24] == b'\t' {
            events.push(text);
        } else {
            rest.extend_from_slice(line);
        }
    }
    (events, rest)
}
