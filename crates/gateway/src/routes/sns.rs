//! SNS. Permissions name the topic, but for operations that AWS allows or refuses as a whole.

use millstream_wire::sns::{SERVICE, op};

use crate::operation::{Need, Table, call};
use crate::services::Services;

/// Operations whose input names the topic. A batch needs the permission of the single call.
macro_rules! on_topic {
    ($table:ident, $topics:ident: $($operation:ident($member:ident) => $method:ident, $action:literal;)*) => {
        $($table.add::<op::$operation, _, _>(
            |_, input| vec![Need::new(concat!("sns:", $action), &input.$member)],
            call!($topics.$method),
        );)*
    };
}

/// Operations that have no resource (IAM service authorization reference).
macro_rules! on_all {
    ($table:ident, $topics:ident: $($operation:ident => $method:ident;)*) => {
        $($table.add::<op::$operation, _, _>(
            |_, _| vec![Need::new(concat!("sns:", stringify!($operation)), "*")],
            call!($topics.$method),
        );)*
    };
}

pub(crate) fn table(services: &Services) -> Table {
    let topics = &services.topics;
    let mut table = Table::new(&SERVICE);
    on_topic! { table, topics:
        DeleteTopic(topic_arn) => delete_topic, "DeleteTopic";
        GetTopicAttributes(topic_arn) => get_topic_attributes, "GetTopicAttributes";
        ListSubscriptionsByTopic(topic_arn) => list_subscriptions_by_topic, "ListSubscriptionsByTopic";
        ListTagsForResource(resource_arn) => list_tags_for_resource, "ListTagsForResource";
        PublishBatch(topic_arn) => publish_batch, "Publish";
        SetTopicAttributes(topic_arn) => set_topic_attributes, "SetTopicAttributes";
        Subscribe(topic_arn) => subscribe, "Subscribe";
        TagResource(resource_arn) => tag_resource, "TagResource";
        UntagResource(resource_arn) => untag_resource, "UntagResource";
    }
    on_all! { table, topics:
        GetSubscriptionAttributes => get_subscription_attributes;
        ListSubscriptions => list_subscriptions;
        ListTopics => list_topics;
        SetSubscriptionAttributes => set_subscription_attributes;
        Unsubscribe => unsubscribe;
    }
    table.add::<op::CreateTopic, _, _>(
        |context, input| {
            let topic = context.scope.arn("sns", &input.name);
            let mut needs = vec![Need::new("sns:CreateTopic", &topic)];
            needs.extend(input.tags.is_some().then(|| Need::new("sns:TagResource", &topic)));
            needs
        },
        call!(topics.create_topic),
    );
    table.add::<op::Publish, _, _>(
        |_, input| {
            let topic = input.topic_arn.as_deref().or(input.target_arn.as_deref());
            vec![Need::new("sns:Publish", topic.unwrap_or("*"))]
        },
        call!(topics.publish),
    );
    table
}
