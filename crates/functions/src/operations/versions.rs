//! `PublishVersion` and `ListVersionsByFunction`.

use millstream_iam::RequestContext;
use millstream_types::Scope;
use millstream_wire::lambda::error::{ListVersionsByFunctionError, PublishVersionError};
use millstream_wire::lambda::{
    FunctionConfiguration, ListVersionsByFunctionRequest, ListVersionsByFunctionResponse, PublishVersionRequest,
};

use super::list_functions::page_items;
use super::resolve::not_found;
use super::update_function::check_ready;
use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::{LATEST, Target};
use crate::record::{FunctionRecord, Lifecycle, Published, VersionRecord};
use crate::response::Shown;
use crate::settings::invalid;
use crate::store::number_of;

/// What publishing `$LATEST` means now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publication {
    /// Nothing has changed since this version.
    Existing(u64),
    /// This number is taken; the version is to be stored under it.
    New(u64),
}

impl Functions {
    pub async fn publish_version(
        &self,
        context: &RequestContext,
        input: PublishVersionRequest,
    ) -> Result<FunctionConfiguration, PublishVersionError> {
        Ok(self.publish_latest(context, &input).await?)
    }

    pub async fn list_versions_by_function(
        &self,
        context: &RequestContext,
        input: ListVersionsByFunctionRequest,
    ) -> Result<ListVersionsByFunctionResponse, ListVersionsByFunctionError> {
        Ok(self.list_versions(context, &input).await?)
    }

    async fn publish_latest(
        &self,
        context: &RequestContext,
        input: &PublishVersionRequest,
    ) -> Result<FunctionConfiguration, Failure> {
        let target = Target::of(context, &input.function_name, None)?;
        if input.publish_to.is_some() {
            return Err(invalid("PublishTo is not supported by this server yet.".to_owned()));
        }
        let changed = self.shared.records.change(&target.scope, &target.name, |function| {
            check_ready(&target, function)?;
            check_revision(&function.latest, input.revision_id.as_deref())?;
            check_code(&function.latest, input.code_sha256.as_deref())?;
            Ok(publish(function))
        });
        let (function, publication) = changed.await?.ok_or_else(|| not_found(&target))?;
        self.published(&target, &function, publication, input.description.as_deref()).await
    }

    /// Stores a newly published version, or finds the one that is the same.
    pub(super) async fn published(
        &self,
        target: &Target,
        function: &FunctionRecord,
        publication: Publication,
        description: Option<&str>,
    ) -> Result<FunctionConfiguration, Failure> {
        let (scope, records) = (&target.scope, &self.shared.records);
        let number = match publication {
            Publication::Existing(number) => match records.version(scope, &target.name, number).await? {
                Some(stored) => return Ok(version(target, number, &stored.record)),
                // Its publication was interrupted, or is going on beside this one: it is finished under its number.
                None => number,
            },
            Publication::New(number) => number,
        };
        let mut record = function.latest.clone();
        record.lifecycle = Lifecycle::Creating;
        record.revision_id = self.shared.random.uuid();
        if let Some(description) = description {
            description.clone_into(&mut record.configuration.description);
        }
        records.put_version(scope, &target.name, number, &record).await?;
        self.complete_later(scope, &target.name, Some(number));
        Ok(version(target, number, &record))
    }

    async fn list_versions(
        &self,
        context: &RequestContext,
        input: &ListVersionsByFunctionRequest,
    ) -> Result<ListVersionsByFunctionResponse, Failure> {
        let target = Target::of(context, &input.function_name, None)?;
        let scope = &target.scope;
        let function = self.function(&target).await?;
        let limit = page_items(input.max_items);
        let after = match &input.marker {
            Some(marker) => Some(marker.parse::<u64>().map_err(|_| invalid("Invalid Marker.".to_owned()))?),
            None => None,
        };
        let mut versions = Vec::new();
        if after.is_none() {
            let (name, qualifier) = (target.name.as_str(), Some(LATEST));
            versions.push(Shown { scope, name, qualifier, number: None, version: &function.latest }.list_item());
        }
        let after = after.unwrap_or_default();
        let page = self.shared.records.versions(scope, &target.name, after, limit - versions.len()).await?;
        for stored in &page.items {
            let number = number_of(&stored.key);
            versions.push(list_item(scope, &target.name, number, &stored.record));
        }
        let last = page.items.last().map_or(after, |stored| number_of(&stored.key));
        Ok(ListVersionsByFunctionResponse {
            next_marker: page.more.then(|| last.to_string()),
            versions: Some(versions),
        })
    }
}

/// Takes the next number for `$LATEST`, unless it is the same as what was published last.
pub(super) fn publish(function: &mut FunctionRecord) -> Publication {
    let fingerprint = function.latest.fingerprint();
    match &function.published {
        Some(published) if published.fingerprint == fingerprint => Publication::Existing(published.number),
        _ => {
            function.last_version += 1;
            let number = function.last_version;
            function.published = Some(Published { number, fingerprint });
            Publication::New(number)
        }
    }
}

pub(super) fn check_revision(version: &VersionRecord, revision_id: Option<&str>) -> Result<(), Failure> {
    match revision_id {
        Some(revision_id) if revision_id != version.revision_id => Err(stale("GetFunction/GetAlias")),
        _ => Ok(()),
    }
}

/// The refusal of a change of another revision than the latest, which that operation tells.
pub(super) fn stale(operation: &str) -> Failure {
    Failure::PreconditionFailed(format!(
        "The Revision Id provided does not match the latest Revision Id. Call the {operation} API to retrieve the latest \
         Revision Id"
    ))
}

fn check_code(version: &VersionRecord, code_sha256: Option<&str>) -> Result<(), Failure> {
    let current = version.code.sha256_base64();
    match code_sha256 {
        Some(given) if given != current => Err(invalid(format!(
            "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({current}). Please try again with the \
             CodeSHA256 in $LATEST."
        ))),
        _ => Ok(()),
    }
}

/// Listed with the version's number in its ARN.
pub(super) fn list_item(scope: &Scope, name: &str, number: u64, version: &VersionRecord) -> FunctionConfiguration {
    let qualifier = number.to_string();
    Shown { scope, name, qualifier: Some(&qualifier), number: Some(number), version }.list_item()
}

fn version(target: &Target, number: u64, version: &VersionRecord) -> FunctionConfiguration {
    let qualifier = number.to_string();
    let (scope, name) = (&target.scope, target.name.as_str());
    Shown { scope, name, qualifier: Some(&qualifier), number: Some(number), version }.configuration()
}
