//! One file per subcommand.

mod api;
mod bench;
pub(crate) mod bootstrap;
mod clock;
mod demo;
mod doctor;
mod env;
mod histogram;
mod language;
mod operator;
mod repair;
mod serve;
mod streams;
mod wait;

use std::process::ExitCode;

use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a whole pipeline, live: stream → function, with latencies, lag and a retry
    Demo(demo::Arguments),
    /// Run a server until it is told to stop (Ctrl-C or SIGTERM)
    Serve(Box<serve::Arguments>),
    /// Wait until a server is ready
    Wait(wait::Arguments),
    /// Put records into a stream: each line of the standard input, or one from the command line
    Put(streams::put::Arguments),
    /// Print the records of a stream as they come
    Tail(streams::tail::Arguments),
    /// Show or move the clock of a server, or wait until it has nothing to do
    Clock(clock::Arguments),
    /// Show event source mappings: how far they are and what blocks them; pause, step, skip, rewind
    Mappings(operator::mappings::Arguments),
    /// Show the batches that were given up, and send them again
    Failed(operator::failed::Arguments),
    /// Measure a server under load
    Bench(bench::Arguments),
    /// Find damaged records in a data folder, and give up what cannot be read
    Repair(repair::Arguments),
    /// Show what this machine offers to functions: isolation and interpreters
    Doctor(doctor::Arguments),
    /// Print what a shell has to export so that AWS tools talk to a server
    Env(env::Arguments),
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Wait(arguments) => wait::run(&arguments),
        Command::Put(arguments) => streams::put::run(&arguments),
        Command::Tail(arguments) => streams::tail::run(&arguments),
        Command::Clock(arguments) => clock::run(&arguments),
        Command::Mappings(arguments) => operator::mappings::run(&arguments),
        Command::Failed(arguments) => operator::failed::run(&arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Repair(arguments) => repair::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Env(arguments) => env::run(&arguments),
    }
}

/// Tells a person why nothing more happens, causes included.
#[expect(clippy::print_stderr, reason = "the last words of a command, which may have no log")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("millstream: {error:#}");
}

/// Writes a command's answer. A reader that has seen enough (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
