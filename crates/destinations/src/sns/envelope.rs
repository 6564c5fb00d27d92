//! What a queue gets of a message: a notification in JSON, or the message alone.
//!
//! Notifications are not signed: `Signature` and `SigningCertURL` are there and empty, so that whoever verifies them
//! refuses them rather than trusts what nobody vouched for.

use std::collections::BTreeMap;

use millstream_env::Timestamp;
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::attributes::{Attribute, AttributeValue, Attributes};

/// A message as its publisher gave it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) id: String,
    pub(crate) topic_arn: String,
    pub(crate) subject: Option<String>,
    pub(crate) message: String,
    pub(crate) attributes: Attributes,
    pub(crate) moment: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Notification<'a> {
    #[serde(rename = "Type")]
    kind: &'static str,
    message_id: &'a str,
    topic_arn: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    message: &'a str,
    timestamp: String,
    signature_version: &'static str,
    signature: &'static str,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: &'static str,
    #[serde(rename = "UnsubscribeURL")]
    unsubscribe_url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<&'a str, NotifiedAttribute<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NotifiedAttribute<'a> {
    #[serde(rename = "Type")]
    kind: &'a str,
    value: String,
}

/// The body of a notification. `endpoint` is where this server can be reached.
pub(crate) fn notification(published: &Published, subscription_arn: &str, endpoint: &str) -> String {
    let notification = Notification {
        kind: "Notification",
        message_id: &published.id,
        topic_arn: &published.topic_arn,
        subject: published.subject.as_deref(),
        message: &published.message,
        timestamp: iso(published.moment),
        signature_version: "1",
        signature: "",
        signing_cert_url: "",
        unsubscribe_url: format!("{endpoint}/?Action=Unsubscribe&SubscriptionArn={subscription_arn}"),
        message_attributes: published
            .attributes
            .iter()
            .map(|(name, attribute)| (name.as_str(), notified(attribute)))
            .collect(),
    };
    serde_json::to_string(&notification).expect("a notification has text keys and nothing that JSON lacks")
}

fn notified(attribute: &Attribute) -> NotifiedAttribute<'_> {
    let value = match &attribute.value {
        AttributeValue::Text(text) => text.clone(),
        AttributeValue::Binary(data) => base64_simd::STANDARD.encode_to_string(data),
    };
    NotifiedAttribute { kind: &attribute.data_type, value }
}

/// `2012-05-02T00:54:06.655Z`
fn iso(moment: Timestamp) -> String {
    const FORM: &[time::format_description::BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment.millis()) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(FORM).expect("the form asks for nothing that a moment lacks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_as_documented() {
        let text = Attribute { data_type: "String".to_owned(), value: AttributeValue::Text("x".to_owned()) };
        let binary = Attribute { data_type: "Binary".to_owned(), value: AttributeValue::Binary(vec![0, 1].into()) };
        let published = Published {
            id: "m".to_owned(),
            topic_arn: "arn:aws:sns:us-west-2:123456789012:t".to_owned(),
            subject: Some("s".to_owned()),
            message: "say \"hi\"".to_owned(),
            attributes: [("t".to_owned(), text), ("b".to_owned(), binary)].into(),
            moment: Timestamp::from_millis(1_335_920_046_655),
        };
        let told = notification(&published, "arn:aws:sns:us-west-2:123456789012:t:4e2a", "http://h:1");
        assert_eq!(
            told,
            concat!(
                r#"{"Type":"Notification","MessageId":"m","TopicArn":"arn:aws:sns:us-west-2:123456789012:t","Subject":"s","#,
                r#""Message":"say \"hi\"","Timestamp":"2012-05-02T00:54:06.655Z","SignatureVersion":"1","Signature":"","#,
                r#""SigningCertURL":"","UnsubscribeURL":"http://h:1/?Action=Unsubscribe&SubscriptionArn="#,
                r#"arn:aws:sns:us-west-2:123456789012:t:4e2a","MessageAttributes":{"b":{"Type":"Binary","Value":"AAE="},"#,
                r#""t":{"Type":"String","Value":"x"}}}"#
            )
        );
        let plain = Published { subject: None, attributes: Attributes::new(), ..published };
        let told = notification(&plain, "a", "e");
        assert!(!told.contains("Subject\"") && !told.contains("MessageAttributes"));
    }
}
