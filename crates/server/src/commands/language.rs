//! A function of `demo` or `bench` in a language that this machine can run.

use clap::ValueEnum;

use crate::commands::api::{Api, FunctionCode};
use crate::commands::bootstrap;

/// What the function is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// A Python that is installed here
    Python,
    /// A Node.js that is installed here
    Node,
    /// This binary, under a `provided` runtime: needs no interpreter.
    Compiled,
}

/// One function, written in each language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources {
    /// `handler.py`, whose function is `handler`.
    pub(crate) python: &'static [u8],
    /// `handler.js`, whose function is `handler`.
    pub(crate) node: &'static [u8],
    /// A handler of [`bootstrap`].
    pub(crate) compiled: &'static str,
}

impl Sources {
    /// Makes the function and gives its runtime. Without a wish, it is the first language whose interpreter the server
    /// accepts.
    pub(crate) async fn make_function(
        &self,
        api: &Api,
        wish: Option<Language>,
        name: &str,
        role: &str,
    ) -> anyhow::Result<&'static str> {
        let languages = match &wish {
            Some(language) => std::slice::from_ref(language),
            None => &[Language::Python, Language::Node, Language::Compiled],
        };
        let mut refusals = Vec::new();
        for language in languages {
            match self.make(api, *language, name, role).await {
                Ok(runtime) => return Ok(runtime),
                Err(error) => refusals.push(format!("{language:?}: {error:#}")),
            }
        }
        anyhow::bail!("no function could be made\n  {}", refusals.join("\n  "))
    }

    async fn make(&self, api: &Api, language: Language, name: &str, role: &str) -> anyhow::Result<&'static str> {
        let binary;
        let (runtime, handler, file): (_, _, (_, &[u8], _)) = match language {
            Language::Python => ("python3.13", "handler.handler", ("handler.py", self.python, 0o644)),
            Language::Node => ("nodejs22.x", "handler.handler", ("handler.js", self.node, 0o644)),
            Language::Compiled => {
                binary = bootstrap::package()?;
                ("provided.al2023", self.compiled, ("bootstrap", &binary, 0o755))
            }
        };
        api.function_or_existing(name, &FunctionCode { runtime, handler, file }, role).await?;
        Ok(runtime)
    }
}
