//! A function of a `provided` runtime, on the official Rust runtime client: prints each record's data.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    run(service_fn(handler)).await
}

async fn handler(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let records = event.payload["Records"].as_array().cloned().unwrap_or_default();
    for record in &records {
        let data = record["kinesis"]["data"].as_str().unwrap_or_default();
        let data = base64_simd::STANDARD.decode_to_vec(data)?;
        println!("Decoded payload: {}", String::from_utf8_lossy(&data));
    }
    Ok(json!({ "records": records.len() }))
}
