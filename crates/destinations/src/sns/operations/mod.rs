//! What the operations of SNS do. Permissions are checked before.

mod publish;
mod subscriptions;
mod tags;
mod topics;

use super::failure::Failure;

/// Items of a listing's page (`ListTopics`, `ListSubscriptions`).
const PAGE_ITEMS: usize = 100;

fn write_token(text: &str) -> String {
    base64_simd::STANDARD.encode_to_string(text)
}

fn read_token(token: Option<String>) -> Result<String, Failure> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(String::new()) };
    let text = base64_simd::STANDARD.decode_to_vec(&token).ok().and_then(|text| String::from_utf8(text).ok());
    text.ok_or_else(|| Failure::InvalidParameter("Invalid parameter: NextToken".to_owned()))
}
