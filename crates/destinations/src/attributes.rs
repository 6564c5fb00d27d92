//! Attributes of messages, which queues and topics share, and their MD5.

use std::collections::BTreeMap;

use bytes::Bytes;
use md5::{Digest as _, Md5};

/// Attributes of one message (SQS guide, "Amazon SQS message metadata").
pub(crate) const ATTRIBUTES_MAX: usize = 10;
const NAME_LENGTH_MAX: usize = 256;

/// The attributes of a message by name.
pub(crate) type Attributes = BTreeMap<String, Attribute>;

/// One attribute.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Attribute {
    /// `String`, `Number` or `Binary`, perhaps with a label behind a dot.
    #[serde(rename = "type")]
    pub(crate) data_type: String,
    pub(crate) value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AttributeValue {
    Text(String),
    Binary(#[serde(with = "base64_text")] Bytes),
}

impl Attribute {
    /// Checks what a client gave. The error is SQS's text, which SNS repeats behind "Invalid parameter: ".
    pub(crate) fn new(
        name: &str,
        data_type: String,
        text: Option<String>,
        binary: Option<Bytes>,
    ) -> Result<Self, String> {
        check_name(name)?;
        let kind = data_type.split('.').next().unwrap_or_default();
        let empty =
            |kind: &str| format!("Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'.");
        let value = match kind {
            "String" | "Number" => {
                AttributeValue::Text(text.filter(|text| !text.is_empty()).ok_or_else(|| empty("String"))?)
            }
            "Binary" => AttributeValue::Binary(binary.filter(|data| !data.is_empty()).ok_or_else(|| empty("Binary"))?),
            "" => return Err(format!("Message (user) attribute '{name}' must contain a non-empty attribute type.")),
            _ => {
                return Err(format!(
                    "Message (user) attribute '{name}' has an invalid message attribute type, the set of supported type \
                     prefixes is Binary, Number, and String."
                ));
            }
        };
        if let ("Number", AttributeValue::Text(text)) = (kind, &value)
            && !text.trim().parse::<f64>().is_ok_and(f64::is_finite)
        {
            return Err(format!("Can't cast the value of message (user) attribute '{name}' to a number."));
        }
        if data_type.len() > NAME_LENGTH_MAX {
            return Err(format!(
                "Message (user) attribute '{name}' has a type longer than {NAME_LENGTH_MAX} characters."
            ));
        }
        Ok(Self { data_type, value })
    }

    /// What it adds to the size of its message.
    pub(crate) fn bytes(&self, name: &str) -> usize {
        name.len() + self.data_type.len() + self.value.as_bytes().len()
    }
}

impl AttributeValue {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) => data,
        }
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let reserved = ["aws.", "amazon."]
        .iter()
        .any(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
    let valid = (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !reserved;
    if valid { Ok(()) } else { Err(format!("Message (user) attribute name '{name}' is not valid.")) }
}

/// The MD5 of a body.
pub(crate) fn md5_of(text: &[u8]) -> String {
    hex(&Md5::digest(text))
}

/// The MD5 of attributes, `None` when there are none: per attribute in order of name its name, its type and its value, each
/// behind its length as four bytes, the value also behind a byte that says text (1) or binary (2) (SQS guide, "Calculating
/// the MD5 message digest for message attributes").
pub(crate) fn md5_of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a String, &'a Attribute)>,
) -> Option<String> {
    let mut md5 = Md5::new();
    let mut any = false;
    for (name, attribute) in attributes {
        any = true;
        add(&mut md5, name.as_bytes());
        add(&mut md5, attribute.data_type.as_bytes());
        md5.update([if matches!(attribute.value, AttributeValue::Text(_)) { 1 } else { 2 }]);
        add(&mut md5, attribute.value.as_bytes());
    }
    any.then(|| hex(&md5.finalize()))
}

fn add(md5: &mut Md5, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("attributes are smaller than a message");
    md5.update(length.to_be_bytes());
    md5.update(bytes);
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string succeeds");
    }
    text
}

/// Binary values as base64 in JSON.
mod base64_text {
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(data: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64_simd::STANDARD.encode_to_string(data))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        let decoded = base64_simd::STANDARD.decode_to_vec(&text).map_err(D::Error::custom)?;
        Ok(decoded.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(data_type: &str, value: &str) -> Attribute {
        Attribute { data_type: data_type.to_owned(), value: AttributeValue::Text(value.to_owned()) }
    }

    #[test]
    fn names_types_and_values_are_checked() {
        let check = |name: &str, data_type: &str, value: Option<&str>| {
            Attribute::new(name, data_type.to_owned(), value.map(str::to_owned), None).is_ok()
        };
        assert!(check("a.b-c_9", "String.label", Some("x")) && check("n", "Number", Some("-1.5e3")));
        for (name, data_type, value) in [
            ("", "String", Some("x")),
            (".a", "String", Some("x")),
            ("a..b", "String", Some("x")),
            ("aws.a", "String", Some("x")),
            ("AMAZON.a", "String", Some("x")),
            ("a b", "String", Some("x")),
            ("a", "Text", Some("x")),
            ("a", "", Some("x")),
            ("a", "String", Some("")),
            ("a", "String", None),
            ("a", "Binary", Some("x")),
            ("a", "Number", Some("one")),
        ] {
            assert!(!check(name, data_type, value), "{name} {data_type} {value:?}");
        }
    }

    #[test]
    fn md5_of_attributes_is_as_at_aws() {
        // Answers of SQS to messages with one attribute.
        for (name, data_type, value, expected) in [
            ("timestamp", "Number", "1493147359900", "235c5c510d26fb653d073faed50ae77c"),
            ("timestamp", "Number", "1493147359901", "994258b45346a2cc3f9cbb611aa7af30"),
            ("timestamp", "Number.java.lang.Long", "1493147359900", "2e2e4876d8e0bd6b8c2c8f556831c349"),
            ("SOME_Valid.attribute-Name", "Number", "1493147359900", "36655e7e9d7c0e8479fa3f3f42247ae7"),
        ] {
            let attributes: Attributes = [(name.to_owned(), text(data_type, value))].into();
            assert_eq!(md5_of_attributes(&attributes).as_deref(), Some(expected), "{name} {data_type}");
        }
        assert_eq!(md5_of(b"derp"), "58fd9edd83341c29f1aebba81c31e257");
        assert_eq!(md5_of_attributes(&Attributes::new()), None);
    }

    proptest! {
        #[test]
        fn stored_attributes_come_back(name in "[a-z]{1,9}", label in "[a-z]{0,5}", data in prop::collection::vec(any::<u8>(), 1..64)) {
            let attributes: Attributes = [
                (name.clone(), Attribute { data_type: format!("Binary.{label}"), value: AttributeValue::Binary(data.into()) }),
                (format!("{name}2"), text("String", &label)),
            ].into();
            let stored = serde_json::to_vec(&attributes).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Attributes>(&stored).unwrap(), attributes);
        }
    }
}
