//! Services outside that take failed batches: where they are, and with which credentials they are called.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context;
use millstream_client::Credentials;
use millstream_destinations::external;
use serde::Deserialize;

/// What a variable of the credentials begins with; the second counts when the first has no access key.
const PREFIXES: [&str; 2] = ["MILLSTREAM_DESTINATION_", "AWS_"];
/// Variables that are no flags: secrets do not belong on a command line.
pub(crate) const CREDENTIAL_VARIABLES: [&str; 3] = [
    "MILLSTREAM_DESTINATION_ACCESS_KEY_ID",
    "MILLSTREAM_DESTINATION_SECRET_ACCESS_KEY",
    "MILLSTREAM_DESTINATION_SESSION_TOKEN",
];

/// `SERVICE=URL`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(crate) struct Destination {
    service: Service,
    /// `http(s)://host[:port]`
    endpoint: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Sqs,
    Sns,
    S3,
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, endpoint) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is not SERVICE=URL, such as sqs=https://sqs.eu-west-1.amazonaws.com"))?;
        let service = match service {
            "sqs" => Service::Sqs,
            "sns" => Service::Sns,
            "s3" => Service::S3,
            other => return Err(format!("{other:?} is no service that takes failed batches; sqs, sns and s3 are")),
        };
        let endpoint = endpoint.trim_end_matches('/');
        let authority = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        let is_plain = |authority: &str| !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' ']);
        if !authority.is_some_and(is_plain) {
            return Err(format!("{endpoint:?} is not an endpoint such as https://HOST or http://HOST:PORT"));
        }
        Ok(Self { service, endpoint: endpoint.to_owned() })
    }
}

impl TryFrom<String> for Destination {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = match self.service {
            Service::Sqs => "sqs",
            Service::Sns => "sns",
            Service::S3 => "s3",
        };
        write!(f, "{service}={}", self.endpoint)
    }
}

/// The options of the destinations outside. `variable` gives a variable of the environment.
pub(crate) fn external(
    destinations: &[Destination],
    authorities: Option<&Path>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<external::Options> {
    let mut options = external::Options::default();
    if destinations.is_empty() {
        if authorities.is_some() {
            anyhow::bail!("--destination-ca is about services of --destination, of which there is none; leave it out");
        }
        return Ok(options);
    }
    for destination in destinations {
        let place = match destination.service {
            Service::Sqs => &mut options.sqs,
            Service::Sns => &mut options.sns,
            Service::S3 => &mut options.s3,
        };
        if let Some(other) = place.replace(destination.endpoint.clone()) {
            anyhow::bail!("--destination {destination} stands beside {other} for the same service; leave one out");
        }
    }
    options.credentials = Some(credentials(variable)?);
    options.authorities = authorities.map(read).transpose()?;
    Ok(options)
}

fn credentials(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Credentials> {
    let get = |prefix: &str, name: &str| variable(&format!("{prefix}{name}")).filter(|value| !value.is_empty());
    for prefix in PREFIXES {
        let Some(id) = get(prefix, "ACCESS_KEY_ID") else {
            if let Some(name) =
                ["SECRET_ACCESS_KEY", "SESSION_TOKEN"].into_iter().find(|name| get(prefix, name).is_some())
            {
                anyhow::bail!("{prefix}{name} is set and {prefix}ACCESS_KEY_ID is not");
            }
            continue;
        };
        let Some(secret) = get(prefix, "SECRET_ACCESS_KEY") else {
            anyhow::bail!("{prefix}ACCESS_KEY_ID is set and {prefix}SECRET_ACCESS_KEY is not");
        };
        let session_token = get(prefix, "SESSION_TOKEN");
        return Ok(Credentials { session_token, ..Credentials::new(id, secret) });
    }
    anyhow::bail!(
        "--destination needs the credentials of the service: set MILLSTREAM_DESTINATION_ACCESS_KEY_ID and \
         MILLSTREAM_DESTINATION_SECRET_ACCESS_KEY, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
}

#[expect(clippy::disallowed_methods, reason = "the configuration is read before there is anything to inject")]
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("--destination-ca {} cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(destinations: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<external::Options> {
        let destinations: Vec<Destination> = destinations.iter().map(|text| text.parse().unwrap()).collect();
        external(&destinations, None, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const AWS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "aws"), ("AWS_SECRET_ACCESS_KEY", "s")];

    #[test]
    fn services_and_endpoints_are_named() {
        for text in ["sqs=https://sqs.eu-west-1.amazonaws.com", "sns=http://127.0.0.1:4566", "s3=https://[::1]:9000"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        assert_eq!("s3=http://h/".parse::<Destination>(), "s3=http://h".parse());
        for text in [
            "",
            "sqs",
            "sqs=",
            "sqs=h:1",
            "kinesis=http://h",
            "sqs=http://",
            "sqs=http://h/path",
            "s3=http://a:b@h",
            "SQS=http://h",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_service_has_one_endpoint_and_all_have_credentials() {
        let options = of(&["sqs=http://q", "s3=http://b"], &AWS).unwrap();
        assert_eq!(options.endpoints().collect::<Vec<_>>(), [("sqs", "http://q"), ("s3", "http://b")]);
        assert_eq!(options.credentials.unwrap().access_key_id, "aws");
        let error = of(&["sqs=http://q", "sqs=http://r"], &AWS).unwrap_err().to_string();
        assert!(error.contains("leave one out"), "{error}");
        assert!(of(&["sqs=http://q"], &[]).unwrap_err().to_string().contains("MILLSTREAM_DESTINATION_ACCESS_KEY_ID"));
        let own = [AWS[0], AWS[1], ("MILLSTREAM_DESTINATION_ACCESS_KEY_ID", "own")];
        assert!(of(&["sqs=http://q"], &own).is_err(), "half of the credentials");
        for name in ["MILLSTREAM_DESTINATION_SECRET_ACCESS_KEY", "MILLSTREAM_DESTINATION_SESSION_TOKEN"] {
            let without_id = of(&["sqs=http://q"], &[AWS[0], AWS[1], (name, "t")]).unwrap_err().to_string();
            assert!(without_id.contains("MILLSTREAM_DESTINATION_ACCESS_KEY_ID is not"), "{without_id}");
        }
        let whole = [own[0], own[1], own[2], ("MILLSTREAM_DESTINATION_SECRET_ACCESS_KEY", "t")];
        assert_eq!(of(&["sqs=http://q"], &whole).unwrap().credentials.unwrap().access_key_id, "own");
        assert_eq!(of(&[], &[]).unwrap(), external::Options::default());
    }
}
