//! `DeleteFunction`.

use millstream_iam::RequestContext;
use millstream_types::Scope;
use millstream_wire::lambda::error::DeleteFunctionError;
use millstream_wire::lambda::{DeleteFunctionRequest, DeleteFunctionResponse};

use super::resolve::{not_found, version_number};
use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::{LATEST, Target, function_arn};
use crate::settings::invalid;

/// Versions removed per step of a deletion.
const STEP_VERSIONS: usize = 100;

impl Functions {
    pub async fn delete_function(
        &self,
        context: &RequestContext,
        input: DeleteFunctionRequest,
    ) -> Result<DeleteFunctionResponse, DeleteFunctionError> {
        let target = Target::of(context, "DeleteFunction", &input.function_name, input.qualifier.as_deref())?;
        match &target.qualifier {
            None => self.delete_whole(&context.scope, &target).await?,
            Some(qualifier) => self.delete_version(&context.scope, &target, qualifier).await?,
        }
        // Recorded: the status is 204, whatever the model says.
        Ok(DeleteFunctionResponse { status_code: Some(204) })
    }

    /// Gone for its users with the first write; what remains of it is removed by steps that any later start repeats.
    async fn delete_whole(&self, scope: &Scope, target: &Target) -> Result<(), Failure> {
        let marked = self.shared.records.change(scope, &target.name, |function| {
            function.deleting = true;
            Ok(())
        });
        marked.await?.ok_or_else(|| not_found(scope, target))?;
        self.shared.executor.retire(&function_arn(scope, &target.name, None));
        self.finish_deletion(scope, &target.name).await
    }

    /// Removes what is left of a deleted function. Nothing happens to one that is not deleted.
    pub(crate) async fn finish_deletion(&self, scope: &Scope, name: &str) -> Result<(), Failure> {
        let records = &self.shared.records;
        let Some(function) = records.deleted(scope, name).await? else { return Ok(()) };
        loop {
            let page = records.versions(scope, name, 0, STEP_VERSIONS).await?;
            for stored in &page.items {
                records.remove(stored).await?;
            }
            if !page.more {
                return records.remove(&function).await;
            }
        }
    }

    async fn delete_version(&self, scope: &Scope, target: &Target, qualifier: &str) -> Result<(), Failure> {
        if qualifier == LATEST {
            let text = "$LATEST version cannot be deleted without deleting the function.";
            return Err(invalid(text.to_owned()));
        }
        self.function(scope, target).await?;
        // Recorded: deleting a version that does not exist succeeds.
        let Some(number) = version_number(qualifier) else { return Ok(()) };
        let Some(stored) = self.shared.records.version(scope, &target.name, number).await? else { return Ok(()) };
        // Numbers are not used again: publishing the same once more makes a new version.
        let forgotten = self.shared.records.change(scope, &target.name, |function| {
            function.published.take_if(|published| published.number == number);
            Ok(())
        });
        forgotten.await?;
        self.shared.records.remove(&stored).await
    }
}
