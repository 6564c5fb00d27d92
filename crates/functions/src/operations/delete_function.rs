//! `DeleteFunction`.

use millstream_iam::RequestContext;
use millstream_types::Scope;
use millstream_wire::lambda::error::DeleteFunctionError;
use millstream_wire::lambda::{DeleteFunctionRequest, DeleteFunctionResponse};

use super::resolve::{not_found, version_number};
use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::{LATEST, Target};
use crate::settings::invalid;

impl Functions {
    pub async fn delete_function(
        &self,
        context: &RequestContext,
        input: DeleteFunctionRequest,
    ) -> Result<DeleteFunctionResponse, DeleteFunctionError> {
        let target = Target::of(context, &input.function_name, input.qualifier.as_deref())?;
        match &target.qualifier {
            None => self.delete_whole(&target).await?,
            Some(qualifier) => self.delete_version(&target, qualifier).await?,
        }
        // Recorded: the status is 204, whatever the model says.
        Ok(DeleteFunctionResponse { status_code: Some(204) })
    }

    /// Gone for its users with the first write; what remains of it is removed by steps that any later start repeats.
    async fn delete_whole(&self, target: &Target) -> Result<(), Failure> {
        let scope = &target.scope;
        let marked = self.shared.records.change(scope, &target.name, |function| {
            function.deleting = true;
            Ok(())
        });
        marked.await?.ok_or_else(|| not_found(target))?;
        let arn = target.function_arn();
        self.shared.executor.retire(&arn);
        self.shared.executor.reserve(&arn, None);
        self.finish_deletion(scope, &target.name).await
    }

    /// Removes what is left of a deleted function. Nothing happens to one that is not deleted.
    pub(crate) async fn finish_deletion(&self, scope: &Scope, name: &str) -> Result<(), Failure> {
        let records = &self.shared.records;
        let Some(function) = records.deleted(scope, name).await? else { return Ok(()) };
        records.remove_children(scope, name).await?;
        records.remove(&function).await
    }

    async fn delete_version(&self, target: &Target, qualifier: &str) -> Result<(), Failure> {
        let scope = &target.scope;
        if qualifier == LATEST {
            let text = "$LATEST version cannot be deleted without deleting the function.";
            return Err(invalid(text.to_owned()));
        }
        self.function(target).await?;
        // Recorded: deleting a version that does not exist succeeds.
        let Some(number) = version_number(qualifier) else { return Ok(()) };
        let Some(stored) = self.shared.records.version(scope, &target.name, number).await? else { return Ok(()) };
        let aliases = self.aliases_of(target, number).await?;
        if !aliases.is_empty() {
            let list = aliases.join(", ");
            return Err(Failure::ResourceConflict(format!(
                "Unable to delete version because the following aliases reference it: [{list}]"
            )));
        }
        // Numbers are not used again: publishing the same once more makes a new version.
        let forgotten = self.shared.records.change(scope, &target.name, |function| {
            function.published.take_if(|published| published.number == number);
            Ok(())
        });
        forgotten.await?;
        self.shared.records.remove(&stored).await?;
        self.shared.records.remove_qualified(scope, &target.name, qualifier).await
    }
}
