//! The `millstream` binary: reads what it is told, puts the parts together, runs them and stops them.
//!
//! - [`config`]: flags, environment variables and the configuration file, which all say the same.
//! - [`server`]: a server from its parts, startable inside another command too.
//! - [`commands`]: one file per subcommand.
//!
//! Nothing about the services is decided here.

mod commands;
mod config;
mod logging;
mod server;

use std::process::ExitCode;

use clap::Parser;

/// Kinesis-compatible streams that drive Lambda-compatible functions, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    // Before anything else: this program is also the launcher of functions' sandboxes.
    millstream_runtime::launcher::maybe_run();
    let result = if commands::bootstrap::is_wanted() {
        commands::bootstrap::run().map(|()| ExitCode::SUCCESS).map_err(Into::into)
    } else {
        commands::run(Cli::parse().command)
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            commands::complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
