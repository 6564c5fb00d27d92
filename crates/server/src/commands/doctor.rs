//! `millstream doctor`: what this machine offers to functions.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use millstream_runtime::{Family, HostReport};

use super::print;
use crate::config::Config;
use crate::server::Server;

/// Tries everything a function needs, in a server of its own that keeps nothing.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  millstream doctor")]
pub(crate) struct Arguments {
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let server = Server::start(Config::local()).await?;
        let report = server.host_report().await;
        server.stop().await?;
        anyhow::Ok(report)
    })?;
    print(&if arguments.json { json(&report)? } else { text(&report)? })?;
    Ok(if report.isolation.usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(report: &HostReport) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let isolation = &report.isolation;
    writeln!(text, "isolation     {}", isolation.summary)?;
    if let Some(remark) = &isolation.remark {
        writeln!(text, "              {remark}")?;
    }
    writeln!(
        text,
        "own user ids  {}",
        if isolation.own_users { "yes" } else { "no; start the server as root for that" }
    )?;
    if isolation.shares_network {
        writeln!(text, "network       shared with this machine: functions can act as account root")?;
    }
    for interpreter in &report.interpreters {
        let (family, version) = (family(interpreter.family), interpreter.version);
        writeln!(text, "{family:<13} {}.{}  {}", version.major, version.minor, interpreter.path.display())?;
    }
    for (path, reason) in &report.unusable {
        writeln!(text, "not usable    {}: {reason}", path.display())?;
    }
    if report.interpreters.is_empty() {
        writeln!(text, "interpreters  none; only functions with a provided runtime will run")?;
    }
    Ok(text)
}

fn json(report: &HostReport) -> anyhow::Result<String> {
    let interpreters: Vec<_> = report
        .interpreters
        .iter()
        .map(|found| {
            serde_json::json!({
                "family": family(found.family),
                "version": format!("{}.{}", found.version.major, found.version.minor),
                "path": found.path,
            })
        })
        .collect();
    let unusable: Vec<_> =
        report.unusable.iter().map(|(path, reason)| serde_json::json!({ "path": path, "reason": reason })).collect();
    let isolation = &report.isolation;
    let object = serde_json::json!({
        "isolation": {
            "summary": isolation.summary,
            "usable": isolation.usable,
            "remark": isolation.remark,
            "ownUsers": isolation.own_users,
            "sharesNetwork": isolation.shares_network,
        },
        "interpreters": interpreters,
        "unusable": unusable,
    });
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

fn family(family: Family) -> &'static str {
    match family {
        Family::Python => "python",
        Family::Node => "node",
    }
}
