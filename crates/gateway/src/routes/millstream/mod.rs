//! Millstream's own operations: what AWS has no call for.
//!
//! Their permissions are about resources in the caller's account and Region, such as
//! `arn:aws:millstream:us-east-1:123456789012:clock`, so that policies can name them like any other. A server has one clock:
//! whoever may move it in one account moves it for all.

mod batches;
mod clock;
mod failed;
mod mappings;

use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_mapping::operator::OperatorError;
use millstream_wire::millstream::SERVICE;

use crate::operation::{Need, Table};
use crate::services::Services;

/// Items of one answer when the request does not say how many.
const PAGE_ITEMS: usize = 100;

pub(crate) fn table(services: &Services) -> Table {
    let mut table = Table::new(&SERVICE);
    clock::add(&mut table, &services.clock);
    mappings::add(&mut table, &services.mappings);
    failed::add(&mut table, &services.mappings);
    table
}

fn on_mapping(context: &RequestContext, operation: &str, uuid: &str) -> Vec<Need> {
    // Mappings are found by UUIDs in any case; policies name them as they are listed.
    let uuid = uuid.to_ascii_lowercase();
    let arn = context.scope.arn("millstream", format_args!("event-source-mapping:{uuid}"));
    vec![Need::new(format!("millstream:{operation}"), arn)]
}

/// The model admits 1 to 1000.
fn page_items(max_results: Option<i32>) -> usize {
    max_results.and_then(|number| usize::try_from(number).ok()).unwrap_or(PAGE_ITEMS)
}

fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn long(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn moment(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// What operators are refused with, as the errors of each operation.
macro_rules! refusals {
    ($($error:ident),* $(,)?) => {$(
        impl Refusal for millstream_wire::millstream::error::$error {
            fn of(error: OperatorError) -> Self {
                match error {
                    OperatorError::NotFound(text) => Self::ResourceNotFound(text),
                    OperatorError::Conflict(text) => Self::Conflict(text),
                    OperatorError::Invalid(text) => Self::Validation(text),
                    OperatorError::Unavailable(text) => Self::ServiceUnavailable(text),
                }
            }
        }
    )*};
}

trait Refusal {
    fn of(error: OperatorError) -> Self;
}

refusals!(
    DescribeMappingError,
    ForgetFailedBatchError,
    GetFailedBatchError,
    ListBatchesError,
    ListFailedBatchesError,
    PauseMappingError,
    RedriveFailedBatchError,
    ResumeMappingError,
    RewindMappingError,
    SkipBatchesError,
    StepMappingError,
);

/// Adds operations on one mapping, each a function of the handle, the scope and the input.
macro_rules! on_one_mapping {
    ($table:ident, $mappings:ident: $($operation:ident => $function:path;)*) => {
        $($table.add::<millstream_wire::millstream::op::$operation, _, _>(
            |context, input| super::on_mapping(context, stringify!($operation), &input.uuid),
            {
                let mappings = $mappings.clone();
                move |context: millstream_iam::RequestContext, input| {
                    let mappings = mappings.clone();
                    async move { $function(&mappings, &context.scope, input).await.map_err(super::Refusal::of) }
                }
            },
        );)*
    };
}
use on_one_mapping;
