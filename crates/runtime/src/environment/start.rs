//! From a specification to a running process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;

use super::Environment;
use crate::contract::{Credentials, IssueError, IssueRequest};
use crate::interpreters::{self, Choice, Family, Wanted};
use crate::launcher::plan::{Bind, Mode, Plan};
use crate::machine::ExitCause;
use crate::sandbox::{Layout, Needs};
use crate::variables::{self, Facts};

const MEGABYTE: u64 = 1024 * 1024;

/// What runs in an environment.
enum Program {
    /// Where the host has the function's own program, and where the function sees it.
    Bootstrap {
        inside: PathBuf,
    },
    Interpreter(Choice),
}

/// What a function connects to.
struct Addresses<'a> {
    runtime_api: &'a str,
    endpoint: Option<String>,
}

impl Environment {
    /// Everything before the process: credentials, the Runtime API's listener, the plan.
    pub(super) async fn prepare(&self, user: Option<u32>) -> Result<(TcpListener, Plan), ExitCause> {
        let mode = self.host.sandbox.mode().map_err(|reason| ExitCause::Sandbox(reason.to_owned()))?;
        let layout = self.layout(mode, user)?;
        let program = self.program(&layout).await?;
        self.announce(&program);
        let credentials = self.credentials().await?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await
            .map_err(|error| host_failure(&error))?;
        let address = listener.local_addr().map_err(|error| host_failure(&error))?.to_string();
        let endpoint = self.endpoint().await?;
        let needs = self.needs(&layout, &program, &credentials, &Addresses { runtime_api: &address, endpoint });
        let plan = self.host.sandbox.plan(needs, user).map_err(ExitCause::Sandbox)?;
        Ok((listener, plan))
    }

    fn layout(&self, mode: Mode, user: Option<u32>) -> Result<Layout, ExitCause> {
        if mode == Mode::Namespaces {
            return Ok(Layout::namespaced());
        }
        let tmp = self.host.directory.make_tmp(&self.name, user).map_err(|error| host_failure(&error))?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Ok(Layout {
            task: text(&self.spec.code_directory),
            runtime: text(&self.host.directory.runtime()),
            opt: self.spec.layers_directory.as_deref().map_or_else(|| "/opt".to_owned(), text),
            tmp: text(&tmp),
        })
    }

    async fn program(&self, layout: &Layout) -> Result<Program, ExitCause> {
        let runtime = &self.spec.runtime;
        match interpreters::wanted(runtime) {
            None => Err(ExitCause::Sandbox(format!("this server does not run functions of runtime {runtime}"))),
            Some(Wanted::Bootstrap) => self.bootstrap(layout),
            Some(Wanted::Interpreter(family, version)) => {
                let host = &self.host;
                let clock = &host.options.host_clock;
                let choice = host.interpreters.choose(family, version, &host.sandbox, &host.spawner, clock).await;
                choice.map(Program::Interpreter).map_err(ExitCause::Sandbox)
            }
        }
    }

    /// `bootstrap` in the code, else in the layers.
    fn bootstrap(&self, layout: &Layout) -> Result<Program, ExitCause> {
        let code = Some((self.spec.code_directory.as_path(), &layout.task));
        let layers = self.spec.layers_directory.as_deref().map(|folder| (folder, &layout.opt));
        for (folder, inside) in [code, layers].into_iter().flatten() {
            if folder.join("bootstrap").is_file() {
                return Ok(Program::Bootstrap { inside: Path::new(inside).join("bootstrap") });
            }
        }
        let text = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]";
        Err(ExitCause::InvalidEntrypoint(text.to_owned()))
    }

    /// The first lines of the log: what serves this environment, and whether that is not what was asked for.
    fn announce(&self, program: &Program) {
        let Program::Interpreter(choice) = program else {
            self.capture.line(format!("INIT_START Runtime Version: {}\n", self.spec.runtime.replace('.', ":")));
            return;
        };
        let version = choice.interpreter.version;
        let name = match choice.interpreter.family {
            Family::Python => format!("python:{}.{}", version.major, version.minor),
            Family::Node => format!("nodejs:{}", version.major),
        };
        self.capture.line(format!("INIT_START Runtime Version: {name}\n"));
        if let Some(warning) = &choice.warning {
            self.capture.line(format!("[WARN] {}: {warning}\n", self.spec.runtime));
            if self.host.first_warning(&self.spec.runtime) {
                tracing::warn!(runtime = %self.spec.runtime, "{warning}");
            }
        }
    }

    async fn credentials(&self) -> Result<Credentials, ExitCause> {
        // STS wants at least two characters (recorded from AWS).
        let session_name = match self.spec.name.as_str() {
            name if name.len() == 1 => format!("{name}@lambda_function"),
            name => name.to_owned(),
        };
        let options = &self.host.options;
        let request = IssueRequest {
            role_arn: &self.spec.role_arn,
            session_name: &session_name,
            environment: &self.name,
            lifetime: options.credential_lifetime,
        };
        options.credentials.issue(request).await.map_err(|error| match error {
            IssueError::NotPermitted(_) => ExitCause::NotPermitted(error.to_string()),
            IssueError::Unavailable(_) => ExitCause::Sandbox(error.to_string()),
        })
    }

    async fn endpoint(&self) -> Result<Option<String>, ExitCause> {
        match &self.host.options.endpoints {
            None => Ok(None),
            Some(endpoints) => endpoints.open(&self.name).await.map(Some).map_err(|error| host_failure(&error)),
        }
    }

    fn needs(&self, layout: &Layout, program: &Program, credentials: &Credentials, addresses: &Addresses<'_>) -> Needs {
        let folder = match program {
            Program::Interpreter(choice) => {
                choice.interpreter.path.parent().map(|path| path.to_string_lossy().into_owned())
            }
            Program::Bootstrap { .. } => None,
        };
        let variables = variables::all(&Facts {
            spec: &self.spec,
            layout,
            runtime_api: addresses.runtime_api,
            log_stream: &self.capture.target().stream,
            credentials,
            endpoint_url: addresses.endpoint.as_deref(),
            interpreter_folder: folder.as_deref(),
        });
        let runtime = Path::new(&layout.runtime);
        let (mut command, mut read_only) = match program {
            Program::Bootstrap { inside } => (vec![inside.to_string_lossy().into_owned()], Vec::new()),
            Program::Interpreter(Choice { interpreter, .. }) => {
                let words = match interpreter.family {
                    // Python has no variable for the folders of layers that is not also the user's.
                    Family::Python => {
                        vec![interpreter.path.clone(), runtime.join("bootstrap.py"), PathBuf::from(&layout.opt)]
                    }
                    Family::Node => vec![interpreter.path.clone(), runtime.join("bootstrap.mjs")],
                };
                let words = words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
                (words, interpreters::binds(&interpreter.path))
            }
        };
        // A script of the user's that gets the real command as its arguments.
        if let Some(wrapper) = self.spec.environment.get("AWS_LAMBDA_EXEC_WRAPPER").filter(|path| !path.is_empty()) {
            command.insert(0, wrapper.clone());
        }
        let bind = |source: &Path, target: &str| Bind { source: source.to_owned(), target: target.into() };
        read_only.push(bind(&self.spec.code_directory, &layout.task));
        read_only.push(bind(&self.host.directory.runtime(), &layout.runtime));
        if let Some(layers) = &self.spec.layers_directory {
            read_only.push(bind(layers, &layout.opt));
        }
        Needs {
            program: PathBuf::from(command.remove(0)),
            arguments: command,
            variables: variables.into_iter().collect(),
            working_directory: PathBuf::from(&layout.task),
            read_only,
            tmp: PathBuf::from(&layout.tmp),
            tmp_bytes: u64::from(self.spec.ephemeral_storage_mb) * MEGABYTE,
        }
    }

    /// Takes back what `prepare` has taken.
    pub(super) async fn clean_up(self: &Arc<Self>, user: Option<u32>) {
        if let Some(endpoints) = &self.host.options.endpoints {
            endpoints.close(&self.name);
        }
        self.host.options.credentials.revoke(&self.name).await;
        self.host.directory.remove(&self.name);
        self.host.sandbox.give_back_user(user);
    }
}

fn host_failure(error: &std::io::Error) -> ExitCause {
    ExitCause::Sandbox(error.to_string())
}
