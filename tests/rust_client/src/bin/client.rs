//! The whole pipeline through the AWS SDK for Rust: function, stream, mapping, records.
//!
//! Arguments: endpoint, role ARN, path of the function's zip, number of records. The role exists already.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_kinesis::config::Region;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_sdk_lambda::types::{EventSourcePosition, FunctionCode, Runtime};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Fallible<()> {
    let [endpoint, role, zip, count] =
        <[String; 4]>::try_from(std::env::args().skip(1).collect::<Vec<_>>()).map_err(|_| "four arguments")?;
    let http = aws_smithy_http_client::Builder::new().build_http();
    let credentials = Credentials::from_keys("123456789012", "secret", None);
    let region = Region::new("eu-west-1");

    let kinesis = aws_sdk_kinesis::Client::from_conf(
        aws_sdk_kinesis::Config::builder()
            .endpoint_url(&endpoint)
            .credentials_provider(credentials.clone())
            .region(region.clone())
            .http_client(http.clone())
            .build(),
    );
    let lambda = aws_sdk_lambda::Client::from_conf(
        aws_sdk_lambda::Config::builder()
            .endpoint_url(&endpoint)
            .credentials_provider(credentials)
            .region(region)
            .http_client(http)
            .build(),
    );

    let code = FunctionCode::builder().zip_file(aws_sdk_lambda::primitives::Blob::new(std::fs::read(zip)?)).build();
    lambda
        .create_function()
        .function_name("rust-function")
        .runtime(Runtime::Providedal2023)
        .handler("bootstrap")
        .role(role)
        .code(code)
        .send()
        .await?;
    kinesis.create_stream().stream_name("rust-stream").shard_count(2).send().await?;
    let stream_arn = active_stream(&kinesis).await?;
    let mapping = lambda
        .create_event_source_mapping()
        .function_name("rust-function")
        .event_source_arn(stream_arn)
        .starting_position(EventSourcePosition::TrimHorizon)
        .send()
        .await?;
    put(&kinesis, count.parse()?).await?;
    read_back(&kinesis, count.parse()?).await?;
    println!("{}", mapping.uuid().ok_or("the mapping has a UUID")?);
    Ok(())
}

async fn active_stream(kinesis: &aws_sdk_kinesis::Client) -> Fallible<String> {
    for _ in 0..200 {
        let answer = kinesis.describe_stream_summary().stream_name("rust-stream").send().await?;
        let summary = answer.stream_description_summary().ok_or("a summary")?;
        if summary.stream_status().as_str() == "ACTIVE" {
            return Ok(summary.stream_arn().to_owned());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("the stream does not become ACTIVE".into())
}

async fn put(kinesis: &aws_sdk_kinesis::Client, count: usize) -> Fallible<()> {
    let entry = |i: usize| {
        PutRecordsRequestEntry::builder().partition_key(format!("key-{i}")).data(Blob::new(format!("rust record {i}"))).build()
    };
    let entries = (0..count).map(entry).collect::<Result<Vec<_>, _>>()?;
    let answer = kinesis.put_records().stream_name("rust-stream").set_records(Some(entries)).send().await?;
    match answer.failed_record_count() {
        None | Some(0) => Ok(()),
        Some(failed) => Err(format!("{failed} records failed").into()),
    }
}

async fn read_back(kinesis: &aws_sdk_kinesis::Client, count: usize) -> Fallible<()> {
    let shards = kinesis.list_shards().stream_name("rust-stream").send().await?;
    let mut seen = 0;
    for shard in shards.shards() {
        let iterator = kinesis
            .get_shard_iterator()
            .stream_name("rust-stream")
            .shard_id(shard.shard_id())
            .shard_iterator_type(aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon)
            .send()
            .await?;
        let answer =
            kinesis.get_records().shard_iterator(iterator.shard_iterator().ok_or("an iterator")?).send().await?;
        seen += answer.records().len();
    }
    if seen == count { Ok(()) } else { Err(format!("{seen} of {count} records were read back").into()) }
}
