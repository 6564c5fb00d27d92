//! `CreateAlias`, `GetAlias`, `UpdateAlias`, `DeleteAlias` and `ListAliases`.

use millstream_iam::RequestContext;
use millstream_wire::CommonError;
use millstream_wire::lambda::error::{
    CreateAliasError, DeleteAliasError, GetAliasError, ListAliasesError, UpdateAliasError,
};
use millstream_wire::lambda::{
    AliasConfiguration, AliasRoutingConfiguration, CreateAliasRequest, DeleteAliasRequest, GetAliasRequest,
    ListAliasesRequest, ListAliasesResponse, UpdateAliasRequest,
};

use super::list_functions::page_items;
use super::resolve::version_number;
use super::versions::stale;
use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::{LATEST, Target};
use crate::record::{AliasRecord, FORMAT, Share};
use crate::settings::invalid;
use crate::store::last_part;

/// Aliases read at once where all of a function are looked through.
const STEP_ALIASES: usize = 100;

impl Functions {
    pub async fn create_alias(
        &self,
        context: &RequestContext,
        input: CreateAliasRequest,
    ) -> Result<AliasConfiguration, CreateAliasError> {
        let target = alias_target(context, &input.function_name)?;
        let scope = &target.scope;
        self.function(&target).await?;
        let alias = AliasRecord {
            v: FORMAT,
            version: self.existing_version(&target, &input.function_version).await?,
            share: self.share(&target, &input.function_version, input.routing_config.as_ref()).await?,
            description: input.description.unwrap_or_default(),
            revision_id: self.shared.random.uuid(),
        };
        if !self.shared.records.create_alias(scope, &target.name, &input.name, &alias).await? {
            let arn = target.qualified(Some(&input.name)).arn();
            return Err(Failure::ResourceConflict(format!("Alias already exists: {arn}")).into());
        }
        Ok(shown(&target, &input.name, alias))
    }

    pub async fn get_alias(
        &self,
        context: &RequestContext,
        input: GetAliasRequest,
    ) -> Result<AliasConfiguration, GetAliasError> {
        let target = alias_target(context, &input.function_name)?;
        let scope = &target.scope;
        let found = self.shared.records.alias(scope, &target.name, &input.name).await?;
        let alias = found.ok_or_else(|| cannot_find(&target.qualified(Some(&input.name))))?.record;
        Ok(shown(&target, &input.name, alias))
    }

    pub async fn update_alias(
        &self,
        context: &RequestContext,
        input: UpdateAliasRequest,
    ) -> Result<AliasConfiguration, UpdateAliasError> {
        let target = alias_target(context, &input.function_name)?;
        let scope = &target.scope;
        loop {
            let found = self.shared.records.alias(scope, &target.name, &input.name).await?;
            let mut stored = found.ok_or_else(|| {
                let arn = target.qualified(Some(&input.name)).arn();
                Failure::ResourceNotFound(format!("Alias not found: {arn}"))
            })?;
            let alias = &mut stored.record;
            if input.revision_id.as_ref().is_some_and(|id| *id != alias.revision_id) {
                return Err(stale("GetFunction/GetAlias").into());
            }
            if let Some(version) = &input.function_version {
                alias.version = self.existing_version(&target, version).await?;
            }
            let version = text_of(alias.version);
            if let Some(routing) = &input.routing_config {
                alias.share = self.share(&target, &version, Some(routing)).await?;
            } else if let Some(share) = alias.share {
                check_share(&version, &share.version.to_string())?;
            }
            if let Some(description) = &input.description {
                alias.description.clone_from(description);
            }
            alias.revision_id = self.shared.random.uuid();
            // Changed by somebody else meanwhile: his change is the base of this one.
            if self.shared.records.replace(&stored).await? {
                return Ok(shown(&target, &input.name, stored.record));
            }
        }
    }

    /// One that is not there is no error.
    pub async fn delete_alias(
        &self,
        context: &RequestContext,
        input: DeleteAliasRequest,
    ) -> Result<(), DeleteAliasError> {
        let target = alias_target(context, &input.function_name)?;
        let scope = &target.scope;
        self.function(&target).await?;
        self.shared.records.remove_qualified(scope, &target.name, &input.name).await?;
        Ok(())
    }

    pub async fn list_aliases(
        &self,
        context: &RequestContext,
        input: ListAliasesRequest,
    ) -> Result<ListAliasesResponse, ListAliasesError> {
        let target = alias_target(context, &input.function_name)?;
        let scope = &target.scope;
        self.function(&target).await?;
        let limit = page_items(input.max_items);
        let mut aliases = Vec::new();
        let mut after = input.marker;
        loop {
            let left = limit - aliases.len();
            let page = self.shared.records.aliases(scope, &target.name, after.as_deref(), left).await?;
            for stored in page.items {
                let name = last_part(&stored.key).to_owned();
                let version = text_of(stored.record.version);
                if input.function_version.as_ref().is_none_or(|wanted| *wanted == version) {
                    aliases.push(shown(&target, &name, stored.record));
                }
                after = Some(name);
            }
            if !page.more || aliases.len() == limit {
                let next_marker = after.filter(|_| page.more);
                return Ok(ListAliasesResponse { aliases: Some(aliases), next_marker });
            }
        }
    }

    /// Aliases that lead to a published version.
    pub(super) async fn aliases_of(&self, target: &Target, number: u64) -> Result<Vec<String>, Failure> {
        let (mut aliases, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.shared.records.aliases(&target.scope, &target.name, after.as_deref(), STEP_ALIASES).await?;
            for stored in page.items {
                let name = last_part(&stored.key).to_owned();
                let alias = stored.record;
                if alias.version == Some(number) || alias.share.is_some_and(|share| share.version == number) {
                    aliases.push(name.clone());
                }
                after = Some(name);
            }
            if !page.more {
                return Ok(aliases);
            }
        }
    }

    /// The number of a version that exists; `None` is `$LATEST`.
    async fn existing_version(&self, target: &Target, version: &str) -> Result<Option<u64>, Failure> {
        let target = target.qualified(Some(version));
        if version == LATEST {
            return Ok(None);
        }
        let number = version_number(version).ok_or_else(|| target.not_found())?;
        let found = self.shared.records.version(&target.scope, &target.name, number).await?;
        found.map(|_| Some(number)).ok_or_else(|| target.not_found())
    }

    /// The checked second version of an alias that leads to `version`.
    async fn share(
        &self,
        target: &Target,
        version: &str,
        routing: Option<&AliasRoutingConfiguration>,
    ) -> Result<Option<Share>, Failure> {
        let weights = routing.and_then(|routing| routing.additional_version_weights.as_ref());
        let Some((other, weight)) = weights.and_then(|weights| weights.first_key_value()) else { return Ok(None) };
        if weights.is_some_and(|weights| weights.len() > 1) {
            return Err(invalid("Number of items in AdditionalVersionWeights cannot be greater than 1".to_owned()));
        }
        check_share(version, other)?;
        let number = self.existing_version(target, other).await?;
        Ok(number.map(|version| Share { version, weight: *weight }))
    }
}

fn check_share(version: &str, other: &str) -> Result<(), Failure> {
    if version == other {
        return Err(invalid(format!(
            "Invalid function version {version}. Function version {version} is already included in routing configuration."
        )));
    }
    if version == LATEST {
        let text = "$LATEST is not supported for an alias pointing to more than 1 version";
        return Err(CommonError::InvalidParameter(text.to_owned()).into());
    }
    Ok(())
}

/// Aliases are named beside the function, not with it.
fn alias_target(context: &RequestContext, name: &str) -> Result<Target, Failure> {
    let mut target = Target::of(context, name, None)?;
    target.qualifier = None;
    Ok(target)
}

/// The answer of all operations but `UpdateAlias` for an alias that is not there, also without the function.
pub(super) fn cannot_find(alias: &Target) -> Failure {
    Failure::ResourceNotFound(format!("Cannot find alias arn: {}", alias.arn()))
}

fn text_of(version: Option<u64>) -> String {
    version.map_or_else(|| LATEST.to_owned(), |number| number.to_string())
}

fn shown(target: &Target, name: &str, alias: AliasRecord) -> AliasConfiguration {
    AliasConfiguration {
        alias_arn: Some(target.qualified(Some(name)).arn()),
        name: Some(name.to_owned()),
        function_version: Some(text_of(alias.version)),
        description: Some(alias.description),
        revision_id: Some(alias.revision_id),
        routing_config: alias.share.map(|share| AliasRoutingConfiguration {
            additional_version_weights: Some([(share.version.to_string(), share.weight)].into()),
        }),
    }
}
