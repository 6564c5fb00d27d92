//! `PutFunctionEventInvokeConfig`, `UpdateFunctionEventInvokeConfig`, `GetFunctionEventInvokeConfig`,
//! `DeleteFunctionEventInvokeConfig` and `ListFunctionEventInvokeConfigs`.

use millstream_destinations::{DestinationKind, destination_kind};
use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_types::Arn;
use millstream_wire::lambda::error::{
    DeleteFunctionEventInvokeConfigError, GetFunctionEventInvokeConfigError, ListFunctionEventInvokeConfigsError,
    PutFunctionEventInvokeConfigError, UpdateFunctionEventInvokeConfigError,
};
use millstream_wire::lambda::{
    DeleteFunctionEventInvokeConfigRequest, DestinationConfig, FunctionEventInvokeConfig,
    GetFunctionEventInvokeConfigRequest, ListFunctionEventInvokeConfigsRequest, ListFunctionEventInvokeConfigsResponse,
    OnFailure, OnSuccess, PutFunctionEventInvokeConfigRequest, UpdateFunctionEventInvokeConfigRequest,
};

use super::list_functions::page_items;
use crate::failure::Failure;
use crate::functions::Functions;
use crate::invoke_config::InvokeConfigRecord;
use crate::names::{LATEST, Target, named_by};
use crate::settings::invalid;
use crate::store::last_part;

/// A key like those of results, for policies that allow some keys only.
const OBJECT_KEY: &str = "aws/lambda/async/function/time";

/// What a request gives.
struct Given<'a> {
    retries: Option<i32>,
    age_seconds: Option<i32>,
    destinations: Option<&'a DestinationConfig>,
}

impl Functions {
    /// Replaces the configuration: what is not given is the default again.
    pub async fn put_function_event_invoke_config(
        &self,
        context: &RequestContext,
        input: PutFunctionEventInvokeConfigRequest,
    ) -> Result<FunctionEventInvokeConfig, PutFunctionEventInvokeConfigError> {
        let target = qualified(context, &input.function_name, input.qualifier.as_deref())?;
        let given = Given {
            retries: input.maximum_retry_attempts,
            age_seconds: input.maximum_event_age_in_seconds,
            destinations: input.destination_config.as_ref(),
        };
        self.check_exists(&target).await?;
        Ok(self.configure(&target, InvokeConfigRecord::default(), &given).await?)
    }

    /// Changes what is given.
    pub async fn update_function_event_invoke_config(
        &self,
        context: &RequestContext,
        input: UpdateFunctionEventInvokeConfigRequest,
    ) -> Result<FunctionEventInvokeConfig, UpdateFunctionEventInvokeConfigError> {
        let target = qualified(context, &input.function_name, input.qualifier.as_deref())?;
        let given = Given {
            retries: input.maximum_retry_attempts,
            age_seconds: input.maximum_event_age_in_seconds,
            destinations: input.destination_config.as_ref(),
        };
        self.check_exists(&target).await?;
        let before = self.invoke_config(&target).await?.ok_or_else(|| none(&target))?;
        Ok(self.configure(&target, before, &given).await?)
    }

    pub async fn get_function_event_invoke_config(
        &self,
        context: &RequestContext,
        input: GetFunctionEventInvokeConfigRequest,
    ) -> Result<FunctionEventInvokeConfig, GetFunctionEventInvokeConfigError> {
        let target = qualified(context, &input.function_name, input.qualifier.as_deref())?;
        let record = self.invoke_config(&target).await?.ok_or_else(|| none(&target))?;
        Ok(shown(&target, record))
    }

    pub async fn delete_function_event_invoke_config(
        &self,
        context: &RequestContext,
        input: DeleteFunctionEventInvokeConfigRequest,
    ) -> Result<(), DeleteFunctionEventInvokeConfigError> {
        let target = qualified(context, &input.function_name, input.qualifier.as_deref())?;
        if !self.shared.records.remove_invoke_config(&target).await? {
            return Err(none(&target).into());
        }
        Ok(())
    }

    pub async fn list_function_event_invoke_configs(
        &self,
        context: &RequestContext,
        input: ListFunctionEventInvokeConfigsRequest,
    ) -> Result<ListFunctionEventInvokeConfigsResponse, ListFunctionEventInvokeConfigsError> {
        let target = Target::of(context, &input.function_name, None)?;
        self.function(&target).await?;
        let limit = page_items(input.max_items);
        let page = self.shared.records.invoke_configs(&target, input.marker.as_deref(), limit).await?;
        let items = page.items.into_iter().map(|stored| {
            let qualifier = last_part(&stored.key).to_owned();
            (shown(&target.qualified(Some(&qualifier)), stored.record), qualifier)
        });
        let (configs, names): (Vec<_>, Vec<_>) = items.unzip();
        Ok(ListFunctionEventInvokeConfigsResponse {
            next_marker: names.last().filter(|_| page.more).cloned(),
            function_event_invoke_configs: Some(configs),
        })
    }

    /// The configuration for invocations of exactly this target.
    pub(crate) async fn invoke_config(&self, target: &Target) -> Result<Option<InvokeConfigRecord>, Failure> {
        Ok(self.shared.records.invoke_config(target).await?.map(|stored| stored.record))
    }

    async fn configure(
        &self,
        target: &Target,
        mut record: InvokeConfigRecord,
        given: &Given<'_>,
    ) -> Result<FunctionEventInvokeConfig, Failure> {
        if given.retries.is_none() && given.age_seconds.is_none() && given.destinations.is_none() {
            let text = "You must specify at least one of error handling or destination setting.";
            return Err(invalid(text.to_owned()));
        }
        // Their ranges are those of the model.
        record.retries = given.retries.and_then(|retries| u32::try_from(retries).ok()).or(record.retries);
        record.age_seconds = given.age_seconds.and_then(|age| u32::try_from(age).ok()).or(record.age_seconds);
        if let Some(destinations) = given.destinations {
            let arn = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
            if let Some(on_success) = &destinations.on_success {
                record.on_success = arn(on_success.destination.as_ref());
            }
            if let Some(on_failure) = &destinations.on_failure {
                record.on_failure = arn(on_failure.destination.as_ref());
            }
            let role = self.resolve(target).await?.version.configuration.role;
            for (arn, is_failure) in [(&record.on_success, false), (&record.on_failure, true)] {
                if let Some(arn) = arn {
                    self.check_destination(&role, arn, is_failure).await?;
                }
            }
        }
        record.modified_ms = self.shared.service_clock.now().millis();
        self.shared.records.put_invoke_config(target, &record).await?;
        Ok(shown(target, record))
    }

    async fn check_exists(&self, target: &Target) -> Result<(), Failure> {
        match self.resolve(target).await {
            Err(Failure::ResourceNotFound(_)) => {
                Err(Failure::ResourceNotFound("The function doesn't exist.".to_owned()))
            }
            other => other.map(drop),
        }
    }

    /// Refuses what no result can be sent to, and what the execution role may not send to.
    async fn check_destination(&self, role: &str, arn: &str, is_failure: bool) -> Result<(), Failure> {
        let (action, resource) = match parsed(arn, is_failure)? {
            Place::Function => ("lambda:InvokeFunction", arn.to_owned()),
            Place::Service(kind, arn) => {
                let mut needs = kind.needs(&arn, OBJECT_KEY);
                let last = needs.pop().expect("every kind needs something");
                for (action, resource) in needs {
                    self.check_allowed(role, action, &resource).await?;
                }
                last
            }
        };
        self.check_allowed(role, action, &resource).await
    }

    pub(super) async fn check_allowed(&self, role: &str, action: &str, resource: &str) -> Result<(), Failure> {
        if self.shared.roles.allows(role, action, resource).await {
            return Ok(());
        }
        // Clients recognise "execution role does not have permissions" and try again.
        let (service, call) = action.split_once(':').expect("an action names its service");
        let service = service.to_uppercase();
        Err(invalid(format!("The provided execution role does not have permissions to call {call} on {service}")))
    }
}

/// What a destination is.
enum Place {
    Function,
    Service(DestinationKind, Arn),
}

fn parsed(text: &str, is_failure: bool) -> Result<Place, Failure> {
    let refused = |why: &str| {
        let (success, failure) = if is_failure { ("null", text) } else { (text, "null") };
        invalid(format!(
            "The provided destination config DestinationConfig(onSuccess={success}, onFailure={failure}) is invalid. {why}"
        ))
    };
    let arn: Arn = text.parse().map_err(|_| refused("It is no ARN."))?;
    match arn.service.as_str() {
        "lambda" if named_by(&arn).is_some() => Ok(Place::Function),
        "events" => Err(refused("This server has no event buses: give the ARN of a queue, a topic or a function.")),
        "s3" if !is_failure => Err(refused("A bucket can only take failures.")),
        _ => {
            let kind = destination_kind(&arn).map_err(|error| refused(&format!("{error}.")))?;
            Ok(Place::Service(kind, arn))
        }
    }
}

/// Without a qualifier the configuration is that of `$LATEST`.
fn qualified(context: &RequestContext, name: &str, qualifier: Option<&str>) -> Result<Target, Failure> {
    let target = Target::of(context, name, qualifier)?;
    Ok(if target.qualifier.is_none() { target.qualified(Some(LATEST)) } else { target })
}

fn none(target: &Target) -> Failure {
    Failure::ResourceNotFound(format!("The function {} doesn't have an EventInvokeConfig", target.arn()))
}

fn shown(target: &Target, record: InvokeConfigRecord) -> FunctionEventInvokeConfig {
    FunctionEventInvokeConfig {
        last_modified: Some(Timestamp::from_millis(record.modified_ms)),
        function_arn: Some(target.arn()),
        maximum_retry_attempts: record.retries.and_then(|retries| i32::try_from(retries).ok()),
        maximum_event_age_in_seconds: record.age_seconds.and_then(|age| i32::try_from(age).ok()),
        destination_config: Some(DestinationConfig {
            on_success: Some(OnSuccess { destination: record.on_success }),
            on_failure: Some(OnFailure { destination: record.on_failure }),
        }),
    }
}
