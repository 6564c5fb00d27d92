//! SQS. A queue is named by its URL; permissions name its ARN.

use millstream_destinations::Queues;
use millstream_iam::RequestContext;
use millstream_wire::sqs::{SERVICE, op};

use crate::operation::{Need, Table, call};
use crate::services::Services;

/// Operations whose input names the queue by its URL. A batch needs the permission of the single call.
macro_rules! on_queue {
    ($table:ident, $queues:ident: $($operation:ident => $method:ident, $action:literal;)*) => {
        $($table.add::<op::$operation, _, _>(
            |context, input| vec![Need::new(concat!("sqs:", $action), queue_arn(context, &input.queue_url))],
            call!($queues.$method),
        );)*
    };
}

pub(crate) fn table(services: &Services) -> Table {
    let queues = &services.queues;
    let mut table = Table::new(&SERVICE);
    on_queue! { table, queues:
        ChangeMessageVisibility => change_message_visibility, "ChangeMessageVisibility";
        ChangeMessageVisibilityBatch => change_message_visibility_batch, "ChangeMessageVisibility";
        DeleteMessage => delete_message, "DeleteMessage";
        DeleteMessageBatch => delete_message_batch, "DeleteMessage";
        DeleteQueue => delete_queue, "DeleteQueue";
        GetQueueAttributes => get_queue_attributes, "GetQueueAttributes";
        ListQueueTags => list_queue_tags, "ListQueueTags";
        PurgeQueue => purge_queue, "PurgeQueue";
        ReceiveMessage => receive_message, "ReceiveMessage";
        SendMessage => send_message, "SendMessage";
        SendMessageBatch => send_message_batch, "SendMessage";
        SetQueueAttributes => set_queue_attributes, "SetQueueAttributes";
        TagQueue => tag_queue, "TagQueue";
        UntagQueue => untag_queue, "UntagQueue";
    }
    table.add::<op::CreateQueue, _, _>(
        |context, input| {
            let queue = context.scope.arn("sqs", &input.queue_name);
            let mut needs = vec![Need::new("sqs:CreateQueue", &queue)];
            needs.extend(input.tags.is_some().then(|| Need::new("sqs:TagQueue", &queue)));
            needs
        },
        call!(queues.create_queue),
    );
    table.add::<op::GetQueueUrl, _, _>(
        |context, input| {
            let mut queue = context.scope.arn("sqs", &input.queue_name);
            if let Some(owner) = &input.queue_owner_aws_account_id {
                queue.account.clone_from(owner);
            }
            vec![Need::new("sqs:GetQueueUrl", queue)]
        },
        call!(queues.get_queue_url),
    );
    table.add::<op::ListQueues, _, _>(
        |context, _| vec![Need::new("sqs:ListQueues", context.scope.arn("sqs", "*"))],
        call!(queues.list_queues),
    );
    table
}

/// The ARN behind a URL; `*` for what is no URL of a queue, which the operation refuses.
fn queue_arn(context: &RequestContext, url: &str) -> String {
    Queues::arn_of_url(url, &context.scope.region).map_or_else(|| "*".to_owned(), |arn| arn.to_string())
}
