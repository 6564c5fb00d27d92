//! The environment variables of a function's process, as recorded from AWS.

use std::collections::BTreeMap;

use crate::contract::Credentials;
use crate::sandbox::Layout;
use crate::spec::FunctionSpec;

/// What is known only when an environment is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) spec: &'a FunctionSpec,
    pub(crate) layout: &'a Layout,
    /// `host:port` of the Runtime API.
    pub(crate) runtime_api: &'a str,
    pub(crate) log_stream: &'a str,
    pub(crate) credentials: &'a Credentials,
    pub(crate) endpoint_url: Option<&'a str>,
    /// Folder of the interpreter, to be found first.
    pub(crate) interpreter_folder: Option<&'a str>,
}

/// The complete set. The user's variables win over those that AWS lets users set; the reserved ones win over the user's,
/// which the API has refused already.
pub(crate) fn all(facts: &Facts<'_>) -> BTreeMap<String, String> {
    let mut variables = defaults(facts);
    variables.extend(facts.spec.environment.clone());
    variables.extend(reserved(facts));
    variables
}

fn defaults(facts: &Facts<'_>) -> BTreeMap<String, String> {
    let Facts { spec, layout, interpreter_folder, .. } = facts;
    let Layout { task, runtime, opt, tmp } = layout;
    let mut path = "/usr/local/bin:/usr/bin/:/bin".to_owned();
    if let Some(folder) = interpreter_folder {
        path = format!("{folder}:{path}");
    }
    let mut variables = texts([
        ("PATH", &format!("{path}:{opt}/bin")),
        (
            "LD_LIBRARY_PATH",
            &format!("/var/lang/lib:/lib64:/usr/lib64:{runtime}:{runtime}/lib:{task}:{task}/lib:{opt}/lib"),
        ),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
        ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"),
    ]);
    // Without a mount namespace /tmp is the host's: programs that ask find their own.
    if tmp != "/tmp" {
        variables.insert("TMPDIR".to_owned(), tmp.clone());
    }
    if spec.runtime.starts_with("python") {
        variables.extend(texts([("PYTHONPATH", runtime), ("LC_CTYPE", "C.UTF-8")]));
        // The code is read-only: nothing could be cached beside it.
        variables.extend(texts([("PYTHONDONTWRITEBYTECODE", "1")]));
    }
    if let Some(major) = spec.runtime.strip_prefix("nodejs").and_then(|rest| rest.strip_suffix(".x")) {
        let modules = format!("{opt}/nodejs/node{major}/node_modules:{opt}/nodejs/node_modules");
        variables.extend(texts([("NODE_PATH", &format!("{modules}:{runtime}/node_modules:{runtime}:{task}"))]));
    }
    if let Some(url) = facts.endpoint_url {
        variables.extend(texts([("AWS_ENDPOINT_URL", url)]));
    }
    variables
}

fn reserved(facts: &Facts<'_>) -> BTreeMap<String, String> {
    let Facts { spec, layout, runtime_api, log_stream, credentials, .. } = facts;
    let region = spec.scope.region.as_str();
    let mut variables = texts([
        ("_HANDLER", &spec.handler),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_LAMBDA_FUNCTION_NAME", &spec.name),
        ("AWS_LAMBDA_FUNCTION_VERSION", &spec.version),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &spec.memory_mb.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &spec.log_group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream),
        ("AWS_LAMBDA_RUNTIME_API", runtime_api),
        ("AWS_ACCESS_KEY_ID", &credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key),
        ("AWS_SESSION_TOKEN", &credentials.session_token),
        ("LAMBDA_TASK_ROOT", &layout.task),
        ("LAMBDA_RUNTIME_DIR", &layout.runtime),
    ]);
    if !spec.runtime.starts_with("provided") {
        variables.extend(texts([
            ("AWS_EXECUTION_ENV", &format!("AWS_Lambda_{}", spec.runtime)),
            ("PWD", &layout.task),
            ("SHLVL", "0"),
        ]));
    }
    variables
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use millstream_types::{AccountId, Scope};

    use super::*;

    fn check(runtime: &str, user: &[(&str, &str)]) -> BTreeMap<String, String> {
        let scope = Scope { account: AccountId::default_account(), region: "us-east-1".parse().unwrap() };
        let mut spec = FunctionSpec::new(scope, "f", runtime, "app.handler", "/code".into(), "role");
        spec.environment = user.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        all(&Facts {
            spec: &spec,
            layout: &Layout::namespaced(),
            runtime_api: "127.0.0.1:1",
            log_stream: "s",
            credentials: &Credentials {
                access_key_id: "ASIA".to_owned(),
                secret_access_key: "secret".to_owned(),
                session_token: "token".to_owned(),
            },
            endpoint_url: Some("http://127.0.0.1:4567"),
            interpreter_folder: None,
        })
    }

    #[test]
    fn the_users_value_wins_where_aws_lets_it() {
        let variables = check("python3.13", &[("AWS_ENDPOINT_URL", "http://own"), ("TZ", "CET"), ("_HANDLER", "x")]);
        assert_eq!(variables["AWS_ENDPOINT_URL"], "http://own");
        assert_eq!(variables["TZ"], "CET");
        assert_eq!(variables["_HANDLER"], "app.handler");
        assert_eq!(variables["PYTHONPATH"], "/var/runtime");
    }

    #[test]
    fn custom_runtimes_have_no_execution_environment() {
        assert!(!check("provided.al2023", &[]).contains_key("AWS_EXECUTION_ENV"));
        assert_eq!(check("nodejs22.x", &[])["AWS_EXECUTION_ENV"], "AWS_Lambda_nodejs22.x");
        assert_eq!(
            check("nodejs22.x", &[])["NODE_PATH"],
            "/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
        );
    }
}
