//! `UpdateFunctionCode` and `UpdateFunctionConfiguration`.

use bytes::Bytes;
use millstream_iam::RequestContext;
use millstream_wire::lambda::error::{UpdateFunctionCodeError, UpdateFunctionConfigurationError};
use millstream_wire::lambda::{FunctionConfiguration, UpdateFunctionCodeRequest, UpdateFunctionConfigurationRequest};

use super::resolve::not_found;
use super::versions::{check_revision, publish};
use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::{LATEST, Target};
use crate::record::{FunctionRecord, Lifecycle};
use crate::response::Shown;
use crate::settings::{self, invalid};

impl Functions {
    pub async fn update_function_code(
        &self,
        context: &RequestContext,
        input: UpdateFunctionCodeRequest,
    ) -> Result<FunctionConfiguration, UpdateFunctionCodeError> {
        Ok(self.update_code(context, &input).await?)
    }

    pub async fn update_function_configuration(
        &self,
        context: &RequestContext,
        input: UpdateFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, UpdateFunctionConfigurationError> {
        Ok(self.update_configuration(context, &input).await?)
    }

    async fn update_code(
        &self,
        context: &RequestContext,
        input: &UpdateFunctionCodeRequest,
    ) -> Result<FunctionConfiguration, Failure> {
        let target = updatable(context, &input.function_name)?;
        let scope = &target.scope;
        let archive = zip_file(input)?;
        let mut function = self.function(&target).await?;
        check_updatable(&target, &function, input.revision_id.as_deref())?;
        settings::set_architecture(&mut function.latest.configuration, input.architectures.as_deref())?;
        if input.dry_run.unwrap_or_default() {
            let code = self.shared.code.check(archive).await?;
            self.check_size_with_layers(&code, &function.latest.configuration.layers).await?;
            return Ok(latest(&target, &function));
        }
        let code = self.shared.code.add(archive).await?;
        self.check_size_with_layers(&code, &function.latest.configuration.layers).await?;
        let (revision_id, now) = (self.shared.random.uuid(), self.shared.service_clock.now());
        let changed = self.shared.records.change(scope, &target.name, |function| {
            check_updatable(&target, function, input.revision_id.as_deref())?;
            settings::set_architecture(&mut function.latest.configuration, input.architectures.as_deref())?;
            function.latest.code = code.clone();
            function.latest.lifecycle = Lifecycle::Updating;
            function.latest.touch(revision_id.clone(), now);
            Ok(input.publish.unwrap_or_default().then(|| publish(function)))
        });
        let (function, publication) = changed.await?.ok_or_else(|| not_found(&target))?;
        self.complete_later(scope, &target.name, None);
        let Some(publication) = publication else { return Ok(latest(&target, &function)) };
        self.published(&target, &function, publication, None).await
    }

    async fn update_configuration(
        &self,
        context: &RequestContext,
        input: &UpdateFunctionConfigurationRequest,
    ) -> Result<FunctionConfiguration, Failure> {
        let target = updatable(context, &input.function_name)?;
        let scope = &target.scope;
        // Before the check of the role: a function that is not there or busy is named first.
        let function = self.function(&target).await?;
        check_updatable(&target, &function, input.revision_id.as_deref())?;
        if let Some(role) = &input.role {
            self.check_role(role).await?;
        }
        let layers = match &input.layers {
            Some(arns) => Some(self.layer_uses(scope, arns).await?),
            None => None,
        };
        if let Some(layers) = &layers {
            self.check_size_with_layers(&function.latest.code, layers).await?;
        }
        let (revision_id, now) = (self.shared.random.uuid(), self.shared.service_clock.now());
        let changed = self.shared.records.change(scope, &target.name, |function| {
            check_updatable(&target, function, input.revision_id.as_deref())?;
            settings::update(&mut function.latest.configuration, input, self.shared.strict_runtimes)?;
            if let Some(layers) = &layers {
                function.latest.configuration.layers.clone_from(layers);
            }
            function.latest.lifecycle = Lifecycle::Updating;
            function.latest.touch(revision_id.clone(), now);
            Ok(())
        });
        let (function, ()) = changed.await?.ok_or_else(|| not_found(&target))?;
        self.complete_later(scope, &target.name, None);
        Ok(latest(&target, &function))
    }
}

/// One change at a time, and only of the revision that the caller knows.
fn check_updatable(target: &Target, function: &FunctionRecord, revision_id: Option<&str>) -> Result<(), Failure> {
    check_ready(target, function)?;
    check_revision(&function.latest, revision_id)
}

/// The refusal of a change while another one is going on.
pub(super) fn check_ready(target: &Target, function: &FunctionRecord) -> Result<(), Failure> {
    let state = match function.latest.lifecycle {
        Lifecycle::Ready => return Ok(()),
        Lifecycle::Creating => "The function is currently in the following state: Pending".to_owned(),
        Lifecycle::Updating => {
            let arn = target.function_arn();
            format!("An update is in progress for resource: {arn}")
        }
    };
    Err(Failure::ResourceConflict(format!("The operation cannot be performed at this time. {state}")))
}

fn updatable(context: &RequestContext, name: &str) -> Result<Target, Failure> {
    let target = Target::of(context, name, None)?;
    if target.qualifier.as_deref().is_some_and(|qualifier| qualifier != LATEST) {
        return Err(invalid(format!(
            "This operation is permitted on $LATEST only: published versions of {} cannot be changed.",
            target.name
        )));
    }
    Ok(target)
}

fn zip_file(input: &UpdateFunctionCodeRequest) -> Result<Bytes, Failure> {
    if input.image_uri.is_some() {
        return Err(invalid("Please don't provide ImageUri when updating a function with packageType Zip.".to_owned()));
    }
    if input.s3_bucket.is_some() || input.s3_key.is_some() || input.s3_object_version.is_some() {
        return Err(invalid("Code from S3 is not supported by this server yet; give it as ZipFile.".to_owned()));
    }
    if input.source_kms_key_arn.as_ref().is_some_and(|arn| !arn.is_empty()) {
        return Err(invalid("SourceKMSKeyArn is not supported by this server yet.".to_owned()));
    }
    if input.publish_to.is_some() {
        return Err(invalid("PublishTo is not supported by this server yet.".to_owned()));
    }
    input.zip_file.clone().ok_or_else(|| invalid("Please provide a source for function code.".to_owned()))
}

fn latest(target: &Target, function: &FunctionRecord) -> FunctionConfiguration {
    let version = &function.latest;
    Shown { scope: &target.scope, name: &target.name, qualifier: None, number: None, version }.configuration()
}
