//! The rules once more, written to be plain and not quick: leaves with the array elements they are in, every choice
//! tried.

use serde_json::Value;

type Membership = Vec<(usize, usize)>;

struct Leaf {
    path: Vec<String>,
    value: Value,
    /// Arrays around the innermost object that holds the leaf, each with the element's index.
    membership: Membership,
}

struct Condition {
    path: Vec<String>,
    tests: Vec<Value>,
}

/// Whether `data` matches the value of `data` in a pattern.
pub(super) fn matches(pattern: &Value, data: &Value) -> bool {
    let mut leaves = Vec::new();
    collect(data, &[], &vec![], &vec![], &mut 0, &mut leaves);
    branches(pattern, &[]).iter().any(|branch| holds(branch, &leaves, &vec![], &mut Vec::new()))
}

fn collect(
    value: &Value,
    path: &[String],
    object: &Membership,
    all: &Membership,
    arrays: &mut usize,
    leaves: &mut Vec<Leaf>,
) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                collect(value, &[path, std::slice::from_ref(key)].concat(), all, all, arrays, leaves);
            }
        }
        Value::Array(elements) => {
            let id = *arrays;
            *arrays += 1;
            for (index, element) in elements.iter().enumerate() {
                collect(element, path, object, &[all.as_slice(), &[(id, index)]].concat(), arrays, leaves);
            }
        }
        scalar => leaves.push(Leaf { path: path.to_vec(), value: scalar.clone(), membership: object.clone() }),
    }
}

fn branches(pattern: &Value, path: &[String]) -> Vec<Vec<Condition>> {
    let mut all = vec![vec![]];
    for (key, value) in pattern.as_object().unwrap() {
        let inner = [path, std::slice::from_ref(key)].concat();
        let alternatives = match value {
            Value::Array(elements) if key == "$or" => elements.iter().flat_map(|e| branches(e, path)).collect(),
            Value::Array(tests) => vec![vec![Condition { path: inner, tests: tests.clone() }]],
            object => branches(object, &inner),
        };
        let join = |left: &Vec<Condition>, right: &Vec<Condition>| {
            left.iter().chain(right).map(|c| Condition { path: c.path.clone(), tests: c.tests.clone() }).collect()
        };
        all = all.iter().flat_map(|l| alternatives.iter().map(move |r| join(l, r))).collect();
    }
    all
}

/// Conditions are fulfilled by a value each, or put off to `absent`, which is looked at last.
fn holds<'a>(rest: &'a [Condition], leaves: &[Leaf], chosen: &Membership, absent: &mut Vec<&'a Condition>) -> bool {
    let Some((condition, rest)) = rest.split_first() else {
        let there = |condition: &&Condition| {
            leaves.iter().any(|leaf| leaf.path == condition.path && consistent(chosen, &leaf.membership))
        };
        return !absent.iter().any(there);
    };
    for leaf in leaves {
        let passes = leaf.path == condition.path && condition.tests.iter().any(|test| passes(test, &leaf.value));
        if passes && consistent(chosen, &leaf.membership) {
            let chosen = [chosen.as_slice(), &leaf.membership].concat();
            if holds(rest, leaves, &chosen, absent) {
                return true;
            }
        }
    }
    if condition.tests.iter().any(|test| test["exists"] == Value::Bool(false)) {
        absent.push(condition);
        let found = holds(rest, leaves, chosen, absent);
        absent.pop();
        return found;
    }
    false
}

fn consistent(a: &Membership, b: &Membership) -> bool {
    a.iter().all(|(array, index)| b.iter().all(|(other, i)| array != other || index == i))
}

fn passes(test: &Value, value: &Value) -> bool {
    let Some(operator) = test.as_object() else { return test == value };
    let (name, operand) = operator.iter().next().unwrap();
    let text = value.as_str();
    match name.as_str() {
        "exists" => operand == true,
        "prefix" => text.is_some_and(|text| text.starts_with(operand.as_str().unwrap())),
        "suffix" => text.is_some_and(|text| text.ends_with(operand.as_str().unwrap())),
        "equals-ignore-case" => text.is_some_and(|text| text.eq_ignore_ascii_case(operand.as_str().unwrap())),
        "anything-but" => match operand {
            Value::Object(inner) => !passes(&Value::Object(inner.clone()), value),
            Value::Array(values) => !values.contains(value),
            _ => unreachable!("not generated"),
        },
        "numeric" => {
            let terms = operand.as_array().unwrap();
            value.as_f64().is_some_and(|number| {
                terms.chunks(2).all(|pair| {
                    let bound = pair[1].as_f64().unwrap();
                    match pair[0].as_str().unwrap() {
                        "=" => (number - bound).abs() < 1e-9,
                        "<" => number < bound,
                        "<=" => number <= bound,
                        ">" => number > bound,
                        _ => number >= bound,
                    }
                })
            })
        }
        _ => unreachable!("not generated"),
    }
}
