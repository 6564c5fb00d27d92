//! What create and update check alike.

use millstream_destinations::destination_kind;
use millstream_types::{Arn, Scope};

use super::failure::Failure;
use crate::contract::{Access, access};
use crate::mappings::Shared;
use crate::names::FunctionReference;
use crate::record::Settings;

/// Refuses a member that belongs to other event sources. `given` says which were sent.
pub(super) fn check_only_stream_settings(given: &[(&str, bool)]) -> Result<(), Failure> {
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => {
            Err(Failure::invalid(format!("Unsupported {name} parameter for given event source mapping type.")))
        }
        None => Ok(()),
    }
}

/// The function that a request names, which must exist.
pub(super) async fn find_function(
    shared: &Shared,
    scope: &Scope,
    text: &str,
) -> Result<(FunctionReference, String), Failure> {
    // Not a 404: a mapping's function is a parameter (recorded).
    let missing = || Failure::invalid("Function does not exist");
    let function = FunctionReference::parse(scope, text).ok_or_else(missing)?;
    let role = shared.targets.execution_role(scope, &function.name, function.qualifier.as_deref()).await?;
    Ok((function, role.ok_or_else(missing)?))
}

/// Whether the function's role may poll the stream.
pub(super) async fn check_access(shared: &Shared, role_arn: &str, stream_arn: &str) -> Result<(), Failure> {
    // Clients recognise "cannot be assumed by Lambda" and "ensure the role can perform" and try again.
    match access(&shared.permissions, role_arn, stream_arn).await? {
        Access::Granted => Ok(()),
        Access::CannotBeAssumed => {
            Err(Failure::invalid("The role defined for the function cannot be assumed by Lambda."))
        }
        Access::Refused => Err(Failure::invalid(format!(
            "Cannot access stream {stream_arn}. Please ensure the role can perform the GetRecords, GetShardIterator, \
             DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
        ))),
    }
}

/// A key like those of failed batches, for policies that allow some keys only.
const OBJECT_KEY: &str = "aws/lambda/mapping/shard/time";

/// Whether the function's role may send to the destination of failed batches.
pub(super) async fn check_destination_access(
    shared: &Shared,
    role_arn: &str,
    settings: &Settings,
) -> Result<(), Failure> {
    let Some(destination) = settings.on_failure.as_ref().and_then(|arn| arn.parse::<Arn>().ok()) else { return Ok(()) };
    let Ok(kind) = destination_kind(&destination) else { return Ok(()) };
    for (action, resource) in kind.needs(&destination, OBJECT_KEY) {
        if !shared.permissions.role_allows(role_arn, action, &resource).await? {
            // Clients recognise "execution role does not have permissions" and try again.
            let (service, call) = action.split_once(':').expect("an action names its service");
            return Err(Failure::invalid(format!(
                "The provided execution role does not have permissions to call {call} on {}",
                service.to_uppercase()
            )));
        }
    }
    Ok(())
}

/// The refusal of a second mapping for a pair of stream and function; the blanks in it are AWS's (recorded).
pub(super) fn duplicate(stream_arn: &str, function: &FunctionReference, uuid: &str) -> Failure {
    Failure::ResourceConflict(format!(
        "The event source arn (\" {stream_arn} \") and function (\" {} \") provided mapping already exists. \
         Please update or delete the existing mapping with UUID {uuid}",
        function.name
    ))
}
