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

    #[test]
    fn every_command_flag_and_choice_has_a_help_text() {
        let mut silent = Vec::new();
        find_silent(&Cli::command(), &mut silent);
        assert_eq!(silent, [""; 0]);
    }

    fn find_silent(command: &clap::Command, silent: &mut Vec<String>) {
        let name = command.get_name();
        if command.get_about().is_none() {
            silent.push(name.to_owned());
        }
        for argument in command.get_arguments() {
            if argument.get_help().is_none() {
                silent.push(format!("{name} {}", argument.get_id()));
            }
            let choices = argument.get_possible_values();
            // Either all explain themselves or none has to, as `true` and `false`.
            if choices.iter().any(|choice| choice.get_help().is_some()) {
                let unexplained = choices.iter().filter(|choice| choice.get_help().is_none());
                silent.extend(unexplained.map(|choice| format!("{name} {} {}", argument.get_id(), choice.get_name())));
            }
        }
        for subcommand in command.get_subcommands() {
            find_silent(subcommand, silent);
        }
    }
}
