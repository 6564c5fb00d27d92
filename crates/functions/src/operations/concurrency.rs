//! `PutFunctionConcurrency`, `GetFunctionConcurrency` and `DeleteFunctionConcurrency`: what a function has for itself.

use millstream_iam::RequestContext;
use millstream_types::Scope;
use millstream_wire::CommonError;
use millstream_wire::lambda::error::{
    DeleteFunctionConcurrencyError, GetFunctionConcurrencyError, PutFunctionConcurrencyError,
};
use millstream_wire::lambda::{
    Concurrency, DeleteFunctionConcurrencyRequest, GetFunctionConcurrencyRequest, GetFunctionConcurrencyResponse,
    PutFunctionConcurrencyRequest,
};

use super::account_settings::CONCURRENT_EXECUTIONS;
use super::resolve::not_found;
use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::Target;
use crate::settings::invalid;
use crate::store::split_function_key;

/// What must stay for functions without a reservation (AWS's default).
const UNRESERVED_MIN: u32 = 100;

impl Functions {
    pub async fn put_function_concurrency(
        &self,
        context: &RequestContext,
        input: PutFunctionConcurrencyRequest,
    ) -> Result<Concurrency, PutFunctionConcurrencyError> {
        let target = whole(context, &input.function_name)?;
        let wanted = u32::try_from(input.reserved_concurrent_executions)
            .map_err(|_| invalid("ReservedConcurrentExecutions cannot be negative.".to_owned()))?;
        // One at a time: two reservations together must not take more than there is.
        let _turn = self.shared.reserving.lock().await;
        let others = self.reserved(&target.scope, Some(&target.name)).await?;
        if others.saturating_add(wanted) > CONCURRENT_EXECUTIONS - UNRESERVED_MIN {
            return Err(CommonError::InvalidParameter(format!(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
                 below its minimum value of [{UNRESERVED_MIN}]."
            ))
            .into());
        }
        self.reserve(&target, Some(wanted)).await?;
        Ok(Concurrency { reserved_concurrent_executions: Some(input.reserved_concurrent_executions) })
    }

    pub async fn get_function_concurrency(
        &self,
        context: &RequestContext,
        input: GetFunctionConcurrencyRequest,
    ) -> Result<GetFunctionConcurrencyResponse, GetFunctionConcurrencyError> {
        let target = whole(context, &input.function_name)?;
        let function = self.function(&target).await?;
        let reserved = function.reserved_concurrency.and_then(|limit| i32::try_from(limit).ok());
        Ok(GetFunctionConcurrencyResponse { reserved_concurrent_executions: reserved })
    }

    pub async fn delete_function_concurrency(
        &self,
        context: &RequestContext,
        input: DeleteFunctionConcurrencyRequest,
    ) -> Result<(), DeleteFunctionConcurrencyError> {
        let target = whole(context, &input.function_name)?;
        let _turn = self.shared.reserving.lock().await;
        Ok(self.reserve(&target, None).await?)
    }

    /// Writes the reservation and lets it act.
    async fn reserve(&self, target: &Target, limit: Option<u32>) -> Result<(), Failure> {
        let changed = self.shared.records.change(&target.scope, &target.name, |function| {
            function.reserved_concurrency = limit;
            Ok(())
        });
        changed.await?.ok_or_else(|| not_found(target))?;
        self.shared.executor.reserve(&target.function_arn(), limit);
        Ok(())
    }

    /// What all functions of a scope have reserved, perhaps without one of them.
    pub(super) async fn reserved(&self, scope: &Scope, without: Option<&str>) -> Result<u32, Failure> {
        let (mut sum, mut after) = (0_u32, None::<String>);
        loop {
            let page = self.shared.records.functions(scope, after.as_deref(), usize::MAX).await?;
            for stored in &page.items {
                let Some((_, name)) = split_function_key(&stored.key) else { continue };
                if !stored.record.deleting && without != Some(name) {
                    sum = sum.saturating_add(stored.record.reserved_concurrency.unwrap_or(0));
                }
                after = Some(name.to_owned());
            }
            if !page.more {
                return Ok(sum);
            }
        }
    }
}

/// The function itself: its versions share what it has.
fn whole(context: &RequestContext, name: &str) -> Result<Target, Failure> {
    let target = Target::of(context, name, None)?;
    if target.qualifier.is_some() {
        return Err(invalid(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. \
             Please specify either a function name or an unqualified function ARN."
                .to_owned(),
        ));
    }
    Ok(target)
}
