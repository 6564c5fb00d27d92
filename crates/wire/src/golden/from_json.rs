//! Values from the JSON of a transcript: every member by its name, wherever it travels.

use millstream_env::Timestamp;
use serde_json::Value as Json;

use crate::shape::{Kind, Shape};
use crate::value::Value;

pub(super) fn from_json(shape: &'static Shape, json: &Json) -> Value {
    match (&shape.kind, json) {
        (Kind::Structure(members), Json::Object(given)) => {
            let unknown = given.keys().find(|name| !members.iter().any(|member| member.name == *name));
            assert_eq!(unknown, None, "{} has no such member", shape.name);
            let member =
                |member: &crate::shape::Member| given.get(member.name).map(|json| from_json(member.shape, json));
            Value::Structure(members.iter().map(member).collect())
        }
        (Kind::List { member, .. }, Json::Array(items)) => {
            Value::List(items.iter().map(|item| from_json(member, item)).collect())
        }
        (Kind::Map { value, .. }, Json::Object(entries)) => {
            Value::Map(entries.iter().map(|(key, entry)| (key.clone(), from_json(value, entry))).collect())
        }
        (Kind::String(_), Json::String(text)) => Value::String(text.clone()),
        (Kind::Blob(_), Json::String(text)) => {
            Value::Blob(base64_simd::STANDARD.decode_to_vec(text).expect("base64").into())
        }
        (Kind::Boolean, Json::Bool(value)) => Value::Boolean(*value),
        (Kind::Integer(_) | Kind::Long(_), Json::Number(number)) => Value::Integer(number.as_i64().expect("whole")),
        (Kind::Double(_), Json::Number(number)) => Value::Double(number.as_f64().expect("a number")),
        (Kind::Timestamp, Json::Number(seconds)) => {
            Value::Timestamp(Timestamp::from_seconds(seconds.as_u64().expect("whole seconds")))
        }
        (_, json) => panic!("{json} is no {}", shape.name),
    }
}
