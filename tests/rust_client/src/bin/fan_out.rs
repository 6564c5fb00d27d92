//! Enhanced fan-out through the AWS SDK for Rust.
//!
//! Arguments: endpoint, region, stream ARN, number of records. The stream has one shard and is empty.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_kinesis::config::Region;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ConsumerStatus, ShardIteratorType, StartingPosition, SubscribeToShardEventStream};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Fallible<()> {
    let [endpoint, region, stream_arn, count] =
        <[String; 4]>::try_from(std::env::args().skip(1).collect::<Vec<_>>()).map_err(|_| "four arguments")?;
    let count: usize = count.parse()?;
    let kinesis = aws_sdk_kinesis::Client::from_conf(
        aws_sdk_kinesis::Config::builder()
            .endpoint_url(&endpoint)
            .credentials_provider(Credentials::from_keys("123456789012", "secret", None))
            .region(Region::new(region))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build(),
    );
    let consumer_arn = active_consumer(&kinesis, &stream_arn).await?;
    let position = StartingPosition::builder().r#type(ShardIteratorType::Latest).build()?;
    let mut subscription = kinesis
        .subscribe_to_shard()
        .consumer_arn(consumer_arn)
        .shard_id("shardId-000000000000")
        .starting_position(position)
        .send()
        .await?
        .event_stream;
    for i in 0..count {
        let data = Blob::new(format!("record {i}"));
        kinesis.put_record().stream_arn(&stream_arn).partition_key("k").data(data).send().await?;
    }
    let mut received = 0;
    while received < count {
        let event = subscription.recv().await?.ok_or("the subscription ended early")?;
        let SubscribeToShardEventStream::SubscribeToShardEvent(event) = event else {
            return Err("an unknown event".into());
        };
        for record in event.records() {
            if record.data().as_ref() != format!("record {received}").as_bytes() {
                return Err(format!("record {received} came out of order").into());
            }
            received += 1;
        }
    }
    println!("received {received} records in order");
    Ok(())
}

async fn active_consumer(kinesis: &aws_sdk_kinesis::Client, stream_arn: &str) -> Fallible<String> {
    let answer = kinesis.register_stream_consumer().stream_arn(stream_arn).consumer_name("rust").send().await?;
    let consumer_arn = answer.consumer().ok_or("a consumer")?.consumer_arn().to_owned();
    for _ in 0..200 {
        let answer = kinesis.describe_stream_consumer().consumer_arn(&consumer_arn).send().await?;
        if answer.consumer_description().is_some_and(|found| *found.consumer_status() == ConsumerStatus::Active) {
            return Ok(consumer_arn);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the consumer does not become ACTIVE".into())
}
