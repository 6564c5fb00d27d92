//! What a nosy function finds: nothing of the host, of the server or of other functions.
//!
//! The same probes run as root and, in a process of its own, as a user without rights.
#![expect(clippy::disallowed_methods, reason = "tests make the files that functions must not read")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use common::{Fixture, text};
use millstream_runtime::{Isolation, Options, Runtime, StartError};

/// Tries everything and returns what worked.
const PROBE: &str = r#"
import ctypes, os, urllib.request

def attempt(name, action, found):
    try:
        action()
        found.append(name)
    except OSError:
        pass

def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)

def environs():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if pid != str(os.getpid()):
            with open("/proc/%s/environ" % pid, "rb") as file:
                if b"AWS_SECRET_ACCESS_KEY" in file.read():
                    return
    raise OSError

def others():
    # The init of the namespace and this process are there.
    if len([pid for pid in os.listdir("/proc") if pid.isdigit()]) <= 2:
        raise OSError

def handler(event, context):
    found = []
    attempt("shadow", lambda: open("/etc/shadow").read(), found)
    attempt("data", lambda: open(event["data"]).read(), found)
    attempt("other code", lambda: open(event["other"]).read(), found)
    attempt("own code", lambda: open(os.environ["LAMBDA_TASK_ROOT"] + "/new", "w"), found)
    attempt("usr", lambda: open("/usr/new", "w"), found)
    attempt("environ", environs, found)
    attempt("processes", others, found)
    attempt("mount", lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None), found)
    attempt("user namespace", lambda: call("unshare", 0x10000000), found)
    attempt("ptrace", lambda: call("ptrace", 0, 0, 0, 0), found)
    attempt("setuid", lambda: os.setuid(0), found)
    attempt("kill", lambda: os.kill(event["server"], 0), found)
    attempt("runtime api", lambda: urllib.request.urlopen("http://%s/2018-06-01/ping" % event["api"]).read(), found)
    if os.getuid() == 0:
        found.append("root")
    with open(os.environ.get("TMPDIR", "/tmp") + "/own", "w") as file:
        file.write("works")
    return found
"#;

const OTHER: &str = "import os\ndef handler(event, context):\n    return os.environ['AWS_LAMBDA_RUNTIME_API']\n";

/// Expects to find only these. Without root all environments have one user, whose connections cannot be told apart: there
/// the Runtime API of others is reachable by who guesses its port.
async fn probe(isolation: Isolation, expected: &[&str]) {
    let mut expected = expected.to_vec();
    if !rustix::process::getuid().is_root() {
        expected.push("runtime api");
    }
    let fixture = Fixture::with(|options| options.isolation = isolation).await;
    let report = fixture.runtime.isolation();
    assert!(report.usable, "{report:?}");
    let data = fixture.folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(data.join("secret"), "secret").unwrap();
    // Another environment is alive meanwhile, with credentials in its variables.
    let other = Arc::new(fixture.python(OTHER));
    let api = text(&fixture.invoke(&other, "0").await);
    let event = format!(
        r#"{{"data": "{}/secret", "other": "{}/app.py", "api": {api}, "server": {}}}"#,
        data.display(),
        other.code_directory.display(),
        std::process::id()
    );
    let spec = Arc::new(fixture.python(PROBE));
    let report = fixture.invoke(&spec, &event).await;
    let list: Vec<_> = expected.iter().map(|name| format!("\"{name}\"")).collect();
    assert_eq!(text(&report), format!("[{}]", list.join(", ")), "log: {}", fixture.logs.text());
    fixture.stop().await;
}

#[tokio::test]
async fn namespaces_hide_everything() {
    probe(Isolation::Auto, &[]).await;
}

#[tokio::test]
async fn landlock_alone_hides_everything_but_the_list_of_processes() {
    probe(Isolation::Landlock, &["processes"]).await;
}

#[tokio::test]
async fn without_isolation_functions_run_only_for_a_normal_user() {
    let folder = tempfile::tempdir().unwrap();
    if rustix::process::getuid().is_root() {
        let parts = (Arc::new(common::Issuer::default()), Arc::new(common::Lines::default()));
        let tasks = millstream_env::Tasks::new();
        let mut options = Options::new(folder.path().join("run"), parts.0, parts.1, tasks);
        options.isolation = Isolation::None;
        assert!(matches!(Runtime::start(options).await, Err(StartError::NoIsolationAsRoot)));
        return;
    }
    let fixture = Fixture::with(|options| options.isolation = Isolation::None).await;
    let spec = Arc::new(fixture.python("def handler(event, context):\n    return event\n"));
    fixture.check(&spec, "[1]", "[1]").await;
    fixture.stop().await;
}

/// Runs the tests above again as a user without rights.
#[test]
fn it_holds_for_a_server_of_a_normal_user() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    common::open_to_all(folder.path());
    // The build folder may be closed to others: the programs are copied.
    let copy = |from: &std::path::Path, name: &str| {
        let to = folder.path().join(name);
        fs::copy(from, &to).unwrap();
        common::open_to_all(&to);
        to
    };
    let test = copy(&std::env::current_exe().unwrap(), "test");
    let launcher = copy(env!("CARGO_BIN_EXE_millstream-launcher").as_ref(), "launcher");
    for name in [
        "namespaces_hide_everything",
        "landlock_alone_hides_everything_but_the_list_of_processes",
        "without_isolation_functions_run_only_for_a_normal_user",
    ] {
        let output = Command::new(&test)
            .args([name, "--exact", "--nocapture"])
            .env("MILLSTREAM_TEST_LAUNCHER", &launcher)
            .env("HOME", "/nonexistent")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/")
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }
}

/// The part of a server that is killed, in a process of its own: runs a function that leaves a process behind it.
#[tokio::test]
#[ignore = "run by the test below"]
async fn a_server_to_be_killed() {
    let fixture = Fixture::new().await;
    let marker = std::env::var("MILLSTREAM_TEST_MARKER").unwrap();
    let code = format!(
        "import subprocess, time\ndef handler(event, context):\n    subprocess.Popen(['/bin/sleep', '{marker}'], \
         start_new_session=True)\n    return 1\n"
    );
    let spec = Arc::new(fixture.python(&code));
    fixture.check(&spec, "0", "1").await;
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn nothing_of_a_function_outlives_the_server() {
    // As seconds to sleep it is found in no other process's arguments.
    let marker = (1_000_000_000 + u64::from(std::process::id())).to_string();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["a_server_to_be_killed", "--exact", "--ignored", "--nocapture"])
        .env("MILLSTREAM_TEST_MARKER", &marker)
        .output()
        .unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{output:?}");
    let clock = millstream_env::HostClock::real();
    // The kernel needs a moment for the tree.
    while is_running(&marker) {
        assert!(clock.monotonic() < std::time::Duration::from_secs(10), "a process outlives the server");
        std::thread::yield_now();
    }
}

fn is_running(argument: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let arguments = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
    arguments.into_iter().any(|text| text.split('\0').any(|word| word == argument))
}
