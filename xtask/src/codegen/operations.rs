//! The operation tables, the marker types and each service's module file.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::model::{EventStream, Model};
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
        protocol(&model.metadata, settings)?,
        text(settings, "validationCode")?,
        text(settings, "throttlingCode")?,
    )?;
    out.push_str("/// The implemented operations, sorted by name.\n");
    out.push_str("pub fn operations() -> &'static [OperationShape] {\n    op::OPERATIONS\n}\n");
    Ok(out)
}

pub(super) fn operations(model: &Model) -> Result<String> {
    let mut out = header("The operations: one marker type each, and the table for routing.");
    let event_stream = if model.event_streams.is_empty() { "" } else { "event_stream, " };
    writeln!(
        out,
        "use crate::operation::{{OperationShape, {event_stream}operation}};\n\nuse super::{{error, shapes}};\n"
    )?;
    out.push_str("pub(super) static OPERATIONS: &[OperationShape] = &[\n");
    for (name, operation) in &model.operations {
        let http = &operation["http"];
        let output = match model.output(name, operation) {
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
        let output = model
            .output(name, operation)
            .map_or_else(|| "()".to_owned(), |shape| format!("super::{}", names::type_name(shape)));
        writeln!(out, "operation!({index}, {name}, super::{input}, {output}, error::{name}Error);")?;
    }
    for (name, stream) in &model.event_streams {
        let EventStream { union, event, event_shape, .. } = stream;
        let (event_type, constant) = (names::type_name(event_shape), names::constant(event_shape));
        writeln!(
            out,
            "event_stream!({name}, {event:?}, super::{event_type}, shapes::{constant}, error::{union}Error);"
        )?;
    }
    // Tests walk all operations with their Rust types.
    out.push_str("\n#[cfg(test)]\npub(crate) fn visit(visitor: &mut impl crate::golden::Visitor) {\n");
    for name in model.operations.keys() {
        writeln!(out, "    visitor.visit::<{name}>(&super::SERVICE);")?;
    }
    out.push_str("}\n");
    Ok(out)
}

fn protocol(metadata: &Value, settings: &Value) -> Result<String> {
    Ok(match text(metadata, "protocol")? {
        "json" => format!(
            "Protocol::Json {{ version: {:?}, target_prefix: {:?}, query_codes: {} }}",
            text(metadata, "jsonVersion")?,
            text(metadata, "targetPrefix")?,
            query_codes(metadata, settings)
        ),
        "rest-json" => "Protocol::RestJson".to_owned(),
        "query" => format!(
            "Protocol::Query {{ version: {:?}, namespace: {:?} }}",
            text(metadata, "apiVersion")?,
            text(metadata, "xmlNamespace")?
        ),
        "smithy-rpc-v2-cbor" => format!(
            "Protocol::Several {{ target_prefix: {:?}, version: {:?}, namespace: {:?} }}",
            text(metadata, "targetPrefix")?,
            text(metadata, "apiVersion")?,
            text(metadata, "xmlNamespace")?
        ),
        other => bail!("the protocol {other} is not supported"),
    })
}

/// The codes of a service whose clients once spoke the query protocol (`awsQueryCompatible`), where they differ from the
/// names of the exceptions. The models do not have them, so the patch file does.
fn query_codes(metadata: &Value, settings: &Value) -> String {
    if !metadata["awsQueryCompatible"].is_object() {
        return "None".to_owned();
    }
    let codes = settings["queryErrorCodes"].as_object().into_iter().flatten();
    let pairs: Vec<(&str, &str)> = codes.filter_map(|(name, code)| Some((name.as_str(), code.as_str()?))).collect();
    format!("Some(&{pairs:?})")
}
