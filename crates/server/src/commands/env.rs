//! `millstream env`: the variables that AWS tools read.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use millstream_types::{AccountId, Region};

use super::print;

/// Example: eval "$(millstream env)" && aws kinesis list-streams
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  eval \"$(millstream env --account 123456789012)\" && aws kinesis list-streams")]
pub(crate) struct Arguments {
    /// Where the server is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4566")]
    endpoint: String,
    /// The account to act in: 12 digits, used as the access key
    #[arg(long, default_value = "000000000000")]
    account: AccountId,
    /// The region to act in; any name works, and each has streams and functions of its own
    #[arg(long, default_value = "us-east-1")]
    region: Region,
    /// As one JSON object instead of shell commands
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    print(&text(arguments)?)?;
    Ok(ExitCode::SUCCESS)
}

fn text(arguments: &Arguments) -> anyhow::Result<String> {
    let variables = [
        ("AWS_ENDPOINT_URL", arguments.endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", arguments.account.as_str()),
        // Foreign keys are not verified, so any secret does; an empty one would make some SDKs look elsewhere.
        ("AWS_SECRET_ACCESS_KEY", "millstream"),
        ("AWS_REGION", arguments.region.as_str()),
        ("AWS_DEFAULT_REGION", arguments.region.as_str()),
    ];
    if arguments.json {
        let object: serde_json::Map<_, _> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        return Ok(serde_json::to_string_pretty(&object)? + "\n");
    }
    let mut text = String::new();
    for (name, value) in variables {
        writeln!(text, "export {name}='{}'", value.replace('\'', r"'\''"))?;
    }
    // A token of other credentials would be taken for one of these.
    text.push_str("unset AWS_SESSION_TOKEN AWS_PROFILE\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(json: bool) -> Arguments {
        Arguments {
            endpoint: "http://h'ost".to_owned(),
            account: AccountId::default_account(),
            region: "eu-central-1".parse().unwrap(),
            json,
        }
    }

    #[test]
    fn shells_take_the_text_as_it_is() {
        let text = text(&arguments(false)).unwrap();
        assert!(
            text.starts_with("export AWS_ENDPOINT_URL='http://h'\\''ost'\nexport AWS_ACCESS_KEY_ID='0000"),
            "{text}"
        );
        assert!(text.contains("export AWS_REGION='eu-central-1'\n"));
    }

    #[test]
    fn scripts_get_json() {
        let object: serde_json::Value = serde_json::from_str(&text(&arguments(true)).unwrap()).unwrap();
        assert_eq!(object["AWS_ENDPOINT_URL"], "http://h'ost");
    }
}
