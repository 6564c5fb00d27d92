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
    /// What inputs and outputs reach: the shapes that need a table.
    pub(super) tables: BTreeMap<String, Value>,
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
        for &name in wanted {
            let operation = &model["operations"][name];
            ensure!(operation.is_object(), "{service} has no operation {name}");
            operations.insert(name.to_owned(), operation.clone());
            for shape in [&operation["input"], &operation["output"]].into_iter().filter_map(|io| io["shape"].as_str()) {
                reach(&model["shapes"], shape, &mut tables)?;
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

    /// The exceptions that the operations name.
    pub(super) fn exceptions(&self) -> BTreeSet<&str> {
        self.operations.values().flat_map(errors_of).collect()
    }
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
