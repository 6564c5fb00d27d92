//! Kinesis, but for the data path, which has its own way (`crate::data_path`).

use millstream_iam::RequestContext;
use millstream_streams::{ConsumerTarget, StreamTarget};
use millstream_wire::Operation;
use millstream_wire::kinesis::{RegisterStreamConsumerInput, SERVICE, op};

use crate::operation::{Need, Table, call};
use crate::services::Services;

/// Operations whose input names the stream, by name or ARN.
macro_rules! on_stream {
    ($table:ident, $streams:ident: $($operation:ident => $method:ident,)*) => {
        $($table.add::<op::$operation, _, _>(
            |context, input| {
                let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
                vec![stream_need(context, op::$operation::NAME, target)]
            },
            call!($streams.$method),
        );)*
    };
}

/// Operations on whatever an ARN names.
macro_rules! on_resource {
    ($table:ident, $streams:ident: $($operation:ident => $method:ident,)*) => {
        $($table.add::<op::$operation, _, _>(
            |_, input| vec![Need::new(format!("kinesis:{}", op::$operation::NAME), &input.resource_arn)],
            call!($streams.$method),
        );)*
    };
}

/// Operations whose input names a consumer, by its ARN or by its stream's ARN and its name.
macro_rules! on_consumer {
    ($table:ident, $streams:ident: $($operation:ident => $method:ident,)*) => {
        $({
            let handle = $streams.clone();
            $table.add_asking::<op::$operation, _, _, _, _>(
                move |context, input| {
                    let (handle, context, input) = (handle.clone(), context.clone(), input.clone());
                    async move {
                        let (stream, name) = (input.stream_arn.as_ref(), input.consumer_name.as_ref());
                        let target = ConsumerTarget::new(stream, name, input.consumer_arn.as_ref());
                        let resource = handle.consumer_resource(&context, target).await;
                        let action = format!("kinesis:{}", op::$operation::NAME);
                        vec![Need::new(action, resource.as_deref().unwrap_or("*"))]
                    }
                },
                call!($streams.$method),
            );
        })*
    };
}

pub(crate) fn table(services: &Services) -> Table {
    let streams = &services.streams;
    let mut table = Table::new(&SERVICE);
    table.add::<op::CreateStream, _, _>(
        |context, input| {
            let arn = context.scope.arn("kinesis", format_args!("stream/{}", input.stream_name));
            let mut needs = vec![Need::new("kinesis:CreateStream", &arn)];
            if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
                needs.push(Need::new("kinesis:AddTagsToStream", &arn));
            }
            needs
        },
        call!(streams.create_stream),
    );
    // These have no resource (service authorization reference).
    table.add::<op::ListStreams, _, _>(|_, _| vec![Need::new("kinesis:ListStreams", "*")], call!(streams.list_streams));
    table.add::<op::DescribeLimits, _, _>(
        |_, _| vec![Need::new("kinesis:DescribeLimits", "*")],
        call!(streams.describe_limits),
    );
    table.add::<op::DescribeAccountSettings, _, _>(
        |_, _| vec![Need::new("kinesis:DescribeAccountSettings", "*")],
        call!(streams.describe_account_settings),
    );
    table.add::<op::UpdateAccountSettings, _, _>(
        |_, _| vec![Need::new("kinesis:UpdateAccountSettings", "*")],
        call!(streams.update_account_settings),
    );
    let tokens = streams.clone();
    table.add_with::<op::ListShards, _, _, _>(
        move |context, input| {
            let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
            // A token stands for the stream it was made for; the request then names none.
            let named = input.next_token.as_ref().and_then(|token| tokens.list_shards_token_stream(token));
            vec![match named {
                Some(arn) => Need::new("kinesis:ListShards", arn),
                None => stream_need(context, "ListShards", target),
            }]
        },
        call!(streams.list_shards),
    );
    on_stream! { table, streams:
        AddTagsToStream => add_tags_to_stream,
        DecreaseStreamRetentionPeriod => decrease_stream_retention_period,
        DeleteStream => delete_stream,
        DescribeStream => describe_stream,
        DescribeStreamSummary => describe_stream_summary,
        GetShardIterator => get_shard_iterator,
        IncreaseStreamRetentionPeriod => increase_stream_retention_period,
        ListTagsForStream => list_tags_for_stream,
        MergeShards => merge_shards,
        RemoveTagsFromStream => remove_tags_from_stream,
        SplitShard => split_shard,
        StartStreamEncryption => start_stream_encryption,
        StopStreamEncryption => stop_stream_encryption,
        DisableEnhancedMonitoring => disable_enhanced_monitoring,
        EnableEnhancedMonitoring => enable_enhanced_monitoring,
        UpdateShardCount => update_shard_count,
        UpdateStreamWarmThroughput => update_stream_warm_throughput,
    }
    table.add::<op::UpdateStreamMode, _, _>(
        |_, input| vec![Need::new("kinesis:UpdateStreamMode", &input.stream_arn)],
        call!(streams.update_stream_mode),
    );
    table.add::<op::UpdateMaxRecordSize, _, _>(
        |context, input| {
            let target = StreamTarget::new(None, input.stream_arn.as_ref());
            vec![stream_need(context, "UpdateMaxRecordSize", target)]
        },
        call!(streams.update_max_record_size),
    );
    on_resource! { table, streams:
        DeleteResourcePolicy => delete_resource_policy,
        GetResourcePolicy => get_resource_policy,
        PutResourcePolicy => put_resource_policy,
        ListTagsForResource => list_tags_for_resource,
        TagResource => tag_resource,
        UntagResource => untag_resource,
    }
    consumers(&mut table, services);
    table
}

/// Enhanced fan-out, but for the subscription itself.
fn consumers(table: &mut Table, services: &Services) {
    let streams = &services.streams;
    table.add::<op::RegisterStreamConsumer, _, _>(
        |context, input| {
            let RegisterStreamConsumerInput { stream_arn, consumer_name, tags, .. } = input;
            let target = StreamTarget { stream_name: None, stream_arn: Some(stream_arn) };
            let mut needs = vec![stream_need(context, "RegisterStreamConsumer", target)];
            if tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
                // The consumer's ARN is not known yet: permission for every consumer of that name is.
                needs.push(Need::new("kinesis:TagResource", format_args!("{stream_arn}/consumer/{consumer_name}:*")));
            }
            needs
        },
        call!(streams.register_stream_consumer),
    );
    table.add::<op::ListStreamConsumers, _, _>(
        |context, input| {
            let target = StreamTarget { stream_name: None, stream_arn: Some(&input.stream_arn) };
            vec![stream_need(context, "ListStreamConsumers", target)]
        },
        call!(streams.list_stream_consumers),
    );
    on_consumer! { table, streams:
        DeregisterStreamConsumer => deregister_stream_consumer,
        DescribeStreamConsumer => describe_stream_consumer,
    }
}

/// Permission for `operation` on the stream a request names. A request that names none is asked about `*`: the operation
/// itself refuses it with its own text.
pub(crate) fn stream_need(context: &RequestContext, operation: &str, target: StreamTarget<'_>) -> Need {
    let action = format!("kinesis:{operation}");
    match target.arn(&context.scope) {
        Some(arn) => Need::new(action, arn),
        None => Need::new(action, "*"),
    }
}
