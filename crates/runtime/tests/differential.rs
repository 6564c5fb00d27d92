//! The same Python handlers through AWS's own runtime client and through ours: the same responses, errors and log lines.
//!
//! `MILLSTREAM_TEST_AWSLAMBDARIC_PYTHON` names a Python that has `awslambdaric`; the test command prepares one.

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use common::Fixture;
use millstream_runtime::{FunctionSpec, InvokeRequest, Outcome};

const VARIABLE: &str = "MILLSTREAM_TEST_AWSLAMBDARIC_PYTHON";

/// Starts AWS's client in place of our bootstrap: the arguments are the interpreter and our script.
const WRAPPER: &str = "#!/bin/sh\nPYTHONPATH=/opt exec \"$1\" -m awslambdaric \"$_HANDLER\"\n";

/// Name of the handler, its code, events. None shows a frame of the client itself in its trace: those differ by nature.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "app.handler",
        "def handler(event, context):\n    return event\n",
        &[
            "{}",
            "[1, 2.5, -0.0, 1e300]",
            "\"h\\u00e9\\ud83d\\ude00\"",
            "null",
            "true",
            "{\"b\": 1, \"a\": {\"x\": [null]}}",
            "12345678901234567890",
        ],
    ),
    (
        "app.handler",
        "import decimal\ndef handler(event, context):\n    return {'a': decimal.Decimal('1.10'), 'b': decimal.Decimal('NaN'), 'c': [decimal.Decimal('3')]}\n",
        &["{}"],
    ),
    ("app.handler", "def handler(event, context):\n    return float('nan')\n", &["{}"]),
    ("app.handler", "def handler(event, context):\n    return b'raw bytes'\n", &["{}"]),
    ("app.handler", "def handler(event, context):\n    return {1: 2, None: 3, True: 4}\n", &["{}"]),
    ("app.handler", "def handler(event, context):\n    return {1, 2}\n", &["{}"]),
    ("app.handler", "def handler(event, context):\n    return object\n", &["{}"]),
    (
        "app.handler",
        "def inner(x):\n    raise ValueError('no ' + x)\ndef handler(event, context):\n    inner('way')\n",
        &["{}"],
    ),
    ("app.handler", "class Own(Exception):\n    pass\ndef handler(event, context):\n    raise Own()\n", &["{}"]),
    ("app.handler", "def handler(event, context):\n    return event['k']\n", &["{}", "[]"]),
    (
        "app.handler",
        "def handler(event, context):\n    try:\n        1 / 0\n    except ZeroDivisionError as e:\n        raise RuntimeError('a\\nb') from e\n",
        &["{}"],
    ),
    (
        "app.handler",
        "import logging, sys\nlogger = logging.getLogger()\nlogger.setLevel(logging.INFO)\ndef handler(event, context):\n    print('out')\n    print('a\\nb', 1)\n    print('err', file=sys.stderr)\n    logger.info('info %s', 1)\n    logger.debug('debug')\n    logging.getLogger('x').error('two\\nlines')\n    context.log('direct')\n    sys.stdout.write('no end')\n",
        &["{}"],
    ),
    (
        "app.handler",
        "import logging\ndef handler(event, context):\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        logging.exception('caught')\n",
        &["{}"],
    ),
    (
        "app.handler",
        "def handler(event, c):\n    c.log_stream_name = ''\n    return [c.aws_request_id, c.function_version, c.memory_limit_in_mb, c.log_group_name[:12], c.identity.cognito_identity_id, c.client_context.custom, c.client_context.client.installation_id, c.client_context.env, 0 < c.get_remaining_time_in_millis() <= 20000, str(type(c).__name__)]\n",
        &["{}"],
    ),
    (
        "app.handler",
        "import os\ndef handler(event, context):\n    return [os.environ['_X_AMZN_TRACE_ID'], os.getcwd()]\n",
        &["{}"],
    ),
    ("nothing.handler", "", &["{}"]),
    ("app.handler", "import nowhere\n", &["{}"]),
    ("app.handler", "def handler(:\n", &["{}"]),
    ("app.handler", "raise KeyError('at load')\n", &["{}"]),
    ("app.other", "def handler(event, context):\n    pass\n", &["{}"]),
    ("handler", "", &["{}"]),
    ("sys.handler", "", &["{}"]),
    ("pkg/app.handler", "", &["{}"]),
    ("pkg.app.handler", "", &["{}"]),
    ("app.handler", "import sys\ndef handler(event, context):\n    sys.exit(3)\n", &["{}"]),
    ("app.handler", "import os\ndef handler(event, context):\n    os._exit(0)\n", &["{}"]),
];

#[tokio::test]
async fn our_python_bootstrap_does_what_awss_client_does() {
    let Some(python) = std::env::var_os(VARIABLE) else {
        assert!(
            std::env::var_os("MILLSTREAM_TEST_BINARY").is_none(),
            "{VARIABLE} does not name a Python that has awslambdaric: pip install awslambdaric into a venv"
        );
        return;
    };
    let script = "import sys, sysconfig, os.path as p\nprint(p.dirname(p.realpath(sys.executable)))\n\
                  print(sysconfig.get_paths()['platlib'])\nprint('python%d.%d' % sys.version_info[:2])";
    let output = Command::new(&python).args(["-c", script]).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let [folder, packages, runtime] = output.lines().collect::<Vec<_>>()[..] else { panic!("{output}") };
    let fixture = Fixture::with(|options| options.interpreter_path = vec![folder.into()]).await;
    let mut differences = Vec::new();
    for (handler, code, events) in CASES {
        let package = "def handler(event, context):\n    return __name__\n";
        let files = [("app.py", *code), ("pkg/app.py", package), ("pkg/__init__.py", ""), ("bootstrap", WRAPPER)];
        let ours = fixture.function(runtime, handler, &files);
        let mut theirs = fixture.function(runtime, handler, &files);
        theirs.layers_directory = Some(PathBuf::from(packages));
        theirs.environment.insert("AWS_LAMBDA_EXEC_WRAPPER".to_owned(), "/var/task/bootstrap".to_owned());
        let (ours, theirs) = (Arc::new(ours), Arc::new(theirs));
        for event in *events {
            let (ours, theirs) = (seen(&fixture, &ours, event).await, seen(&fixture, &theirs, event).await);
            if ours != theirs {
                differences.push(format!("{handler} of:\n{code}\nours: {ours:#?}\nAWS's: {theirs:#?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    fixture.stop().await;
}

/// What caller and log reader see, without times and without the lines of the server.
async fn seen(fixture: &Fixture, spec: &Arc<FunctionSpec>, event: &str) -> (String, Vec<String>) {
    let request = InvokeRequest {
        request_id: "11111111-2222-3333-4444-555555555555".to_owned(),
        invoked_arn: "arn".to_owned(),
        client_context: Some(r#"{"client":{"installation_id":"i"},"custom":{"c":1},"env":{}}"#.to_owned()),
        trace_id: Some("Root=1-1-1".to_owned()),
    };
    let report = fixture.invoke_as(spec, event, request).await;
    let outcome = match report.outcome {
        Outcome::Ok(bytes) => format!("ok {}", String::from_utf8_lossy(&bytes)),
        Outcome::FunctionError { kind, payload } => format!("{kind:?} {}", String::from_utf8_lossy(&payload)),
        other => panic!("{other:?}"),
    };
    // The client without a frame pipe joins an event's lines by carriage returns.
    let tail = String::from_utf8(report.log_tail.to_vec()).unwrap().replace('\r', "\n");
    let own = ["START ", "END ", "REPORT ", "INIT_START ", "INIT_REPORT "];
    let lines = tail.lines().filter(|line| !own.iter().any(|start| line.starts_with(start)));
    // AWS's client blames its own updates for a failed init; ours has none. A blank line follows the advice.
    let mut lines: Vec<_> = lines.map(without_time).collect();
    if lines.first().is_some_and(|line| line.contains("LAMBDA_WARNING")) {
        lines.drain(..2);
    }
    (outcome, lines)
}

/// Replaces the time in `[INFO]\t<time>\t<id>\t…`.
fn without_time(line: &str) -> String {
    let words: Vec<_> = line.split('\t').collect();
    match words[..] {
        [level, _, id, ..] if level.starts_with('[') => format!("{level}\ttime\t{id}\t{}", words[3..].join("\t")),
        _ => line.to_owned(),
    }
}
