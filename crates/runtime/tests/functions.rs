//! Functions of every kind through the real launcher, as the `functions` crate runs them.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Fixture, text};
use millstream_runtime::{FailureKind, FunctionSpec, InvokeRequest, Outcome};

#[tokio::test]
async fn a_python_function_runs_warm_and_its_output_is_logged() {
    let fixture = Fixture::new().await;
    let code = "import logging\ncount = 0\ndef handler(event, context):\n    global count\n    count += 1\n    print('two\\nlines')\n    \
                logging.getLogger().warning('a\\nb')\n    return {'count': count, 'event': event}\n";
    let spec = Arc::new(fixture.python(code));
    let first = fixture.check(&spec, "[1]", r#"{"count": 1, "event": [1]}"#).await;
    assert!(first.init_duration.is_some());
    let second = fixture.check(&spec, "{}", r#"{"count": 2, "event": {}}"#).await;
    assert_eq!((second.init_duration, &second.log_stream), (None, &first.log_stream));
    let tail = String::from_utf8(second.log_tail.to_vec()).unwrap();
    assert!(tail.starts_with("START RequestId: ") && tail.contains("\nEND RequestId: "), "{tail}");
    assert!(tail.ends_with(" MB\t\n"), "{tail}");
    let events = fixture.logs.events();
    assert!(events.contains(&"two\n".to_owned()) && events.contains(&"lines\n".to_owned()), "{events:?}");
    assert!(events.iter().any(|event| event.starts_with("[WARNING]\t") && event.ends_with("\ta\nb\n")), "{events:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_function_runs_in_every_style() {
    let fixture = Fixture::new().await;
    let module = "export const handler = async (event, context) => { console.log('a\\nb', { x: 1 }); return { event, id: \
                  context.awsRequestId.length, left: context.getRemainingTimeInMillis() > 0 } };";
    let spec = Arc::new(fixture.node(module));
    fixture.check(&spec, "[1]", r#"{"event":[1],"id":36,"left":true}"#).await;
    assert!(fixture.logs.events().iter().any(|event| event.ends_with("\tINFO\ta\nb { x: 1 }\n")));
    for (code, expected) in [
        ("exports.handler = (event, context, callback) => setTimeout(() => callback(null, event), 5);", "7"),
        ("exports.handler = (event, context) => { context.succeed(event + 1); };", "8"),
        ("exports.handler = () => { setTimeout(() => {}, 5); };", "null"),
        ("exports.handler = async () => {};", "null"),
        ("exports.handler = () => new Promise(() => {});", "null"),
    ] {
        let spec = Arc::new(fixture.function("nodejs20.x", "index.handler", &[("index.js", code)]));
        fixture.check(&spec, "7", expected).await;
        fixture.check(&spec, "7", expected).await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_shell_bootstrap_runs() {
    let fixture = Fixture::new().await;
    let script = "#!/bin/sh\nset -eu\nAPI=\"http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime\"\nwhile true; do\n  \
                  EVENT=$(curl -sS -D /tmp/headers \"$API/invocation/next\")\n  \
                  ID=$(grep -i lambda-runtime-aws-request-id /tmp/headers | tr -d '[:space:]' | cut -d: -f2)\n  \
                  echo \"event $EVENT\"\n  \
                  curl -sS -X POST \"$API/invocation/$ID/response\" -d \"{\\\"got\\\":$EVENT}\" > /dev/null\ndone\n";
    let spec = Arc::new(fixture.function("provided.al2023", "any", &[("bootstrap", script)]));
    fixture.check(&spec, "[1]", r#"{"got":[1]}"#).await;
    fixture.check(&spec, "2", r#"{"got":2}"#).await;
    assert!(fixture.logs.text().contains("event [1]\n"));
    fixture.stop().await;
}

async fn check_failure(fixture: &Fixture, spec: FunctionSpec, kind: FailureKind, expected: &str) -> String {
    let spec = Arc::new(spec);
    let request =
        InvokeRequest { request_id: "id".to_owned(), invoked_arn: "arn".to_owned(), ..InvokeRequest::default() };
    let report = fixture.invoke_as(&spec, "{}", request).await;
    assert!(matches!(&report.outcome, Outcome::FunctionError { kind: found, .. } if *found == kind), "{report:?}");
    assert_eq!(text(&report), expected, "log: {}", fixture.logs.text());
    String::from_utf8(report.log_tail.to_vec()).unwrap()
}

#[tokio::test]
async fn failures_have_the_payloads_and_lines_of_aws() {
    let fixture = Fixture::new().await;
    let raising = fixture.python("def handler(event, context):\n    raise Exception('Handler fails')\n");
    let payload = r#"{"errorMessage": "Handler fails", "errorType": "Exception", "requestId": "id", "stackTrace": ["  File \"/var/task/app.py\", line 2, in handler\n    raise Exception('Handler fails')\n"]}"#;
    let log = check_failure(&fixture, raising, FailureKind::Handler, payload).await;
    assert!(
        log.contains("[ERROR] Exception: Handler fails\nTraceback (most recent call last):\n\u{a0}\u{a0}File "),
        "{log}"
    );

    let missing = fixture.function("python3.11", "nothing.handler", &[]);
    let payload = r#"{"errorMessage": "Unable to import module 'nothing': No module named 'nothing'", "errorType": "Runtime.ImportModuleError", "requestId": "", "stackTrace": []}"#;
    let log = check_failure(&fixture, missing, FailureKind::InitFailed, payload).await;
    assert!(log.contains("Phase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n"), "{log}");

    let exiting =
        fixture.python("import os\ndef handler(event, context):\n    print('bye', flush=True)\n    os._exit(3)\n");
    let payload = r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited with error: exit status 3"}"#;
    let log = check_failure(&fixture, exiting, FailureKind::Exited, payload).await;
    assert!(log.contains("bye\n") && log.contains("Status: error\tError Type: Runtime.ExitError\n"), "{log}");

    let killed = fixture.python("import os\ndef handler(event, context):\n    os.kill(os.getpid(), 9)\n");
    let payload = r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited with error: signal: killed"}"#;
    check_failure(&fixture, killed, FailureKind::Exited, payload).await;

    let at_load = fixture.python("import sys\nsys.exit(0)\n");
    let payload = r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited without providing a reason"}"#;
    check_failure(&fixture, at_load, FailureKind::Exited, payload).await;

    let large = fixture.python("def handler(event, context):\n    return 'x' * 6291555\n");
    let payload = r#"{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"}"#;
    check_failure(&fixture, large, FailureKind::ResponseTooLarge, payload).await;

    let none = fixture.function("provided.al2023", "any", &[]);
    let payload = r#"{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: id Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"}"#;
    check_failure(&fixture, none, FailureKind::Exited, payload).await;

    let text = fixture.function("provided.al2023", "any", &[("bootstrap", "no program")]);
    let payload = r#"{"errorType":"Runtime.InvalidEntrypoint","errorMessage":"RequestId: id Error: fork/exec /var/task/bootstrap: exec format error"}"#;
    check_failure(&fixture, text, FailureKind::Exited, payload).await;
    fixture.stop().await;
}

#[tokio::test]
async fn node_failures_are_reported() {
    let fixture = Fixture::new().await;
    let check = async |code: &str, kind: FailureKind, parts: &[&str]| {
        let spec = Arc::new(fixture.node(code));
        let report = fixture.invoke(&spec, "{}").await;
        assert!(matches!(&report.outcome, Outcome::FunctionError { kind: found, .. } if *found == kind), "{report:?}");
        for part in parts {
            assert!(text(&report).contains(part), "{part} in {}", text(&report));
        }
    };
    let thrown = "export const handler = async () => { throw new TypeError('no'); };";
    check(thrown, FailureKind::Handler, &[r#"{"errorType":"TypeError","errorMessage":"no","trace":["TypeError: no""#])
        .await;
    let later = "export const handler = () => new Promise(() => setTimeout(() => { throw new Error('late'); }, 5));";
    check(later, FailureKind::Handler, &[r#""errorMessage":"late""#]).await;
    let rejected = "export const handler = () => new Promise(() => { Promise.reject(new Error('lost')); setTimeout(() => {}, 1000); });";
    check(
        rejected,
        FailureKind::Handler,
        &[r#""errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"Error: lost""#],
    )
    .await;
    let missing = "import 'nowhere'; export const handler = () => {};";
    check(missing, FailureKind::InitFailed, &[r#""errorType":"Error","errorMessage":"Cannot find package 'nowhere'"#])
        .await;
    let broken = "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); throw \
                  new TypeError('middle'); });";
    check(broken, FailureKind::Handler, &[r#"{"errorType":"TypeError","errorMessage":"middle","trace":["#]).await;
    let broken = "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('part'); \
                  setTimeout(() => { throw new TypeError('late'); }, 5); await new Promise(() => {}); });";
    check(broken, FailureKind::Handler, &[r#"{"errorType":"TypeError","errorMessage":"late","trace":["#]).await;
    check(
        "export const other = 1;",
        FailureKind::InitFailed,
        &["Runtime.HandlerNotFound", "index.handler is undefined or not exported"],
    )
    .await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_timeout_kills_the_whole_tree() {
    let fixture = Fixture::new().await;
    let code = "import os, signal, subprocess, time\ndef handler(event, context):\n    \
                subprocess.Popen(['/bin/sh', '-c', 'trap \"\" TERM; sleep 1000'], start_new_session=True)\n    \
                subprocess.Popen(['/bin/sleep', '1001'])\n    print('started', flush=True)\n    time.sleep(1000)\n";
    let mut spec = fixture.python(code);
    spec.timeout = Duration::from_secs(1);
    let payload =
        r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id Error: Task timed out after 1.00 seconds"}"#;
    let log = check_failure(&fixture, spec, FailureKind::TimedOut, payload).await;
    assert!(log.contains("started\n") && log.contains("id Task timed out after 1.00 seconds\n"), "{log}");
    assert!(log.ends_with("Status: timeout\n"), "{log}");
    fixture.stop().await;
    let processes = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let processes = String::from_utf8_lossy(&processes.stdout).into_owned();
    assert!(!processes.contains("sleep 1001"), "{processes}");
}

#[tokio::test]
async fn after_a_crash_the_next_invocation_gets_a_fresh_environment() {
    let fixture = Fixture::new().await;
    let code = "import os\ncount = 0\ndef handler(event, context):\n    global count\n    count += 1\n    if event:\n        \
                os._exit(1)\n    return [count, os.path.exists('/tmp/x'), open('/tmp/x', 'w').close()]\n";
    let spec = Arc::new(fixture.python(code));
    fixture.check(&spec, "0", "[1, false, null]").await;
    fixture.check(&spec, "0", "[2, true, null]").await;
    fixture.invoke(&spec, "1").await;
    fixture.check(&spec, "0", "[1, false, null]").await;
    assert_eq!(fixture.issuer.revoked.lock().unwrap().len(), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn a_new_revision_gets_a_new_environment() {
    let fixture = Fixture::new().await;
    let old = fixture.python("def handler(event, context):\n    return 'old'\n");
    let mut new = fixture.python("def handler(event, context):\n    return 'new'\n");
    new.name.clone_from(&old.name);
    new.function_arn.clone_from(&old.function_arn);
    "2".clone_into(&mut new.revision);
    fixture.check(&Arc::new(old), "0", "\"old\"").await;
    fixture.check(&Arc::new(new), "0", "\"new\"").await;
    fixture.stop().await;
}

#[tokio::test]
async fn parallel_invocations_get_environments_of_their_own() {
    let fixture = Fixture::new().await;
    let code = "import os, time\ndef handler(event, context):\n    time.sleep(0.3)\n    return os.environ['AWS_LAMBDA_LOG_STREAM_NAME']\n";
    let spec = Arc::new(fixture.python(code));
    let (a, b) = tokio::join!(fixture.invoke(&spec, "1"), fixture.invoke(&spec, "2"));
    assert_ne!(text(&a), text(&b));
    fixture.stop().await;
}

#[tokio::test]
async fn functions_get_their_variables_and_credentials() {
    let fixture = Fixture::new().await;
    let code = "import os\ndef handler(event, context):\n    return {name: os.environ.get(name) for name in event}\n";
    let mut spec = fixture.python(code);
    spec.environment.insert("OWN".to_owned(), "yes".to_owned());
    let name = spec.name.clone();
    let event = r#"["OWN", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION", "TZ", "AWS_EXECUTION_ENV"]"#;
    let expected = format!(
        r#"{{"OWN": "yes", "AWS_SESSION_TOKEN": "{name}", "AWS_ENDPOINT_URL": "http://127.0.0.1:4567", "AWS_REGION": "us-east-1", "TZ": ":UTC", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11"}}"#
    );
    fixture.check(&Arc::new(spec), event, &expected).await;
    fixture.stop().await;
}

#[tokio::test]
async fn what_cannot_run_is_refused_with_a_reason() {
    let fixture = Fixture::with(|options| options.strict_runtimes = true).await;
    let mut spec = fixture.python("def handler(event, context):\n    pass\n");
    "arn:aws:iam::000000000000:role/gone".clone_into(&mut spec.role_arn);
    let report = fixture.invoke(&Arc::new(spec), "{}").await;
    assert!(matches!(report.outcome, Outcome::NotPermitted(_)), "{report:?}");
    let spec = fixture.function("python3.29", "a.b", &[]);
    let report = fixture.invoke(&Arc::new(spec), "{}").await;
    assert!(matches!(&report.outcome, Outcome::Unavailable(text) if text.contains("no Python 3.29")), "{report:?}");
    let spec = fixture.python("def handler(event, context):\n    pass\n");
    fixture.runtime.reserve(&spec.function_arn, Some(0));
    let report = fixture.invoke(&Arc::new(spec), "{}").await;
    let reason = "ReservedFunctionConcurrentInvocationLimitExceeded";
    assert_eq!(report.outcome, Outcome::Throttled { reason });
    fixture.stop().await;
}

#[tokio::test]
async fn layers_are_where_each_language_looks_for_them() {
    let fixture = Fixture::new().await;
    let mut files = vec![
        ("python/of_the_layer.py".to_owned(), "VALUE = 'python'\n"),
        ("python/own.py".to_owned(), "VALUE = 'layer'\n"),
        ("nodejs/node_modules/of_the_layer/index.js".to_owned(), "module.exports = 'nodejs';\n"),
        ("bootstrap".to_owned(), "#!/bin/sh\necho 'in the layer'\n"),
    ];
    // Whichever version serves the function here.
    for minor in 8..=15 {
        files.push((format!("python/lib/python3.{minor}/site-packages/packaged.py"), "VALUE = 'site-packages'\n"));
    }
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let layers = fixture.function("any", "any", &files).code_directory;
    let with_layers = |mut spec: FunctionSpec| {
        spec.layers_directory = Some(layers.clone());
        Arc::new(spec)
    };
    let code = "import of_the_layer, own, packaged, sys\ndef handler(event, context):\n    return [of_the_layer.VALUE, \
                packaged.VALUE, own.VALUE, len(sys.argv)]\n";
    let files = [("app.py", code), ("own.py", "VALUE = 'code'\n")];
    let python = with_layers(fixture.function("python3.11", "app.handler", &files));
    fixture.check(&python, "{}", r#"["python", "site-packages", "code", 1]"#).await;
    let code = "exports.handler = async () => require('of_the_layer');";
    let node = with_layers(fixture.function("nodejs20.x", "index.handler", &[("index.js", code)]));
    fixture.check(&node, "{}", r#""nodejs""#).await;
    let custom = with_layers(fixture.function("provided.al2023", "any", &[("readme", "no bootstrap here")]));
    fixture.invoke(&custom, "{}").await;
    assert!(fixture.logs.text().contains("in the layer\n"));
    fixture.stop().await;
}

#[tokio::test]
async fn a_function_that_takes_too_much_memory_is_killed() {
    let fixture = Fixture::new().await;
    let code =
        "import time\ndef handler(event, context):\n    data = bytearray(200 * 1024 * 1024)\n    time.sleep(15)\n";
    let payload = r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited with error: signal: killed"}"#;
    let log = check_failure(&fixture, fixture.python(code), FailureKind::Exited, payload).await;
    assert!(log.contains("Status: error\tError Type: Runtime.ExitError\n"), "{log}");
    fixture.stop().await;
}

#[tokio::test]
async fn a_slow_init_is_repeated_under_the_functions_own_time() {
    let fixture = Fixture::with(|options| options.init_max = Duration::from_millis(700)).await;
    let slow = Arc::new(fixture.python("import time\ntime.sleep(1)\ndef handler(event, context):\n    return 1\n"));
    fixture.check(&slow, "0", "1").await;
    assert!(fixture.logs.text().contains(" ms\tPhase: init\tStatus: timeout\n"), "{}", fixture.logs.text());
    let mut endless = fixture.python("import time\ntime.sleep(1000)\n");
    endless.timeout = Duration::from_secs(1);
    let payload =
        r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id Error: Task timed out after 1.00 seconds"}"#;
    check_failure(&fixture, endless, FailureKind::TimedOut, payload).await;
    fixture.stop().await;
}

#[tokio::test]
async fn many_invocations_share_few_environments() {
    let fixture = Fixture::with(|options| options.environments_max = 3).await;
    let code =
        "import os\ndef handler(event, context):\n    return [event, os.environ['AWS_LAMBDA_LOG_STREAM_NAME']]\n";
    let specs = [Arc::new(fixture.python(code)), Arc::new(fixture.python(code))];
    let mut running = Vec::new();
    for n in 0..60 {
        let (event, spec) = (n.to_string().into(), Arc::clone(&specs[n % 2]));
        let request =
            InvokeRequest { request_id: format!("r{n}"), invoked_arn: "arn".to_owned(), ..InvokeRequest::default() };
        let runtime = fixture.runtime.clone();
        // Half of the callers go away; their invocations run all the same and leave nothing behind.
        let invocation = async move { runtime.invoke(spec, event, request).await };
        running.push((n, Box::pin(invocation)));
    }
    let mut kept = Vec::new();
    for (n, mut invocation) in running {
        let pending = std::future::poll_fn(|context| std::task::Poll::Ready(invocation.as_mut().poll(context))).await;
        assert!(pending.is_pending());
        if n % 4 < 2 {
            kept.push((n, invocation));
        }
    }
    for (n, invocation) in kept {
        let report = invocation.await;
        assert!(text(&report).starts_with(&format!("[{n}, ")), "{}", text(&report));
    }
    assert!(fixture.runtime.live() <= 3);
    fixture.stop().await;
}

#[tokio::test]
async fn the_host_report_lists_what_runs_as_a_function() {
    let fixture = Fixture::new().await;
    let report = fixture.runtime.host_report().await;
    assert!(report.isolation.usable, "{report:?}");
    assert!(report.interpreters.iter().any(|found| found.family == millstream_runtime::Family::Python), "{report:?}");
    assert!(report.interpreters.iter().all(|found| found.path.is_absolute() && !found.path.is_symlink()), "{report:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn node_handlers_are_found_wherever_aws_finds_them() {
    let fixture = Fixture::new().await;
    let module = "export const handler = async () => import.meta.url.split('/').pop();";
    let common = "exports.handler = async () => __filename.split('/').pop();";
    let deep = "exports.a = { b: async () => require('helper') };";
    let helper = ("node_modules/helper/index.js", "module.exports = 'helped';");
    let check = async |handler: &str, files: &[(&str, &str)], expected: &str| {
        let spec = Arc::new(fixture.function("nodejs20.x", handler, files));
        fixture.check(&spec, "{}", expected).await;
    };
    let package = ("package.json", "{\"type\":\"module\"}");
    check("index.handler", &[("index.js", module), package], "\"index.js\"").await;
    check("index.handler", &[("index.mjs", module)], "\"index.mjs\"").await;
    check("index.handler", &[("index.cjs", common)], "\"index.cjs\"").await;
    check("index.handler", &[("index.js", common), ("index.mjs", module)], "\"index.js\"").await;
    check("src/app.handler", &[("src/app.js", common)], "\"app.js\"").await;
    check("src/app.a.b", &[("src/app.js", deep), helper], "\"helped\"").await;
    let streaming = "export const handler = awslambda.streamifyResponse(async (event, stream) => { stream.write('[1'); stream.end(']'); });";
    fixture.check(&Arc::new(fixture.node(streaming)), "{}", "[1]").await;
    let text_error = "export const handler = (event, context, callback) => callback('plain');";
    let payload = r#"{"errorType":"string","errorMessage":"plain","trace":[]}"#;
    check_failure(&fixture, fixture.node(text_error), FailureKind::Handler, payload).await;
    fixture.stop().await;
}
