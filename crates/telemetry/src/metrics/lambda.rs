//! The names of what functions and mappings are measured by (Lambda's developer guide, "Types of metrics").

pub const NAMESPACE: &str = "AWS/Lambda";

pub const FUNCTION_NAME: &str = "FunctionName";
/// The function's name and the qualifier that it was called by.
pub const RESOURCE: &str = "Resource";
pub const EVENT_SOURCE_MAPPING_UUID: &str = "EventSourceMappingUUID";

pub const INVOCATIONS: &str = "Invocations";
pub const ERRORS: &str = "Errors";
pub const THROTTLES: &str = "Throttles";
pub const DURATION: &str = "Duration";
pub const CONCURRENT_EXECUTIONS: &str = "ConcurrentExecutions";
pub const ITERATOR_AGE: &str = "IteratorAge";
pub const DESTINATION_DELIVERY_FAILURES: &str = "DestinationDeliveryFailures";

pub const POLLED_EVENT_COUNT: &str = "PolledEventCount";
pub const FILTERED_OUT_EVENT_COUNT: &str = "FilteredOutEventCount";
pub const INVOKED_EVENT_COUNT: &str = "InvokedEventCount";
pub const FAILED_INVOKE_EVENT_COUNT: &str = "FailedInvokeEventCount";
pub const DROPPED_EVENT_COUNT: &str = "DroppedEventCount";
pub const ON_FAILURE_DESTINATION_DELIVERED_EVENT_COUNT: &str = "OnFailureDestinationDeliveredEventCount";
