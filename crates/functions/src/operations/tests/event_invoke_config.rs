//! The configuration of asynchronous invocations. What it does is tested with the queue.

use millstream_wire::lambda::error::{
    DeleteFunctionEventInvokeConfigError, GetFunctionEventInvokeConfigError, PutFunctionEventInvokeConfigError,
    UpdateFunctionEventInvokeConfigError,
};
use millstream_wire::lambda::{
    DeleteFunctionEventInvokeConfigRequest, DestinationConfig, FunctionEventInvokeConfig,
    GetFunctionEventInvokeConfigRequest, ListFunctionEventInvokeConfigsRequest, OnFailure, OnSuccess,
    PutFunctionEventInvokeConfigRequest, UpdateFunctionEventInvokeConfigRequest,
};

use super::*;

const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:q";

fn put(qualifier: Option<&str>) -> PutFunctionEventInvokeConfigRequest {
    PutFunctionEventInvokeConfigRequest {
        function_name: "f".to_owned(),
        qualifier: qualifier.map(str::to_owned),
        ..PutFunctionEventInvokeConfigRequest::default()
    }
}

fn on_failure(arn: &str) -> DestinationConfig {
    DestinationConfig { on_failure: Some(OnFailure { destination: Some(arn.to_owned()) }), on_success: None }
}

async fn shown(
    world: &World,
    qualifier: Option<&str>,
) -> Result<FunctionEventInvokeConfig, GetFunctionEventInvokeConfigError> {
    let input =
        GetFunctionEventInvokeConfigRequest { function_name: "f".to_owned(), qualifier: qualifier.map(str::to_owned) };
    world.functions.get_function_event_invoke_config(&context(), input).await
}

#[tokio::test]
async fn a_configuration_is_put_changed_listed_and_deleted() {
    let world = with_function().await;
    publish(&world).await;
    let input = PutFunctionEventInvokeConfigRequest { maximum_retry_attempts: Some(1), ..put(None) };
    let made = world.functions.put_function_event_invoke_config(&context(), input).await.unwrap();
    assert_eq!(made.function_arn, Some(format!("{ARN}:$LATEST")));
    assert_eq!((made.maximum_retry_attempts, made.maximum_event_age_in_seconds), (Some(1), None));
    let empty = DestinationConfig { on_failure: Some(OnFailure::default()), on_success: Some(OnSuccess::default()) };
    assert_eq!(made.destination_config, Some(empty.clone()));
    assert_eq!(shown(&world, None).await.unwrap(), made);
    assert_eq!(shown(&world, Some("$LATEST")).await.unwrap(), made);

    let change = UpdateFunctionEventInvokeConfigRequest {
        function_name: "f".to_owned(),
        maximum_event_age_in_seconds: Some(60),
        destination_config: Some(on_failure(QUEUE)),
        ..UpdateFunctionEventInvokeConfigRequest::default()
    };
    let changed = world.functions.update_function_event_invoke_config(&context(), change).await.unwrap();
    assert_eq!((changed.maximum_retry_attempts, changed.maximum_event_age_in_seconds), (Some(1), Some(60)));
    let destination = changed.destination_config.unwrap().on_failure.unwrap().destination;
    assert_eq!(destination.as_deref(), Some(QUEUE));
    // A new one begins from the defaults.
    let input = PutFunctionEventInvokeConfigRequest { maximum_event_age_in_seconds: Some(90), ..put(None) };
    let anew = world.functions.put_function_event_invoke_config(&context(), input).await.unwrap();
    assert_eq!((anew.maximum_retry_attempts, anew.destination_config), (None, Some(empty)));

    let input = PutFunctionEventInvokeConfigRequest { maximum_retry_attempts: Some(0), ..put(Some("1")) };
    world.functions.put_function_event_invoke_config(&context(), input).await.unwrap();
    let list = async |marker: Option<&str>, max_items| {
        let input = ListFunctionEventInvokeConfigsRequest {
            function_name: "f".to_owned(),
            marker: marker.map(str::to_owned),
            max_items,
        };
        let page = world.functions.list_function_event_invoke_configs(&context(), input).await.unwrap();
        let configs = page.function_event_invoke_configs.unwrap();
        (configs.into_iter().filter_map(|config| config.function_arn).collect::<Vec<_>>(), page.next_marker)
    };
    let (latest, first) = (format!("{ARN}:$LATEST"), format!("{ARN}:1"));
    assert_eq!(list(None, None).await, (vec![latest.clone(), first.clone()], None));
    assert_eq!(list(None, Some(1)).await, (vec![latest], Some("$LATEST".to_owned())));
    assert_eq!(list(Some("$LATEST"), Some(1)).await, (vec![first], None));
    let delete = async || {
        let input = DeleteFunctionEventInvokeConfigRequest { function_name: "f".to_owned(), qualifier: None };
        world.functions.delete_function_event_invoke_config(&context(), input).await
    };
    delete().await.unwrap();
    let text = format!("The function {ARN}:$LATEST doesn't have an EventInvokeConfig");
    assert_eq!(delete().await.unwrap_err(), DeleteFunctionEventInvokeConfigError::ResourceNotFound(text.clone()));
    assert_eq!(
        shown(&world, None).await.unwrap_err(),
        GetFunctionEventInvokeConfigError::ResourceNotFound(text.clone())
    );
    let change = UpdateFunctionEventInvokeConfigRequest {
        function_name: "f".to_owned(),
        maximum_retry_attempts: Some(1),
        ..UpdateFunctionEventInvokeConfigRequest::default()
    };
    assert_eq!(
        world.functions.update_function_event_invoke_config(&context(), change).await.unwrap_err(),
        UpdateFunctionEventInvokeConfigError::ResourceNotFound(text)
    );
}

#[tokio::test]
async fn refusals_have_the_words_of_aws() {
    let world = with_function().await;
    let refusal = async |input| world.functions.put_function_event_invoke_config(&context(), input).await.unwrap_err();
    let invalid = |text: &str| PutFunctionEventInvokeConfigError::InvalidParameterValue(text.to_owned());
    let nothing = "You must specify at least one of error handling or destination setting.";
    assert_eq!(refusal(put(None)).await, invalid(nothing));
    let unknown = PutFunctionEventInvokeConfigRequest {
        function_name: "g".to_owned(),
        maximum_retry_attempts: Some(1),
        ..put(None)
    };
    let text = "The function doesn't exist.".to_owned();
    assert_eq!(refusal(unknown).await, PutFunctionEventInvokeConfigError::ResourceNotFound(text));
    for arn in
        ["arn:aws:events:us-east-1:000000000000:event-bus/default", "arn:aws:sqs:us-east-1:000000000000:q.fifo", "no"]
    {
        let input = PutFunctionEventInvokeConfigRequest { destination_config: Some(on_failure(arn)), ..put(None) };
        let PutFunctionEventInvokeConfigError::InvalidParameterValue(text) = refusal(input).await else {
            panic!("{arn}")
        };
        let start =
            format!("The provided destination config DestinationConfig(onSuccess=null, onFailure={arn}) is invalid.");
        assert!(text.starts_with(&start), "{text}");
    }
    for (arn, call) in [
        ("arn:aws:sqs:us-east-1:000000000000:forbidden", "SendMessage on SQS"),
        ("arn:aws:s3:::forbidden", "PutObject on S3"),
        ("arn:aws:lambda:us-east-1:000000000000:function:forbidden", "InvokeFunction on LAMBDA"),
    ] {
        let input = PutFunctionEventInvokeConfigRequest { destination_config: Some(on_failure(arn)), ..put(None) };
        let text = format!("The provided execution role does not have permissions to call {call}");
        assert_eq!(refusal(input).await, invalid(&text));
    }
    let bucket = DestinationConfig {
        on_success: Some(OnSuccess { destination: Some("arn:aws:s3:::results".to_owned()) }),
        on_failure: None,
    };
    let input = PutFunctionEventInvokeConfigRequest { destination_config: Some(bucket), ..put(None) };
    assert!(matches!(refusal(input).await, PutFunctionEventInvokeConfigError::InvalidParameterValue(text)
        if text.ends_with("A bucket can only take failures.")));
}
