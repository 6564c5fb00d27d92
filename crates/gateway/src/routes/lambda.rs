//! Lambda: functions from `functions`, event source mappings from `mapping`.

use millstream_iam::RequestContext;
use millstream_wire::Operation;
use millstream_wire::lambda::{SERVICE, op};

use crate::operation::{Need, Table, call};
use crate::services::Services;

/// Operations on one function, with or without a qualifier in the query.
macro_rules! on_function {
    ($table:ident, $functions:ident: $($operation:ident => $method:ident $(, $qualifier:ident)?;)*) => {
        $($table.add::<op::$operation, _, _>(
            |context, input| {
                let qualifier: Option<&String> = None$(.or(input.$qualifier.as_ref()))?;
                vec![function_need(context, op::$operation::NAME, &input.function_name, qualifier)]
            },
            call!($functions.$method),
        );)*
    };
}

/// Operations without a resource.
macro_rules! on_nothing {
    ($table:ident: $($operation:ident => $handle:ident.$method:ident;)*) => {
        $($table.add::<op::$operation, _, _>(
            |_, _| vec![Need::new(concat!("lambda:", stringify!($operation)), "*")],
            call!($handle.$method),
        );)*
    };
}

/// Operations on one event source mapping.
macro_rules! on_mapping {
    ($table:ident, $mappings:ident: $($operation:ident => $method:ident;)*) => {
        $($table.add::<op::$operation, _, _>(
            |context, input| {
                let arn = context.scope.arn("lambda", format_args!("event-source-mapping:{}", input.uuid));
                vec![Need::new(concat!("lambda:", stringify!($operation)), arn)]
            },
            call!($mappings.$method),
        );)*
    };
}

pub(crate) fn table(services: &Services) -> Table {
    let (functions, mappings) = (&services.functions, &services.mappings);
    let mut table = Table::new(&SERVICE);
    table.add::<op::CreateFunction, _, _>(
        |context, input| {
            vec![
                function_need(context, "CreateFunction", &input.function_name, None),
                Need::new("iam:PassRole", &input.role),
            ]
        },
        call!(functions.create_function),
    );
    table.add::<op::UpdateFunctionConfiguration, _, _>(
        |context, input| {
            let mut needs = vec![function_need(context, "UpdateFunctionConfiguration", &input.function_name, None)];
            needs.extend(input.role.as_ref().map(|role| Need::new("iam:PassRole", role)));
            needs
        },
        call!(functions.update_function_configuration),
    );
    table.add::<op::Invoke, _, _>(
        |context, input| vec![function_need(context, "InvokeFunction", &input.function_name, input.qualifier.as_ref())],
        call!(functions.invoke),
    );
    on_function! { table, functions:
        DeleteFunction => delete_function, qualifier;
        GetFunction => get_function, qualifier;
        GetFunctionConfiguration => get_function_configuration, qualifier;
        ListVersionsByFunction => list_versions_by_function;
        PublishVersion => publish_version;
        UpdateFunctionCode => update_function_code;
    }
    on_mapping! { table, mappings:
        DeleteEventSourceMapping => delete_event_source_mapping;
        GetEventSourceMapping => get_event_source_mapping;
        UpdateEventSourceMapping => update_event_source_mapping;
    }
    on_nothing! { table:
        CreateEventSourceMapping => mappings.create_event_source_mapping;
        GetAccountSettings => functions.get_account_settings;
        ListEventSourceMappings => mappings.list_event_source_mappings;
        ListFunctions => functions.list_functions;
    }
    table
}

fn function_need(context: &RequestContext, action: &str, name: &str, qualifier: Option<&String>) -> Need {
    let action = format!("lambda:{action}");
    match function_arn(context, name, qualifier.map(String::as_str)) {
        Some(arn) => Need::new(action, arn),
        // The operation itself refuses such a name with its own text.
        None => Need::new(action, "*"),
    }
}

/// The ARN of a function as it was called: with the qualifier only when one was given. A name is spelled
/// `[arn:aws:lambda:][region:][account:][function:]name[:qualifier]`.
fn function_arn(context: &RequestContext, name: &str, qualifier: Option<&str>) -> Option<String> {
    let mut rest: Vec<&str> = name.split(':').collect();
    if rest.len() > 3 && rest[0] == "arn" && rest[2] == "lambda" {
        rest.drain(..3);
    }
    let mut take = |is_prefix: fn(&str) -> bool| (rest.len() > 1 && is_prefix(rest[0])).then(|| rest.remove(0));
    let region = take(is_region);
    let account = take(|part| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit()));
    take(|part| part == "function");
    let region = region.unwrap_or(context.scope.region.as_str());
    let account = account.unwrap_or(context.scope.account.as_str());
    let (name, qualifier) = match rest[..] {
        [name] => (name, qualifier),
        [name, qualifier] => (name, Some(qualifier)),
        _ => return None,
    };
    let qualifier = qualifier.map_or_else(String::new, |qualifier| format!(":{qualifier}"));
    Some(format!("arn:aws:lambda:{region}:{account}:function:{name}{qualifier}"))
}

/// As the operations themselves tell regions from names, so that both mean the same function.
fn is_region(part: &str) -> bool {
    part.contains('-') && part.ends_with(|last: char| last.is_ascii_digit()) && part.split('-').count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    #[test]
    fn functions_are_authorised_as_they_are_called() {
        let function = "arn:aws:lambda:us-west-2:123456789012:function:f";
        for (name, qualifier, expected) in [
            ("f", None, function.to_owned()),
            ("f", Some("7"), format!("{function}:7")),
            ("f:live", None, format!("{function}:live")),
            ("123456789012:function:f", Some("7"), format!("{function}:7")),
            ("function:f", None, function.to_owned()),
            ("123456789012:f", None, function.to_owned()),
            ("us-west-2:123456789012:function:f:7", None, format!("{function}:7")),
            (function, Some("$LATEST"), format!("{function}:$LATEST")),
            ("arn:aws:lambda:us-west-2:123456789012:function:f:7", Some("7"), format!("{function}:7")),
        ] {
            assert_eq!(function_arn(&context(), name, qualifier).unwrap(), expected, "{name} {qualifier:?}");
        }
    }
}
