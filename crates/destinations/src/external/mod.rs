//! Queues, topics and buckets outside: AWS itself, or any server that speaks the same protocols.
//!
//! What is sent there is signed with credentials of that place. Whether the execution role may send it was asked before:
//! the place outside does not know our roles.

#[cfg(test)]
mod tests;

use std::time::Duration;

use millstream_client::{Client, Credentials, Trust, calls};
use millstream_env::HostClock;

use crate::contract::{Delivery, DeliveryError};

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer: it says an id, or an error.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Which services are outside, and how they are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `http(s)://host[:port]`; a service without one is the built-in one.
    pub sqs: Option<String>,
    pub sns: Option<String>,
    pub s3: Option<String>,
    /// Needed as soon as there is an endpoint.
    pub credentials: Option<Credentials>,
    /// Certificates, in PEM, that are believed beside those that this machine trusts.
    pub authorities: Option<Vec<u8>>,
}

impl Options {
    /// The services with an endpoint, and the endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("sqs", &self.sqs), ("sns", &self.sns), ("s3", &self.s3)];
        all.into_iter().filter_map(|(service, endpoint)| Some((service, endpoint.as_deref()?)))
    }
}

/// The options do not go together.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("an external destination needs credentials")]
    NoCredentials,
    #[error(transparent)]
    Trust(#[from] millstream_client::TrustError),
    #[error(transparent)]
    Endpoint(#[from] millstream_client::Error),
}

/// Sends documents to services outside. Clones share their connections.
#[derive(Clone, Debug)]
pub struct External {
    sqs: Option<Client>,
    sns: Option<Client>,
    s3: Option<Client>,
}

impl External {
    /// Reads the certificates that this machine trusts, if an endpoint needs them: blocks. Connects to nothing.
    pub fn new(options: &Options, clock: &HostClock) -> Result<Self, OptionsError> {
        let is_secured = options.endpoints().any(|(_, endpoint)| endpoint.starts_with("https://"));
        let trust = is_secured.then(|| Trust::system_and(options.authorities.as_deref())).transpose()?;
        let client = |endpoint: &Option<String>| -> Result<Option<Client>, OptionsError> {
            let Some(endpoint) = endpoint else { return Ok(None) };
            let credentials = options.credentials.clone().ok_or(OptionsError::NoCredentials)?;
            // The region is that of each delivery.
            let client = match &trust {
                Some(trust) => Client::with_trust(endpoint, credentials, "", clock.clone(), trust.clone())?,
                None => Client::new(endpoint, credentials, "", clock.clone())?,
            };
            Ok(Some(client.with_timeout(ANSWER_TIMEOUT).with_answer_bytes_max(ANSWER_BYTES_MAX)))
        };
        Ok(Self { sqs: client(&options.sqs)?, sns: client(&options.sns)?, s3: client(&options.s3)? })
    }

    /// Whether destinations of that service (`sqs`, `sns` or `s3`) are outside.
    pub fn serves(&self, service: &str) -> bool {
        self.client(service).is_some()
    }

    /// Sends once. Whether the role may was asked before.
    pub async fn send(&self, delivery: &Delivery) -> Result<(), DeliveryError> {
        let Delivery { destination, region, document, object_key, .. } = delivery;
        let service = destination.service.as_str();
        let refused = |text: String| DeliveryError::Refused(text);
        let client = self.client(service).ok_or_else(|| refused(format!("{service} is not outside")))?;
        let region = if destination.region.is_empty() { region.as_str() } else { &destination.region };
        let client = client.in_region(region);
        let text = || std::str::from_utf8(document).map_err(|_| refused("the document is not UTF-8".to_owned()));
        let sent = match service {
            "sqs" => calls::send_message(&client, &destination.account, &destination.resource, text()?).await,
            "sns" => calls::publish(&client, &destination.to_string(), text()?).await,
            _ => {
                let (bucket, body) = (&destination.resource, document.clone());
                calls::put_object(&client, bucket, object_key, "application/json", body).await
            }
        };
        let id = sent.map_err(|error| match error {
            calls::CallError::Unavailable(text) => DeliveryError::Unavailable(text),
            calls::CallError::Refused(text) => DeliveryError::Refused(text),
        })?;
        tracing::debug!(%destination, id, "a document was delivered outside");
        Ok(())
    }

    fn client(&self, service: &str) -> Option<&Client> {
        match service {
            "sqs" => self.sqs.as_ref(),
            "sns" => self.sns.as_ref(),
            "s3" => self.s3.as_ref(),
            _ => None,
        }
    }
}
