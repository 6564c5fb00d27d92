//! Code generation, checks and the test command. Run as `cargo xtask <task>`.
#![expect(clippy::print_stderr, reason = "a command-line tool talks to its user")]
#![expect(clippy::disallowed_methods, reason = "a tool of the workspace uses the machine directly")]

mod bench;
mod black_box;
mod check;
mod codegen;
mod compatibility;
mod deny;
mod record_node;
mod stages;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use stages::Stages;

const USAGE: &str = "usage: cargo xtask <task>

tasks:
  test                  everything: the static checks, all tests, real AWS clients against the built server
  check                 the static part: formatting, generated code, licences, lints, documentation
  black-box [ARGS]      only the tests with real AWS clients; ARGS go to pytest, e.g. -k tutorial
  bench [ARGS]          what each stage of a record's way costs, against the stored baseline; --write stores it anew
  record-node           write the transcripts of AWS's Node.js client that the bootstrap is tested against
  codegen [--check]     write the wire types from the service models (or demand that nothing would change)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["test"] => staged(test::test),
        ["check"] => staged(check::check),
        ["black-box", ..] => staged(|stages| {
            black_box::prepare(stages)?;
            black_box::run_tests(stages, &arguments[1..])
        }),
        ["bench", ..] => staged(|stages| bench::bench(stages, &arguments[1..])),
        ["record-node"] => staged(record_node::record),
        ["codegen"] => codegen::run(codegen::Mode::Write),
        ["codegen", "--check"] => codegen::run(codegen::Mode::Check),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a task of several stages and says how long each took, also when one failed.
fn staged(task: impl FnOnce(&mut Stages) -> Result<()>) -> Result<()> {
    let mut stages = Stages::new()?;
    let result = task(&mut stages);
    stages.report();
    result
}
