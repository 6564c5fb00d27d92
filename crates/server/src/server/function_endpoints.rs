//! The AWS endpoints of functions: one port for each execution environment, which takes that environment's credentials only.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use millstream_env::{BoxFuture, HostClock, Tasks};
use millstream_gateway::Gateway;
use millstream_gateway::listener::{self, Listener};
use millstream_runtime::FunctionEndpoints;

/// Connections of one function at once: more than any SDK keeps.
const CONNECTIONS_MAX: usize = 256;

/// The open endpoints.
#[derive(Debug)]
pub(super) struct Endpoints {
    /// Set once the gateway is there; it needs the functions, which need these endpoints.
    gateway: OnceLock<Gateway>,
    open: Mutex<HashMap<String, Tasks>>,
    options: listener::Options,
    clock: HostClock,
    tasks: Tasks,
}

impl Endpoints {
    pub(super) fn new(options: listener::Options, clock: HostClock, tasks: Tasks) -> Arc<Self> {
        let options = listener::Options { connections_max: options.connections_max.min(CONNECTIONS_MAX), ..options };
        Arc::new(Self { gateway: OnceLock::new(), open: Mutex::default(), options, clock, tasks })
    }

    /// From now on, endpoints can be opened.
    pub(super) fn serve(&self, gateway: Gateway) {
        self.gateway.set(gateway).expect("a server has one gateway");
    }
}

impl FunctionEndpoints for Endpoints {
    fn open<'a>(&'a self, environment: &'a str) -> BoxFuture<'a, io::Result<String>> {
        Box::pin(async move {
            let gateway = self.gateway.get().ok_or_else(|| io::Error::other("the server is starting"))?;
            // Functions' calls come from this machine.
            let listener = Listener::bind(([127, 0, 0, 1], 0).into(), self.options, self.clock.clone()).await?;
            let address = listener.local_address()?;
            let tasks = self.tasks.child();
            let handler = Arc::new(gateway.for_environment(environment));
            self.tasks.spawn(listener.serve(handler, tasks.clone()));
            let mut open = self.open.lock().expect("no code panics while holding this lock");
            if let Some(replaced) = open.insert(environment.to_owned(), tasks) {
                replaced.cancel();
            }
            Ok(format!("http://{address}"))
        })
    }

    fn close(&self, environment: &str) {
        if let Some(tasks) = self.open.lock().expect("no code panics while holding this lock").remove(environment) {
            tasks.cancel();
        }
    }
}
