//! A service model, cut down to the operations wanted and what they reach.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::text;

pub(super) struct Model {
    /// Our name for the service, also its module.
    pub(super) service: String,
    pub(super) metadata: Value,
    /// The `service` object of the patch file.
    pub(super) settings: Value,
    pub(super) operations: BTreeMap<String, Value>,
    /// Everything an operation's input, output or errors reach.
    pub(super) shapes: BTreeMap<String, Value>,
    /// What inputs, outputs and events reach: the shapes that need a table.
    pub(super) tables: BTreeMap<String, Value>,
    /// The event streams by the operation that answers them.
    pub(super) event_streams: BTreeMap<String, EventStream>,
}

/// The answer of an operation that is a stream of events of one kind, or an exception that ends it.
pub(super) struct EventStream {
    /// The union of the model. Nothing holds a value of it, so only its name is used.
    pub(super) union: String,
    /// What the event is called on the wire.
    pub(super) event: String,
    pub(super) event_shape: String,
    /// Sorted.
    pub(super) exceptions: Vec<String>,
}

/// One member of a structure.
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) shape: &'a str,
    pub(super) required: bool,
    pub(super) details: &'a Value,
}

impl Model {
    pub(super) fn new(service: &str, model: &Value, wanted: &[&str]) -> Result<Self> {
        let mut operations = BTreeMap::new();
        let mut tables = BTreeMap::new();
        let mut errors = BTreeMap::new();
        let mut event_streams = BTreeMap::new();
        for &name in wanted {
            let operation = &model["operations"][name];
            ensure!(operation.is_object(), "{service} has no operation {name}");
            operations.insert(name.to_owned(), operation.clone());
            let stream = event_stream(&model["shapes"], operation)?;
            let output = match &stream {
                Some(stream) => Some(stream.event_shape.as_str()),
                None => operation["output"]["shape"].as_str(),
            };
            for shape in operation["input"]["shape"].as_str().into_iter().chain(output) {
                reach(&model["shapes"], shape, &mut tables)?;
            }
            if let Some(stream) = stream {
                for exception in &stream.exceptions {
                    reach(&model["shapes"], exception, &mut errors)?;
                }
                event_streams.insert(name.to_owned(), stream);
            }
            for shape in errors_of(operation) {
                reach(&model["shapes"], shape, &mut errors)?;
            }
        }
        let shapes = tables.clone().into_iter().chain(errors).collect();
        Ok(Self {
            service: service.to_owned(),
            metadata: model["metadata"].clone(),
            settings: model["service"].clone(),
            operations,
            shapes,
            tables,
            event_streams,
        })
    }

    pub(super) fn shape(&self, name: &str) -> Result<&Value> {
        self.shapes.get(name).with_context(|| format!("no shape {name}"))
    }

    pub(super) fn has_enumerations(&self) -> bool {
        self.shapes.values().any(|shape| shape["enum"].is_array())
    }

    /// Names of the structures that are not exceptions.
    pub(super) fn structures(&self) -> impl Iterator<Item = (&str, &Value)> {
        let plain = |(_, shape): &(&String, &Value)| shape["type"] == "structure" && shape["exception"] != true;
        self.shapes.iter().filter(plain).map(|(name, shape)| (name.as_str(), shape))
    }

    /// The exceptions that the operations and their event streams name.
    pub(super) fn exceptions(&self) -> BTreeSet<&str> {
        let in_streams = self.event_streams.values().flat_map(|stream| &stream.exceptions).map(String::as_str);
        self.operations.values().flat_map(errors_of).chain(in_streams).collect()
    }

    /// The output that an operation answers as a whole; `None` when it is empty or a stream of events.
    pub(super) fn output<'a>(&self, name: &str, operation: &'a Value) -> Option<&'a str> {
        if self.event_streams.contains_key(name) { None } else { operation["output"]["shape"].as_str() }
    }
}

/// The event stream in an operation's output, if that is what it answers.
fn event_stream(all: &Value, operation: &Value) -> Result<Option<EventStream>> {
    let Some(output) = operation["output"]["shape"].as_str() else { return Ok(None) };
    let output_members = members(&all[output])?;
    let Some(union) = output_members.iter().find(|member| all[member.shape]["eventstream"] == true) else {
        return Ok(None);
    };
    ensure!(output_members.len() == 1, "{output} holds more than its event stream, which is not supported");
    let (events, exceptions): (Vec<_>, Vec<_>) =
        members(&all[union.shape])?.into_iter().partition(|member| all[member.shape]["event"] == true);
    ensure!(events.len() == 1, "{} has {} kinds of events, one is supported", union.shape, events.len());
    let stray = exceptions.iter().find(|member| all[member.shape]["exception"] != true);
    ensure!(stray.is_none(), "{} has a member that is neither an event nor an exception", union.shape);
    Ok(Some(EventStream {
        union: union.shape.to_owned(),
        event: events[0].name.to_owned(),
        event_shape: events[0].shape.to_owned(),
        exceptions: exceptions.into_iter().map(|member| member.shape.to_owned()).collect(),
    }))
}

/// The exceptions of one operation, sorted.
pub(super) fn errors_of(operation: &Value) -> impl Iterator<Item = &str> {
    let mut names: Vec<&str> =
        operation["errors"].as_array().into_iter().flatten().filter_map(|error| error["shape"].as_str()).collect();
    names.sort_unstable();
    names.into_iter()
}

/// The members of a structure, sorted by name: the order of the fields, the tables and the output.
pub(super) fn members(structure: &Value) -> Result<Vec<Member<'_>>> {
    let required: BTreeSet<&str> =
        structure["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut members = Vec::new();
    for (name, details) in structure["members"].as_object().into_iter().flatten() {
        let shape = text(details, "shape")?;
        members.push(Member { name, shape, required: required.contains(name.as_str()), details });
    }
    members.sort_by_key(|member| member.name);
    Ok(members)
}

fn reach(all: &Value, name: &str, reached: &mut BTreeMap<String, Value>) -> Result<()> {
    if reached.contains_key(name) {
        return Ok(());
    }
    let shape = &all[name];
    ensure!(shape.is_object(), "no shape {name}");
    reached.insert(name.to_owned(), shape.clone());
    let members = shape["members"].as_object().into_iter().flatten().map(|(_, member)| member);
    for reference in [&shape["member"], &shape["key"], &shape["value"]].into_iter().chain(members) {
        if let Some(next) = reference["shape"].as_str() {
            reach(all, next, reached)?;
        }
    }
    Ok(())
}
