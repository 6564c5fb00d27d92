//! Which server a command talks to, and as whom.

use anyhow::Context as _;
use clap::Args;
use millstream_client::{Client, Credentials};
use millstream_env::HostClock;
use millstream_types::{HashKey, HashKeyRange, Region};
use serde_json::{Value, json};

/// The settings of AWS's own tools, so that `eval "$(millstream env)"` serves both.
#[derive(Args, Clone, Debug)]
pub(crate) struct Connection {
    /// Where the server is
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL", default_value = "http://127.0.0.1:4566")]
    pub(crate) endpoint: String,
    /// The region of the stream; any name works, and each has streams of its own
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    pub(crate) region: Region,
    /// An access key; one of 12 digits is an account
    #[arg(long, value_name = "KEY", env = "AWS_ACCESS_KEY_ID", default_value = "000000000000", hide_env_values = true)]
    access_key_id: String,
    /// The secret that belongs to the access key; any will do for a key that is an account
    #[arg(
        long,
        value_name = "SECRET",
        env = "AWS_SECRET_ACCESS_KEY",
        default_value = "millstream",
        hide_env_values = true
    )]
    secret_access_key: String,
    /// The token that belongs to a temporary access key, such as a role's
    #[arg(long, value_name = "TOKEN", env = "AWS_SESSION_TOKEN", hide_env_values = true)]
    session_token: Option<String>,
}

/// The Kinesis of a server.
#[derive(Clone, Debug)]
pub(crate) struct Kinesis(Client);

/// A shard as it is listed.
#[derive(Clone, Debug)]
pub(crate) struct ListedShard {
    pub(crate) id: String,
    pub(crate) range: HashKeyRange,
}

impl Connection {
    pub(crate) fn kinesis(&self, clock: &HostClock) -> anyhow::Result<Kinesis> {
        Ok(Kinesis(self.client(clock)?))
    }

    /// A client that signs as the caller.
    pub(crate) fn client(&self, clock: &HostClock) -> anyhow::Result<Client> {
        let mut credentials = Credentials::new(&self.access_key_id, &self.secret_access_key);
        credentials.session_token.clone_from(&self.session_token);
        Ok(Client::new(&self.endpoint, credentials, self.region.as_str(), clock.clone())?)
    }
}

impl Kinesis {
    pub(crate) async fn call(&self, operation: &str, input: &Value) -> anyhow::Result<Value> {
        let target = format!("Kinesis_20131202.{operation}");
        Ok(self.0.json("kinesis", &target, input).await?)
    }

    /// All shards that `filter` admits.
    pub(crate) async fn shards(&self, stream: &str, filter: &str) -> anyhow::Result<Vec<ListedShard>> {
        let mut shards = Vec::new();
        let mut input = json!({ "StreamName": stream, "ShardFilter": { "Type": filter } });
        loop {
            let page = self.call("ListShards", &input).await.with_context(|| format!("the shards of {stream}"))?;
            for shard in page["Shards"].as_array().into_iter().flatten() {
                let key = |name: &str| -> anyhow::Result<HashKey> {
                    Ok(shard["HashKeyRange"][name].as_str().unwrap_or_default().parse()?)
                };
                let id = shard["ShardId"].as_str().context("a shard without an id")?.to_owned();
                let range = HashKeyRange { start: key("StartingHashKey")?, end: key("EndingHashKey")? };
                shards.push(ListedShard { id, range });
            }
            match page["NextToken"].as_str() {
                Some(token) => input = json!({ "NextToken": token }),
                None => return Ok(shards),
            }
        }
    }
}
