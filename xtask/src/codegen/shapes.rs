//! The static shape tables: what the protocol runtimes and the constraint interpreter walk.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use serde_json::Value;

use super::model::{Member, Model, members};
use super::{header, names, patterns, text};

pub(super) fn shapes(model: &Model) -> Result<String> {
    let mut out = header("Shape tables: members and constraints.");
    out.push_str("use crate::shape::{Bounds, Location, Member, Shape, pattern};\n\n");
    for (name, shape) in &model.tables {
        let constant = names::constant(name);
        let value = shape_value(name, shape)?;
        writeln!(out, "pub(crate) static {constant}: Shape = {value};\n")?;
    }
    if !out.contains("Location::") {
        out = out.replace("Location, ", "");
    }
    if !out.contains("pattern!") {
        out = out.replace(", pattern", "");
    }
    Ok(out)
}

fn shape_value(name: &str, shape: &Value) -> Result<String> {
    let bounds = bounds(shape);
    let mut value = match text(shape, "type")? {
        "boolean" => format!("Shape::boolean({name:?})"),
        "integer" => format!("Shape::integer({name:?}, {bounds})"),
        "long" => format!("Shape::long({name:?}, {bounds})"),
        "double" | "float" => format!("Shape::double({name:?}, {bounds})"),
        "timestamp" => format!("Shape::timestamp({name:?})"),
        "blob" => format!("Shape::blob({name:?}, {bounds})"),
        "string" => string_value(name, shape, &bounds),
        "list" => format!("Shape::list({name:?}, &{}, {bounds})", reference(shape, "member")?),
        "map" => {
            let mut map = format!(
                "Shape::map({name:?}, &{}, &{}, {bounds})",
                reference(shape, "key")?,
                reference(shape, "value")?
            );
            let element = |role: &str| shape[role]["locationName"].as_str().unwrap_or(role).to_owned();
            let elements = (element("key"), element("value"));
            if elements != ("key".to_owned(), "value".to_owned()) {
                write!(map, ".entries_named({:?}, {:?})", elements.0, elements.1)?;
            }
            map
        }
        "structure" => structure_value(name, shape)?,
        other => bail!("shape {name} is of the unsupported type {other}"),
    };
    if shape["sensitive"] == true {
        value.push_str(".sensitive()");
    }
    Ok(value)
}

fn string_value(name: &str, shape: &Value, bounds: &str) -> String {
    let mut value = format!("Shape::string({name:?}, {bounds})");
    if let Some(java) = shape["pattern"].as_str() {
        let rust = shape["match"].as_str().map_or_else(|| patterns::to_rust(java), str::to_owned);
        write!(value, ".matching(pattern!({java:?}, {rust:?}))").expect("writing to a string succeeds");
    }
    if let Some(values) = shape["enum"].as_array() {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        write!(value, ".one_of(&{values:?})").expect("writing to a string succeeds");
    }
    value
}

fn structure_value(name: &str, shape: &Value) -> Result<String> {
    let payload = shape["payload"].as_str();
    let mut list = String::new();
    for member in members(shape)? {
        list.push_str(&member_value(&member, payload)?);
        list.push(',');
    }
    Ok(format!("Shape::structure({name:?}, &[{list}])"))
}

fn member_value(member: &Member<'_>, payload: Option<&str>) -> Result<String> {
    let Member { name, shape, required, details } = member;
    let mut value = format!("Member::new({name:?}, &{})", names::constant(shape));
    if *required {
        value.push_str(".required()");
    }
    let location = match details["location"].as_str() {
        None if payload == Some(*name) => Some("Payload"),
        None => None,
        Some("uri") => Some("Uri"),
        Some("querystring") => Some("Query"),
        Some("header") => Some("Header"),
        Some("statusCode") => Some("StatusCode"),
        Some(other) => bail!("member {name} has the unsupported location {other}"),
    };
    if let Some(location) = location {
        write!(value, ".at(Location::{location})")?;
    }
    if let Some(wire_name) = details["locationName"].as_str().filter(|wire_name| wire_name != name) {
        write!(value, ".named({wire_name:?})")?;
    }
    Ok(value)
}

fn bounds(shape: &Value) -> String {
    match (number(&shape["min"]), number(&shape["max"])) {
        (None, None) => "Bounds::NONE".to_owned(),
        (min, max) => format!("Bounds::new({}, {})", literal(min), literal(max)),
    }
}

fn literal(bound: Option<i64>) -> String {
    bound.map_or_else(|| "None".to_owned(), |bound| format!("Some({})", separated(bound)))
}

/// A number with a separator between groups of three digits.
fn separated(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let digits = number.unsigned_abs().to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    // Clippy asks for separators only from six digits on, but they never hurt.
    format!("{sign}{}", groups.join("_"))
}

fn number(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the models' bounds are whole numbers")]
    value.as_i64().or_else(|| value.as_f64().map(|number| number as i64))
}

fn reference(shape: &Value, key: &str) -> Result<String> {
    Ok(names::constant(text(&shape[key], "shape")?))
}
