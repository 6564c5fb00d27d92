//! Builds the containers of a [`Value`] tree within its bounds.

use std::collections::HashMap;

use crate::limits::{DecodeError, VALUES_MAX};
use crate::shape::{Location, Shape};
use crate::value::Value;

/// Counts the values of one body.
#[derive(Debug)]
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(VALUES_MAX)
    }

    /// Takes one value, and for a structure one per member, from the budget.
    pub(crate) fn take(&mut self, count: usize) -> Result<(), DecodeError> {
        match self.0.checked_sub(count.max(1)) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(DecodeError::Type(format!("The request holds more than {VALUES_MAX} values"))),
        }
    }
}

/// A structure being read: members in any order, of a repeated one the last counts.
#[derive(Debug)]
pub(crate) struct StructureBuilder {
    shape: &'static Shape,
    members: Vec<Option<Value>>,
}

impl StructureBuilder {
    pub(crate) fn new(shape: &'static Shape, budget: &mut Budget) -> Result<Self, DecodeError> {
        budget.take(shape.members().len())?;
        Ok(Self { shape, members: vec![None; shape.members().len()] })
    }

    /// The place and shape of the member of that name which travels in the body.
    pub(crate) fn member(&self, name: &str) -> Option<(usize, &'static Shape)> {
        let members = self.shape.members();
        let index = members.binary_search_by(|member| member.name.cmp(name)).ok()?;
        (members[index].location == Location::Body).then_some((index, members[index].shape))
    }

    pub(crate) fn set(&mut self, index: usize, value: Option<Value>) {
        self.members[index] = value;
    }

    pub(crate) fn build(self) -> Value {
        Value::Structure(self.members)
    }
}

/// A map being read: of a repeated key the last value counts, at the place of the first.
#[derive(Debug, Default)]
pub(crate) struct MapBuilder {
    entries: Vec<(String, Value)>,
    places: HashMap<String, usize>,
}

impl MapBuilder {
    pub(crate) fn insert(&mut self, key: String, value: Value) {
        if let Some(&place) = self.places.get(&key) {
            self.entries[place].1 = value;
        } else {
            self.places.insert(key.clone(), self.entries.len());
            self.entries.push((key, value));
        }
    }

    pub(crate) fn build(self) -> Value {
        Value::Map(self.entries)
    }
}
