//! `DescribeLogGroups`.

use millstream_iam::RequestContext;
use millstream_wire::logs::error::DescribeLogGroupsError;
use millstream_wire::logs::{DescribeLogGroupsRequest, DescribeLogGroupsResponse, LogGroup, LogGroupClass};

use super::{DESCRIBED_MAX, limit, millis};
use crate::logs::errors::{Internal, InvalidParameter};
use crate::logs::model::Group;
use crate::logs::names::GroupName;
use crate::logs::service::Logs;

impl Logs {
    /// By name. The token is the name of the last group shown.
    pub async fn describe_log_groups(
        &self,
        context: &RequestContext,
        input: DescribeLogGroupsRequest,
    ) -> Result<DescribeLogGroupsResponse, DescribeLogGroupsError> {
        if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
            let text = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.";
            return Err(InvalidParameter(text.to_owned()).into());
        }
        let groups = self.wanted(context, &input).await?;
        let after = input.next_token.unwrap_or_default();
        let mut rest = groups.into_iter().filter(|(name, _)| *name > after);
        let shown: Vec<_> = rest.by_ref().take(limit(input.limit, DESCRIBED_MAX)).collect();
        let next_token = rest.next().and_then(|_| shown.last().map(|(name, _)| name.clone()));
        let by_pattern = input.log_group_name_pattern.is_some();
        let mut log_groups = Vec::with_capacity(shown.len());
        for (name, group) in shown {
            log_groups.push(self.wire_group(&GroupName::new(&context.scope, &name), &group, by_pattern).await?);
        }
        Ok(DescribeLogGroupsResponse { log_groups: Some(log_groups), next_token })
    }

    async fn wanted(
        &self,
        context: &RequestContext,
        input: &DescribeLogGroupsRequest,
    ) -> Result<Vec<(String, Group)>, DescribeLogGroupsError> {
        let mut groups =
            self.groups(&context.scope, input.log_group_name_prefix.as_deref().unwrap_or_default()).await?;
        if let Some(pattern) = &input.log_group_name_pattern {
            groups.retain(|(name, _)| name.contains(pattern.as_str()));
        }
        if let Some(identifiers) = &input.log_group_identifiers {
            let wanted = |name: &String| {
                identifiers.iter().any(|identifier| {
                    let group = GroupName::from_request(&context.scope, None, Some(identifier));
                    group.is_ok_and(|group| group.name == *name)
                })
            };
            groups.retain(|(name, _)| wanted(name));
        }
        if let Some(accounts) = &input.account_identifiers
            && !accounts.iter().any(|account| account == context.scope.account.as_str())
        {
            groups.clear();
        }
        if input.log_group_class.is_some_and(|class| class != LogGroupClass::Standard) {
            groups.clear();
        }
        Ok(groups)
    }

    /// Groups found by pattern show less (recorded: `LocalStack` snapshot 2026).
    async fn wire_group(&self, name: &GroupName, group: &Group, by_pattern: bool) -> Result<LogGroup, Internal> {
        let stored = self.inner.content.stored_bytes(group.id).await?;
        let arn = name.arn();
        Ok(LogGroup {
            arn: Some(format!("{arn}:*")),
            log_group_arn: Some(arn.to_string()),
            log_group_name: Some(name.name.clone()),
            creation_time: Some(millis(group.created_ms)),
            log_group_class: Some(LogGroupClass::Standard),
            metric_filter_count: Some(0),
            retention_in_days: group.retention_days.map(|days| i32::try_from(days).unwrap_or(i32::MAX)),
            stored_bytes: (!by_pattern).then_some(millis(stored)),
            deletion_protection_enabled: (!by_pattern).then_some(false),
            ..LogGroup::default()
        })
    }
}
