//! Which mapping a person means: by UUID, by the beginning of one, or by a function that has just one.

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::own::{Own, text};

const UUID_CHARACTERS: usize = 36;
/// Mappings that a refusal names.
const NAMED_MAX: usize = 10;

/// The UUID of the mapping called `name`.
pub(super) async fn uuid(own: &Own, name: &str) -> anyhow::Result<String> {
    if is_uuid(name) {
        return Ok(name.to_ascii_lowercase());
    }
    let listed = own.listed().await.context("the mappings cannot be listed; name one by its whole UUID")?;
    choose(&listed, name)
}

fn choose(listed: &[Value], name: &str) -> anyhow::Result<String> {
    let lower = name.to_ascii_lowercase();
    let is_meant = |mapping: &&Value| {
        is_function(text(mapping, "FunctionArn"), name)
            || (!name.is_empty() && text(mapping, "UUID").starts_with(&lower))
    };
    let found: Vec<&Value> = listed.iter().filter(is_meant).collect();
    match found.as_slice() {
        [one] => Ok(text(one, "UUID").to_owned()),
        [] => {
            bail!("no event source mapping or function with a mapping is called {name}; see: millstream mappings list")
        }
        several => {
            let line = |mapping: &&Value| {
                format!("\n  {}  {}", text(mapping, "UUID"), source(text(mapping, "EventSourceArn")))
            };
            let lines: String = several.iter().take(NAMED_MAX).map(line).collect();
            bail!("{} mappings are called {name}; name one by its UUID:{lines}", several.len())
        }
    }
}

/// Whether `name` is the function of this ARN, with its qualifier or without.
fn is_function(arn: &str, name: &str) -> bool {
    let function = function(arn);
    arn == name || function == name || function.split_once(':').is_some_and(|(function, _)| function == name)
}

/// `NAME` or `NAME:QUALIFIER` of a function's ARN.
pub(super) fn function(arn: &str) -> &str {
    arn.splitn(7, ':').nth(6).unwrap_or(arn)
}

/// The name in the ARN of a stream; with a consumer's, both.
pub(super) fn source(arn: &str) -> String {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    let mut parts = resource.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("stream"), Some(stream), Some("consumer"), Some(consumer)) => {
            let name = consumer.split(':').next().unwrap_or(consumer);
            format!("{stream} (consumer {name})")
        }
        (Some("stream"), Some(stream), None, None) => stream.to_owned(),
        _ => resource.to_owned(),
    }
}

fn is_uuid(name: &str) -> bool {
    name.len() == UUID_CHARACTERS && name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ORDERS: &str = "11110000-0000-4000-8000-000000000001";
    const LIVE: &str = "11220000-0000-4000-8000-000000000002";
    const AUDIT: &str = "33330000-0000-4000-8000-000000000003";

    fn check(name: &str, expected: Result<&str, &str>) {
        let mapping = |uuid: &str, function: &str| {
            json!({
                "UUID": uuid, "FunctionArn": format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"),
                "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
            })
        };
        let listed = [mapping(ORDERS, "orders"), mapping(LIVE, "shop:live"), mapping(AUDIT, "shop")];
        match (choose(&listed, name), expected) {
            (Ok(uuid), Ok(expected)) => assert_eq!(uuid, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, _) => panic!("{name} gives {found:?}"),
        }
    }

    #[test]
    fn a_mapping_has_several_names() {
        check("orders", Ok(ORDERS));
        check("1111", Ok(ORDERS));
        check("33330000-00", Ok(AUDIT));
        check("shop:live", Ok(LIVE));
        check("arn:aws:lambda:us-east-1:000000000000:function:shop", Ok(AUDIT));
        check("11", Err("2 mappings"));
        check("shop", Err(LIVE));
        check("order", Err("mappings list"));
        check("", Err("mappings list"));
    }

    #[test]
    fn sources_are_named_as_people_do() {
        let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
        assert_eq!(source(arn), "s");
        assert_eq!(source(&format!("{arn}/consumer/c:1700000000")), "s (consumer c)");
        assert_eq!(function("arn:aws:lambda:us-east-1:000000000000:function:f:7"), "f:7");
    }
}
