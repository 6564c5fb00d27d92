//! The typed structures and enumerations.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, bail};
use serde_json::Value;

use super::model::{Member, Model, members};
use super::{header, names, text};

/// Rust types that a structure file may have to import, with their paths.
const IMPORTS: [(&str, &str); 3] = [
    ("BTreeMap<", "std::collections::BTreeMap"),
    ("Bytes", "bytes::Bytes"),
    ("Timestamp", "millstream_env::Timestamp"),
];

pub(super) fn structures(model: &Model) -> Result<String> {
    let mut body = String::new();
    for (name, shape) in model.structures() {
        let derives = if has_default(model, shape, &mut BTreeSet::new())? { "    #[derive(Default)]\n" } else { "" };
        write!(body, "structure! {{\n{derives}    pub struct {} {{\n", names::type_name(name))?;
        for member in members(shape)? {
            let sensitive = if is_sensitive(model, member.shape)? { "@secret " } else { "" };
            writeln!(body, "        {sensitive}{}: {},", names::field(member.name), field_type(model, &member)?)?;
        }
        body.push_str("    }\n}\n\n");
    }
    let mut out = header("Structures: the inputs, the outputs and what they hold.");
    for (word, path) in IMPORTS {
        if body.contains(&format!(" {word}")) || body.contains(&format!("<{word}")) {
            writeln!(out, "use {path};")?;
        }
    }
    out.push_str("\nuse crate::typed::structure;\n\n");
    out.push_str(&enumeration_import(model, &body));
    Ok(out + &body)
}

/// The `use` of the enumerations that the text of a file names.
pub(super) fn enumeration_import(model: &Model, body: &str) -> String {
    let enumerations = model.shapes.iter().filter(|(_, shape)| shape["enum"].is_array());
    let used: Vec<String> = enumerations
        .map(|(name, _)| names::type_name(name))
        .filter(|name| {
            ["<", " "]
                .iter()
                .any(|before| [">", ","].iter().any(|after| body.contains(&format!("{before}{name}{after}"))))
        })
        .collect();
    if used.is_empty() { String::new() } else { format!("use super::enums::{{{}}};\n\n", used.join(", ")) }
}

pub(super) fn enumerations(model: &Model) -> Result<String> {
    let mut out = header("Enumerations.");
    let mut any = false;
    for (name, shape) in &model.shapes {
        let Some(values) = shape["enum"].as_array() else { continue };
        if !any {
            out.push_str("use crate::typed::enumeration;\n\n");
            any = true;
        }
        write!(out, "enumeration! {{\n    pub enum {} {{\n", names::type_name(name))?;
        let mut seen = BTreeSet::new();
        for value in values.iter().filter_map(Value::as_str) {
            let variant = names::variant(value);
            if !seen.insert(variant.clone()) {
                bail!("two values of {name} become the variant {variant}");
            }
            writeln!(out, "        {variant} = {value:?},")?;
        }
        out.push_str("    }\n}\n\n");
    }
    Ok(out)
}

/// The type of a field: plain when the member is required, else an `Option`.
pub(super) fn field_type(model: &Model, member: &Member<'_>) -> Result<String> {
    let plain = rust_type(model, member.shape)?;
    Ok(if member.required { plain } else { format!("Option<{plain}>") })
}

fn rust_type(model: &Model, name: &str) -> Result<String> {
    let shape = model.shape(name)?;
    Ok(match text(shape, "type")? {
        "string" if shape["enum"].is_array() => names::type_name(name),
        "string" => "String".to_owned(),
        "integer" => "i32".to_owned(),
        "long" => "i64".to_owned(),
        "double" | "float" => "f64".to_owned(),
        "boolean" => "bool".to_owned(),
        "blob" => "Bytes".to_owned(),
        "timestamp" => "Timestamp".to_owned(),
        "list" => format!("Vec<{}>", rust_type(model, text(&shape["member"], "shape")?)?),
        "map" => format!("BTreeMap<String, {}>", rust_type(model, text(&shape["value"], "shape")?)?),
        "structure" => names::type_name(name),
        other => bail!("shape {name} is of the unsupported type {other}"),
    })
}

/// Whether a value without any members given makes sense: no required member is an enumeration.
fn has_default<'a>(model: &'a Model, shape: &'a Value, above: &mut BTreeSet<&'a str>) -> Result<bool> {
    for member in members(shape)?.into_iter().filter(|member| member.required) {
        let inner = model.shape(member.shape)?;
        let fine = match text(inner, "type")? {
            "string" => !inner["enum"].is_array(),
            "structure" => above.insert(member.shape) && has_default(model, inner, above)?,
            _ => true,
        };
        if !fine {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_sensitive(model: &Model, name: &str) -> Result<bool> {
    Ok(model.shape(name)?["sensitive"] == true)
}
