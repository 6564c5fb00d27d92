//! Random patterns on random data: the compiled tree says what the naive rules say.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{naive, parse, passes};

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(-1.5),
        json!(""),
        json!("x"),
        json!("X"),
        json!("xy"),
        json!("yx \"\\\n"),
    ])
}

fn data() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(key(), inner, 0..4).prop_map(|m| Value::Object(Map::from_iter(m))),
        ]
    })
}

fn test() -> impl Strategy<Value = Value> {
    let operators = prop::sample::select(vec![
        json!({"exists": true}),
        json!({"exists": false}),
        json!({"exists": false}),
        json!({"prefix": "x"}),
        json!({"suffix": "x"}),
        json!({"equals-ignore-case": "x"}),
        json!({"anything-but": ["x", ""]}),
        json!({"anything-but": [1, 2]}),
        json!({"anything-but": {"prefix": "x"}}),
        json!({"numeric": ["=", 1]}),
        json!({"numeric": [">", -1.5, "<=", 1]}),
        json!({"numeric": [">=", -1.5, "<", 1]}),
        json!({"numeric": ["<", 1]}),
    ]);
    prop_oneof![scalar(), operators]
}

/// Objects of a pattern; a key has an array, an object, or is `$or` with objects.
fn pattern() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::vec(test(), 1..3).prop_map(Value::Array);
    let object = prop::collection::btree_map(key(), leaf, 1..3).prop_map(|m| Value::Object(Map::from_iter(m)));
    object.prop_recursive(3, 12, 3, |inner| {
        let leaf = prop::collection::vec(test(), 1..3).prop_map(Value::Array);
        let members = prop::collection::btree_map(key(), prop_oneof![leaf, inner.clone()], 1..3);
        (members, prop::option::of(prop::collection::vec(inner, 2..3))).prop_map(|(members, or)| {
            let mut object = Map::from_iter(members);
            if let Some(alternatives) = or {
                object.insert("$or".to_owned(), Value::Array(alternatives));
            }
            Value::Object(object)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_tree_agrees_with_the_naive_rules(patterns in prop::collection::vec(pattern(), 1..3), data in data()) {
        let texts: Vec<String> = patterns.iter().map(|pattern| json!({"data": pattern}).to_string()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        prop_assume!(parse(&texts).is_ok());
        let expected = patterns.iter().any(|pattern| naive::matches(pattern, &data));
        prop_assert_eq!(passes(&texts, data.to_string().as_bytes()), expected, "{:?} {}", texts, data);
    }

    /// The order in which an object's members are written does not matter.
    #[test]
    fn spacing_does_not_matter(pattern in pattern(), data in data()) {
        let compact = json!({"data": pattern}).to_string();
        let pretty = serde_json::to_string_pretty(&json!({"data": pattern})).unwrap();
        prop_assume!(parse(&[&compact]).is_ok());
        prop_assert_eq!(
            passes(&[&compact], data.to_string().as_bytes()),
            passes(&[&pretty], serde_json::to_string_pretty(&data).unwrap().as_bytes())
        );
    }
}
