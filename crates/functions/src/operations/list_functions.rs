//! `ListFunctions`.

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::ListFunctionsError;
use millstream_wire::lambda::{FunctionConfiguration, FunctionVersion, ListFunctionsRequest, ListFunctionsResponse};

use super::versions::list_item;
use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::LATEST;
use crate::record::FunctionRecord;
use crate::response::Shown;
use crate::settings::invalid;
use crate::store::{Stored, last_part, number_of};

/// Items of one answer, whatever the caller asks for (recorded).
const PAGE_ITEMS_MAX: usize = 50;

impl Functions {
    pub async fn list_functions(
        &self,
        context: &RequestContext,
        input: ListFunctionsRequest,
    ) -> Result<ListFunctionsResponse, ListFunctionsError> {
        // Asks for replicas of functions at the edge, of which there are none here.
        if input.master_region.is_some() {
            return Ok(ListFunctionsResponse { functions: Some(Vec::new()), next_marker: None });
        }
        let limit = page_items(input.max_items);
        let marker = input.marker.as_deref().map(Marker::parse).transpose()?;
        Ok(match input.function_version {
            Some(FunctionVersion::All) => self.list_all(context, marker, limit).await?,
            None => self.list_latest(context, marker, limit).await?,
        })
    }

    async fn list_latest(
        &self,
        context: &RequestContext,
        marker: Option<Marker>,
        limit: usize,
    ) -> Result<ListFunctionsResponse, Failure> {
        let mut after = marker.map(|marker| marker.name);
        let mut functions = Vec::new();
        loop {
            let left = limit - functions.len();
            let page = self.shared.records.functions(&context.scope, after.as_deref(), left).await?;
            for stored in &page.items {
                let name = name_of(stored);
                if !stored.record.deleting {
                    functions.push(latest(context, name, None, &stored.record));
                }
                after = Some(name.to_owned());
            }
            if !page.more || functions.len() == limit {
                let next_marker = after.filter(|_| page.more).map(|name| Marker { name, number: 0 }.to_string());
                return Ok(ListFunctionsResponse { functions: Some(functions), next_marker });
            }
        }
    }

    /// Every version of every function: each function's `$LATEST` (number 0 in the marker), then its published ones.
    async fn list_all(
        &self,
        context: &RequestContext,
        marker: Option<Marker>,
        limit: usize,
    ) -> Result<ListFunctionsResponse, Failure> {
        let (scope, records) = (&context.scope, &self.shared.records);
        let mut functions: Vec<FunctionConfiguration> = Vec::new();
        let mut position = marker;
        loop {
            if let Some(Marker { name, number }) = &mut position {
                let page = records.versions(scope, name, *number, limit - functions.len()).await?;
                for stored in &page.items {
                    *number = number_of(&stored.key);
                    functions.push(list_item(scope, name, *number, &stored.record));
                }
                if functions.len() < limit && page.more {
                    continue;
                }
            }
            let after = position.as_ref().map(|marker| marker.name.clone());
            let page = records.functions(scope, after.as_deref(), 1).await?;
            let Some(stored) = page.items.first() else {
                return Ok(ListFunctionsResponse { functions: Some(functions), next_marker: None });
            };
            if functions.len() >= limit {
                let next_marker = position.map(|marker| marker.to_string());
                return Ok(ListFunctionsResponse { functions: Some(functions), next_marker });
            }
            let name = name_of(stored).to_owned();
            if !stored.record.deleting {
                functions.push(latest(context, &name, Some(LATEST), &stored.record));
            }
            position = Some(Marker { name, number: 0 });
        }
    }
}

/// How many items a page may have.
pub(super) fn page_items(max_items: Option<i32>) -> usize {
    let wanted = max_items.and_then(|items| usize::try_from(items).ok()).unwrap_or(PAGE_ITEMS_MAX);
    wanted.clamp(1, PAGE_ITEMS_MAX)
}

/// The last item of a page, as `name:number`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Marker {
    name: String,
    number: u64,
}

impl Marker {
    fn parse(text: &str) -> Result<Self, Failure> {
        let parsed = text.split_once(':').and_then(|(name, number)| {
            let number = number.parse().ok()?;
            Some(Self { name: name.to_owned(), number })
        });
        parsed.ok_or_else(|| invalid("Invalid Marker.".to_owned()))
    }
}

impl std::fmt::Display for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.number)
    }
}

fn latest(
    context: &RequestContext,
    name: &str,
    qualifier: Option<&str>,
    function: &FunctionRecord,
) -> FunctionConfiguration {
    Shown { scope: &context.scope, name, qualifier, number: None, version: &function.latest }.list_item()
}

fn name_of(stored: &Stored<FunctionRecord>) -> &str {
    last_part(&stored.key)
}
