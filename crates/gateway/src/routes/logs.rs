//! CloudWatch Logs.

use millstream_iam::RequestContext;
use millstream_wire::logs::{SERVICE, op};

use crate::operation::{Need, Table, call};
use crate::services::Services;

macro_rules! on_group {
    ($table:ident, $logs:ident: $($operation:ident => $method:ident;)*) => {
        $($table.add::<op::$operation, _, _>(
            |context, input| {
                let group = group_arn(context, Some(&input.log_group_name), None);
                vec![Need::new(concat!("logs:", stringify!($operation)), group)]
            },
            call!($logs.$method),
        );)*
    };
}

macro_rules! on_group_or_identifier {
    ($table:ident, $logs:ident: $($operation:ident => $method:ident;)*) => {
        $($table.add::<op::$operation, _, _>(
            |context, input| {
                let group = group_arn(context, input.log_group_name.as_ref(), input.log_group_identifier.as_ref());
                vec![Need::new(concat!("logs:", stringify!($operation)), group)]
            },
            call!($logs.$method),
        );)*
    };
}

macro_rules! on_stream {
    ($table:ident, $logs:ident: $($operation:ident => $method:ident;)*) => {
        $($table.add::<op::$operation, _, _>(
            |context, input| {
                let group = group_arn(context, Some(&input.log_group_name), None);
                let stream = format!("{group}:log-stream:{}", input.log_stream_name);
                vec![Need::new(concat!("logs:", stringify!($operation)), stream)]
            },
            call!($logs.$method),
        );)*
    };
}

pub(crate) fn table(services: &Services) -> Table {
    let logs = &services.logs;
    let mut table = Table::new(&SERVICE);
    on_group! { table, logs:
        CreateLogGroup => create_log_group;
        DeleteLogGroup => delete_log_group;
        PutRetentionPolicy => put_retention_policy;
    }
    on_group_or_identifier! { table, logs:
        DescribeLogStreams => describe_log_streams;
        FilterLogEvents => filter_log_events;
    }
    on_stream! { table, logs:
        CreateLogStream => create_log_stream;
        PutLogEvents => put_log_events;
    }
    table.add::<op::GetLogEvents, _, _>(
        |context, input| {
            let group = group_arn(context, input.log_group_name.as_ref(), input.log_group_identifier.as_ref());
            vec![Need::new("logs:GetLogEvents", format_args!("{group}:log-stream:{}", input.log_stream_name))]
        },
        call!(logs.get_log_events),
    );
    table.add::<op::DescribeLogGroups, _, _>(
        |_, _| vec![Need::new("logs:DescribeLogGroups", "*")],
        call!(logs.describe_log_groups),
    );
    table
}

/// The ARN of the group a request names, by name or by an identifier, which is a name or an ARN.
fn group_arn(context: &RequestContext, name: Option<&String>, identifier: Option<&String>) -> String {
    let text = name.or(identifier).map_or("", String::as_str);
    if text.starts_with("arn:") {
        return text.strip_suffix(":*").unwrap_or(text).to_owned();
    }
    context.scope.arn("logs", format_args!("log-group:{text}")).to_string()
}
