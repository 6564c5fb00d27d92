//! One error enumeration per operation, and the structures of exceptions that carry more than a message.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

use super::model::{Member, Model, errors_of, members};
use super::{header, names, types};

pub(super) fn errors(model: &Model) -> Result<String> {
    let mut out = header("What each operation can fail with.");
    let mut body = String::new();
    let mut detailed = false;
    for name in model.exceptions() {
        let exception = model.shape(name)?;
        writeln!(body, "{}", description(name, exception)?)?;
        let details = details(exception)?;
        if !details.is_empty() {
            detailed = true;
            body.push_str(&structure(model, name, &details)?);
        }
    }
    for (name, operation) in &model.operations {
        body.push_str(&enumeration(model, name, errors_of(operation))?);
    }
    for stream in model.event_streams.values() {
        body.push_str(&enumeration(model, &stream.union, stream.exceptions.iter().map(String::as_str))?);
    }
    let structure = if detailed { "exception, " } else { "" };
    let location = if body.contains("Location::") { "use crate::shape::Location;\n" } else { "" };
    let shapes = if model.exceptions().is_empty() { "" } else { "ErrorShape, Fault, MessageKey, " };
    writeln!(out, "use crate::error::{{{shapes}{structure}operation_error}};\n{location}")?;
    out.push_str(&types::enumeration_import(model, &body));
    Ok(out + &body)
}

/// The exceptions that one operation answers, or that end one event stream.
fn enumeration<'a>(model: &Model, name: &str, exceptions: impl Iterator<Item = &'a str>) -> Result<String> {
    let mut out = format!("operation_error! {{\n    pub enum {name}Error {{\n");
    for exception in exceptions {
        let simple = details(model.shape(exception)?)?.is_empty();
        let holds = if simple { "String".to_owned() } else { names::type_name(exception) };
        let variant = names::error_variant(exception);
        writeln!(out, "        {variant}({holds}) = {},", names::constant(exception))?;
    }
    out.push_str("    }\n}\n\n");
    Ok(out)
}

/// The constant that says how the exception looks on the wire.
fn description(name: &str, exception: &Value) -> Result<String> {
    let error = &exception["error"];
    let code = error["code"].as_str().unwrap_or(name);
    let fault =
        if exception["fault"] == true || error["httpStatusCode"].as_u64() >= Some(500) { "Receiver" } else { "Sender" };
    let status = error["httpStatusCode"].as_u64().unwrap_or(if fault == "Receiver" { 500 } else { 400 });
    let members = members(exception)?;
    let has = |wanted: &str| members.iter().any(|member| member.name == wanted);
    let key = if has("Message") { "Capital" } else { "Small" };
    Ok(format!(
        "const {}: ErrorShape = ErrorShape {{ code: {code:?}, status: {status}, fault: Fault::{fault}, \
         message_key: MessageKey::{key}, typed: {} }};",
        names::constant(name),
        has("Type")
    ))
}

/// The members besides the message and Lambda's `Type`, which follows from the fault.
fn details(exception: &Value) -> Result<Vec<Member<'_>>> {
    let mut members = members(exception)?;
    members.retain(|member| !matches!(member.name, "message" | "Message" | "Type"));
    Ok(members)
}

fn structure(model: &Model, name: &str, details: &[Member<'_>]) -> Result<String> {
    let mut out = format!("exception! {{\n    pub struct {} {{\n", names::type_name(name));
    for member in details {
        let wire_name = member.details["locationName"].as_str().unwrap_or(member.name);
        let location = if member.details["location"] == "header" { "Header" } else { "Body" };
        let field = names::field(member.name);
        let kind = types::field_type(model, member)?;
        writeln!(out, "        {field}: {kind} = Location::{location}, {wire_name:?},")?;
    }
    out.push_str("    }\n}\n\n");
    Ok(out)
}
