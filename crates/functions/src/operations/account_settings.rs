//! `GetAccountSettings`.

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::GetAccountSettingsError;
use millstream_wire::lambda::{AccountLimit, AccountUsage, GetAccountSettingsRequest, GetAccountSettingsResponse};

use crate::failure::Failure;
use crate::functions::Functions;
use crate::store::split_function_key;

/// Concurrent invocations of an account (AWS's default).
pub(super) const CONCURRENT_EXECUTIONS: u32 = 1000;

impl Functions {
    pub async fn get_account_settings(
        &self,
        context: &RequestContext,
        _input: GetAccountSettingsRequest,
    ) -> Result<GetAccountSettingsResponse, GetAccountSettingsError> {
        let reserved = self.reserved(&context.scope, None).await?;
        let unreserved = CONCURRENT_EXECUTIONS.saturating_sub(reserved);
        Ok(GetAccountSettingsResponse {
            account_limit: Some(AccountLimit {
                total_code_size: Some(80_530_636_800),
                code_size_unzipped: Some(262_144_000),
                code_size_zipped: Some(52_428_800),
                concurrent_executions: i32::try_from(CONCURRENT_EXECUTIONS).ok(),
                unreserved_concurrent_executions: i32::try_from(unreserved).ok(),
            }),
            account_usage: Some(self.usage(context).await?),
        })
    }

    /// Published versions count towards the size as well (recorded).
    async fn usage(&self, context: &RequestContext) -> Result<AccountUsage, Failure> {
        let (scope, records) = (&context.scope, &self.shared.records);
        let (mut bytes, mut count) = (0, 0);
        let mut after = None::<String>;
        loop {
            let page = records.functions(scope, after.as_deref(), usize::MAX).await?;
            for stored in &page.items {
                let Some((_, name)) = split_function_key(&stored.key) else { continue };
                after = Some(name.to_owned());
                if !stored.record.deleting {
                    count += 1;
                    bytes += stored.record.latest.code.bytes + self.versions_bytes(context, name).await?;
                }
            }
            if !page.more {
                let total_code_size = i64::try_from(bytes).ok();
                return Ok(AccountUsage { total_code_size, function_count: Some(count) });
            }
        }
    }

    async fn versions_bytes(&self, context: &RequestContext, name: &str) -> Result<u64, Failure> {
        let (mut bytes, mut after) = (0, 0);
        loop {
            let page = self.shared.records.versions(&context.scope, name, after, usize::MAX).await?;
            bytes += page.items.iter().map(|stored| stored.record.code.bytes).sum::<u64>();
            after = page.items.last().map_or(after, |stored| crate::store::number_of(&stored.key));
            if !page.more {
                return Ok(bytes);
            }
        }
    }
}
