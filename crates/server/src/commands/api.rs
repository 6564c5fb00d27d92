//! The AWS calls that `demo` and `bench` make, over the same HTTP that any client uses.

use std::io::{Cursor, Write as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::Method;
use millstream_client::{Client, Credentials};
use millstream_env::HostClock;
use serde_json::{Value, json};

/// The region of everything that the commands make.
pub(crate) const REGION: &str = "us-east-1";
/// Lets Lambda and the account itself use the role.
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com","AWS":"000000000000"},"Action":"sts:AssumeRole"}]}"#;
/// How long anything may take to become ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
const READY_PAUSE: Duration = Duration::from_millis(10);

/// A server, spoken to as one caller.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: Client,
    clock: HostClock,
}

/// A line of a function's log.
#[derive(Clone, Debug)]
pub(crate) struct LogLine {
    pub(crate) timestamp: u64,
    pub(crate) event_id: String,
    pub(crate) message: String,
}

/// Environments write at the same time: a line may become visible after newer ones of another environment.
const LATE_LINES_MS: u64 = 5000;

/// What a function is made of.
#[derive(Debug)]
pub(crate) struct FunctionCode<'a> {
    pub(crate) runtime: &'a str,
    pub(crate) handler: &'a str,
    /// One file of the package: its name, content and mode.
    pub(crate) file: (&'a str, &'a [u8], u32),
}

impl Api {
    pub(crate) fn new(endpoint: &str, credentials: Credentials, clock: HostClock) -> anyhow::Result<Self> {
        Ok(Self { client: Client::new(endpoint, credentials, REGION, clock.clone())?, clock })
    }

    async fn kinesis(&self, operation: &str, input: Value) -> anyhow::Result<Value> {
        let target = format!("Kinesis_20131202.{operation}");
        self.client.json("kinesis", &target, &input).await.with_context(|| format!("kinesis {operation}"))
    }

    async fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> anyhow::Result<String> {
        self.client.query("iam", "2010-05-08", action, parameters).await.with_context(|| format!("iam {action}"))
    }

    async fn lambda(&self, method: Method, path: &str, input: Option<Value>) -> anyhow::Result<Value> {
        let body = input.map(|input| input.to_string()).unwrap_or_default();
        let answer = self.client.rest("lambda", &method, path, body.into()).await;
        let answer = answer.with_context(|| format!("lambda {method} {path}"))?;
        if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
    }

    /// Makes a role that Lambda may assume, with AWS-managed policies; its ARN. One that exists already is taken as it is.
    pub(crate) async fn role(&self, name: &str, policies: &[&str]) -> anyhow::Result<String> {
        let made = self.iam("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", TRUST)]).await;
        if let Err(error) = made
            && !is(&error, "EntityAlreadyExists")
        {
            return Err(error);
        }
        for policy in policies {
            let arn = format!("arn:aws:iam::aws:policy/{policy}");
            self.iam("AttachRolePolicy", &[("RoleName", name), ("PolicyArn", &arn)]).await?;
        }
        Ok(format!("arn:aws:iam::000000000000:role/{name}"))
    }

    /// A session of `role`: a key that Millstream issued, and therefore verifies.
    pub(crate) async fn assume(&self, role: &str) -> anyhow::Result<Credentials> {
        let parameters = [("RoleArn", role), ("RoleSessionName", "millstream"), ("DurationSeconds", "3600")];
        let xml = self.client.query("sts", "2011-06-15", "AssumeRole", &parameters).await.context("sts AssumeRole")?;
        let element = |name: &str| -> anyhow::Result<String> {
            let (_, rest) = xml.split_once(&format!("<{name}>")).with_context(|| format!("no {name} in the answer"))?;
            let (text, _) = rest.split_once("</").context("an element that does not end")?;
            Ok(text.to_owned())
        };
        Ok(Credentials {
            access_key_id: element("AccessKeyId")?,
            secret_access_key: element("SecretAccessKey")?,
            session_token: Some(element("SessionToken")?),
        })
    }

    /// Makes a function and waits until it is active.
    pub(crate) async fn function(&self, name: &str, code: &FunctionCode<'_>, role: &str) -> anyhow::Result<()> {
        let zip = zipped(code.file)?;
        let input = json!({
            "FunctionName": name, "Runtime": code.runtime, "Handler": code.handler, "Role": role, "Timeout": 30,
            "MemorySize": 256, "Code": { "ZipFile": base64_simd::STANDARD.encode_to_string(zip) },
        });
        self.lambda(Method::POST, "/2015-03-31/functions", Some(input)).await?;
        let path = format!("/2015-03-31/functions/{name}/configuration");
        self.until("the function to become active", async || {
            Ok(self.lambda(Method::GET, &path, None).await?["State"] == "Active")
        })
        .await
    }

    /// The same, where a function of that name may be left from an earlier run: its code is replaced.
    pub(crate) async fn function_or_existing(
        &self,
        name: &str,
        code: &FunctionCode<'_>,
        role: &str,
    ) -> anyhow::Result<()> {
        match self.function(name, code, role).await {
            Err(error) if is(&error, "ResourceConflictException") => {
                self.lambda(Method::DELETE, &format!("/2015-03-31/functions/{name}"), None).await?;
                self.function(name, code, role).await
            }
            made => made,
        }
    }

    /// Makes a stream, waits until it is active, and gives its ARN.
    pub(crate) async fn stream(&self, name: &str, shards: u32) -> anyhow::Result<String> {
        self.kinesis("CreateStream", json!({ "StreamName": name, "ShardCount": shards })).await?;
        let mut arn = None;
        self.until("the stream to become active", async || {
            let answer = self.kinesis("DescribeStreamSummary", json!({ "StreamName": name })).await?;
            let summary = &answer["StreamDescriptionSummary"];
            arn = summary["StreamARN"].as_str().map(str::to_owned);
            Ok(summary["StreamStatus"] == "ACTIVE")
        })
        .await?;
        arn.context("an active stream has an ARN")
    }

    /// Registers a consumer of a stream, waits until it is active, and gives its ARN.
    pub(crate) async fn consumer(&self, stream: &str, name: &str) -> anyhow::Result<String> {
        let described = self.kinesis("DescribeStreamSummary", json!({ "StreamName": stream })).await?;
        let stream_arn = described["StreamDescriptionSummary"]["StreamARN"].clone();
        let input = json!({ "StreamARN": stream_arn, "ConsumerName": name });
        let registered = self.kinesis("RegisterStreamConsumer", input.clone()).await?;
        self.until("the consumer to become active", async || {
            let answer = self.kinesis("DescribeStreamConsumer", input.clone()).await?;
            Ok(answer["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE")
        })
        .await?;
        let arn = registered["Consumer"]["ConsumerARN"].as_str();
        Ok(arn.context("a consumer has an ARN")?.to_owned())
    }

    /// The same, where the stream may be left from an earlier run.
    pub(crate) async fn stream_or_existing(&self, name: &str, shards: u32) -> anyhow::Result<String> {
        match self.stream(name, shards).await {
            Err(error) if is(&error, "ResourceInUseException") => {
                let answer = self.kinesis("DescribeStreamSummary", json!({ "StreamName": name })).await?;
                let arn = answer["StreamDescriptionSummary"]["StreamARN"].as_str();
                Ok(arn.context("a stream has an ARN")?.to_owned())
            }
            made => made,
        }
    }

    pub(crate) async fn put_record(&self, stream: &str, partition_key: &str, data: &[u8]) -> anyhow::Result<()> {
        let data = base64_simd::STANDARD.encode_to_string(data);
        let input = json!({ "StreamName": stream, "PartitionKey": partition_key, "Data": data });
        self.kinesis("PutRecord", input).await.map(drop)
    }

    /// Makes an event source mapping from the trim horizon on, waits until it is enabled, and gives its UUID.
    pub(crate) async fn mapping(&self, function: &str, stream_arn: &str, batch_size: u32) -> anyhow::Result<String> {
        let input = json!({
            "FunctionName": function, "EventSourceArn": stream_arn, "BatchSize": batch_size,
            "StartingPosition": "TRIM_HORIZON",
        });
        let mapping = self.lambda(Method::POST, "/2015-03-31/event-source-mappings", Some(input)).await?;
        let uuid = mapping["UUID"].as_str().context("a mapping has a UUID")?.to_owned();
        let path = format!("/2015-03-31/event-source-mappings/{uuid}");
        self.until("the mapping to become enabled", async || {
            Ok(self.lambda(Method::GET, &path, None).await?["State"] == "Enabled")
        })
        .await?;
        Ok(uuid)
    }

    /// The same, where the mapping may be left from an earlier run.
    pub(crate) async fn mapping_or_existing(
        &self,
        function: &str,
        stream_arn: &str,
        batch_size: u32,
    ) -> anyhow::Result<String> {
        match self.mapping(function, stream_arn, batch_size).await {
            Err(error) if is(&error, "ResourceConflictException") => {
                let path = format!("/2015-03-31/event-source-mappings?FunctionName={function}");
                let listed = self.lambda(Method::GET, &path, None).await?;
                let uuid = listed["EventSourceMappings"][0]["UUID"].as_str();
                Ok(uuid.context("the mapping that exists is listed")?.to_owned())
            }
            made => made,
        }
    }

    /// The lines of a function's log around and after the newest one seen (milliseconds); the caller knows from their ids
    /// which are new. Empty while there is no log group.
    pub(crate) async fn log_lines(&self, function: &str, newest_seen: u64) -> anyhow::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        let start_time = newest_seen.saturating_sub(LATE_LINES_MS);
        let mut input = json!({ "logGroupName": format!("/aws/lambda/{function}"), "startTime": start_time });
        loop {
            let page = match self.client.json("logs", "Logs_20140328.FilterLogEvents", &input).await {
                Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(lines),
                page => page.context("logs FilterLogEvents")?,
            };
            for event in page["events"].as_array().map(Vec::as_slice).unwrap_or_default() {
                lines.push(LogLine {
                    timestamp: event["timestamp"].as_u64().unwrap_or_default(),
                    event_id: event["eventId"].as_str().unwrap_or_default().to_owned(),
                    message: event["message"].as_str().unwrap_or_default().to_owned(),
                });
            }
            match page.get("nextToken") {
                Some(token) => input["nextToken"] = token.clone(),
                None => return Ok(lines),
            }
        }
    }

    async fn until(&self, what: &str, mut ready: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let started = self.clock.monotonic();
        loop {
            match ready().await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // A server with AWS's limits is asked too often: that says nothing about what is waited for.
                Err(error) if is(&error, "LimitExceededException") => {}
                Err(error) => return Err(error),
            }
            if self.clock.monotonic().saturating_sub(started) > READY_LIMIT {
                bail!("waited {} s for {what}", READY_LIMIT.as_secs());
            }
            self.clock.sleep(READY_PAUSE).await;
        }
    }
}

/// Whether a call was refused with this code.
fn is(error: &anyhow::Error, code: &str) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<millstream_client::Error>().is_some_and(|e| e.code() == Some(code)))
}

fn zipped((name, content, mode): (&str, &[u8], u32)) -> anyhow::Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file(name, zip::write::SimpleFileOptions::default().unix_permissions(mode))?;
    archive.write_all(content)?;
    Ok(archive.finish()?.into_inner())
}
