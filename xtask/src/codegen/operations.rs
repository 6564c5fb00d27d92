//! The operation tables, the marker types and each service's module file.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::model::Model;
use super::{header, names, text};

pub(super) fn service_module(model: &Model) -> Result<String> {
    let mut out = header(&format!("{}: types, operations and errors.", text(&model.metadata, "serviceFullName")?));
    if model.has_enumerations() {
        out.push_str("mod enums;\n");
    }
    out.push_str("pub mod error;\npub mod op;\npub(crate) mod shapes;\nmod types;\n\n");
    out.push_str("use crate::operation::{OperationShape, Protocol, Service};\n\n");
    if model.has_enumerations() {
        out.push_str("pub use enums::*;\n");
    }
    out.push_str("pub use types::*;\n\n");
    let settings = &model.settings;
    let status = settings["throttlingStatus"].as_u64().context("the patch file gives the throttling status")?;
    writeln!(
        out,
        "/// How this service is spoken to.\npub static SERVICE: Service = Service {{ name: {:?}, protocol: {}, \
         validation_code: {:?}, throttling_code: {:?}, throttling_status: {status}, operations: op::OPERATIONS }};\n",
        model.service,
        protocol(&model.metadata)?,
        text(settings, "validationCode")?,
        text(settings, "throttlingCode")?,
    )?;
    out.push_str("/// The implemented operations, sorted by name.\n");
    out.push_str("pub fn operations() -> &'static [OperationShape] {\n    op::OPERATIONS\n}\n");
    Ok(out)
}

pub(super) fn operations(model: &Model) -> Result<String> {
    let mut out = header("The operations: one marker type each, and the table for routing.");
    out.push_str("use crate::operation::{OperationShape, operation};\n\nuse super::{error, shapes};\n\n");
    out.push_str("pub(super) static OPERATIONS: &[OperationShape] = &[\n");
    for (name, operation) in &model.operations {
        let http = &operation["http"];
        let output = match operation["output"]["shape"].as_str() {
            Some(shape) => format!("Some(&shapes::{})", names::constant(shape)),
            None => "None".to_owned(),
        };
        writeln!(
            out,
            "OperationShape {{ name: {name:?}, method: {:?}, uri: {:?}, status: {}, input: &shapes::{}, output: {output} }},",
            text(http, "method")?,
            text(http, "requestUri")?,
            http["responseCode"].as_u64().unwrap_or(200),
            names::constant(text(&operation["input"], "shape")?),
        )?;
    }
    out.push_str("];\n\n");
    for (index, (name, operation)) in model.operations.iter().enumerate() {
        let input = names::type_name(text(&operation["input"], "shape")?);
        let output = operation["output"]["shape"]
            .as_str()
            .map_or_else(|| "()".to_owned(), |shape| format!("super::{}", names::type_name(shape)));
        writeln!(out, "operation!({index}, {name}, super::{input}, {output}, error::{name}Error);")?;
    }
    // Tests walk all operations with their Rust types.
    out.push_str("\n#[cfg(test)]\npub(crate) fn visit(visitor: &mut impl crate::golden::Visitor) {\n");
    for name in model.operations.keys() {
        writeln!(out, "    visitor.visit::<{name}>(&super::SERVICE);")?;
    }
    out.push_str("}\n");
    Ok(out)
}

fn protocol(metadata: &Value) -> Result<String> {
    Ok(match text(metadata, "protocol")? {
        "json" => format!(
            "Protocol::Json {{ version: {:?}, target_prefix: {:?} }}",
            text(metadata, "jsonVersion")?,
            text(metadata, "targetPrefix")?
        ),
        "rest-json" => "Protocol::RestJson".to_owned(),
        "query" => format!(
            "Protocol::Query {{ version: {:?}, namespace: {:?} }}",
            text(metadata, "apiVersion")?,
            text(metadata, "xmlNamespace")?
        ),
        other => bail!("the protocol {other} is not supported"),
    })
}
