//! Lambda: functions from `functions`, event source mappings from `mapping`.

use millstream_functions::{Functions, spelled_arn};
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

/// Operations on an alias. Permissions name its function (service authorization reference of Lambda).
macro_rules! on_alias {
    ($table:ident, $functions:ident: $($operation:ident => $method:ident;)*) => {
        $($table.add::<op::$operation, _, _>(
            |context, input| vec![function_need(context, op::$operation::NAME, &input.function_name, None)],
            call!($functions.$method),
        );)*
    };
}

/// Operations on a version of a layer.
macro_rules! on_layer_version {
    ($table:ident, $functions:ident: $($operation:ident => $method:ident;)*) => {
        $($table.add::<op::$operation, _, _>(
            |context, input| {
                let layer = layer_arn(context, &input.layer_name);
                vec![Need::new(concat!("lambda:", stringify!($operation)), format!("{layer}:{}", input.version_number))]
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

/// Operations on the tags of a function or an event source mapping, which its ARN tells.
macro_rules! on_tags {
    ($table:ident, $functions:ident, $mappings:ident: $($operation:ident => $method:ident;)*) => {
        $($table.add::<op::$operation, _, _>(
            |_, input| vec![Need::new(concat!("lambda:", stringify!($operation)), &input.resource)],
            {
                let (functions, mappings) = ($functions.clone(), $mappings.clone());
                move |context: RequestContext, input| {
                    let (functions, mappings) = (functions.clone(), mappings.clone());
                    async move {
                        if is_mapping(&input.resource) {
                            mappings.$method(&context, input).await
                        } else {
                            functions.$method(&context, input).await
                        }
                    }
                }
            },
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
            .into_iter()
            .chain(layer_needs(input.layers.as_deref()))
            .collect()
        },
        call!(functions.create_function),
    );
    table.add::<op::UpdateFunctionConfiguration, _, _>(
        |context, input| {
            let mut needs = vec![function_need(context, "UpdateFunctionConfiguration", &input.function_name, None)];
            needs.extend(input.role.as_ref().map(|role| Need::new("iam:PassRole", role)));
            needs.extend(layer_needs(input.layers.as_deref()));
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
        AddPermission => add_permission, qualifier;
        DeleteFunctionEventInvokeConfig => delete_function_event_invoke_config, qualifier;
        GetFunctionEventInvokeConfig => get_function_event_invoke_config, qualifier;
        ListFunctionEventInvokeConfigs => list_function_event_invoke_configs;
        PutFunctionEventInvokeConfig => put_function_event_invoke_config, qualifier;
        UpdateFunctionEventInvokeConfig => update_function_event_invoke_config, qualifier;
        DeleteFunctionConcurrency => delete_function_concurrency;
        GetFunction => get_function, qualifier;
        GetFunctionCodeSigningConfig => get_function_code_signing_config;
        GetFunctionConcurrency => get_function_concurrency;
        GetFunctionConfiguration => get_function_configuration, qualifier;
        GetPolicy => get_policy, qualifier;
        ListAliases => list_aliases;
        ListVersionsByFunction => list_versions_by_function;
        PublishVersion => publish_version;
        PutFunctionConcurrency => put_function_concurrency;
        RemovePermission => remove_permission, qualifier;
        UpdateFunctionCode => update_function_code;
    }
    on_alias! { table, functions:
        CreateAlias => create_alias;
        DeleteAlias => delete_alias;
        GetAlias => get_alias;
        UpdateAlias => update_alias;
    }
    add_layers(&mut table, functions);
    on_mapping! { table, mappings:
        DeleteEventSourceMapping => delete_event_source_mapping;
        GetEventSourceMapping => get_event_source_mapping;
        UpdateEventSourceMapping => update_event_source_mapping;
    }
    on_tags! { table, functions, mappings:
        ListTags => list_tags;
        TagResource => tag_resource;
        UntagResource => untag_resource;
    }
    on_nothing! { table:
        CreateEventSourceMapping => mappings.create_event_source_mapping;
        GetAccountSettings => functions.get_account_settings;
        ListEventSourceMappings => mappings.list_event_source_mappings;
        ListFunctions => functions.list_functions;
    }
    table
}

fn add_layers(table: &mut Table, functions: &Functions) {
    on_layer_version! { table, functions:
        AddLayerVersionPermission => add_layer_version_permission;
        DeleteLayerVersion => delete_layer_version;
        GetLayerVersion => get_layer_version;
        GetLayerVersionPolicy => get_layer_version_policy;
        RemoveLayerVersionPermission => remove_layer_version_permission;
    }
    table.add::<op::PublishLayerVersion, _, _>(
        |context, input| vec![Need::new("lambda:PublishLayerVersion", layer_arn(context, &input.layer_name))],
        call!(functions.publish_layer_version),
    );
    table.add::<op::GetLayerVersionByArn, _, _>(
        |_, input| vec![Need::new("lambda:GetLayerVersion", &input.arn)],
        call!(functions.get_layer_version_by_arn),
    );
    table.add::<op::ListLayerVersions, _, _>(
        |context, input| {
            // No resource is asked for one's own layers; those of other accounts are theirs.
            let layer = layer_arn(context, &input.layer_name);
            let is_own = layer.split(':').nth(4) == Some(context.scope.account.as_str());
            let resource = if is_own { "*" } else { &layer };
            vec![Need::new("lambda:ListLayerVersions", resource)]
        },
        call!(functions.list_layer_versions),
    );
    on_nothing! { table:
        ListLayers => functions.list_layers;
    }
}

/// A layer as requests name it: by its name or its ARN.
fn layer_arn(context: &RequestContext, name: &str) -> String {
    if name.contains(':') {
        name.to_owned()
    } else {
        context.scope.arn("lambda", format_args!("layer:{name}")).to_string()
    }
}

/// A function may only be given layers that its maker may read.
fn layer_needs(layers: Option<&[String]>) -> impl Iterator<Item = Need> {
    layers.unwrap_or_default().iter().map(|arn| Need::new("lambda:GetLayerVersion", arn))
}

fn is_mapping(arn: &str) -> bool {
    arn.split(':').nth(5) == Some("event-source-mapping")
}

fn function_need(context: &RequestContext, action: &str, name: &str, qualifier: Option<&String>) -> Need {
    let action = format!("lambda:{action}");
    // One parser for both: what is authorised is what the operation will act on.
    match spelled_arn(&context.scope, name, qualifier.map(String::as_str)) {
        Some(arn) => Need::new(action, arn),
        // The operation itself refuses such a name with its own text.
        None => Need::new(action, "*"),
    }
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
            ("eu-west-1:7", None, "arn:aws:lambda:us-west-2:123456789012:function:eu-west-1:7".to_owned()),
            ("123456789012:7", None, "arn:aws:lambda:us-west-2:123456789012:function:123456789012:7".to_owned()),
            ("us-west-2:123456789012:function:f:7", None, format!("{function}:7")),
            (function, Some("$LATEST"), format!("{function}:$LATEST")),
            ("arn:aws:lambda:us-west-2:123456789012:function:f:7", Some("7"), format!("{function}:7")),
        ] {
            let qualifier = qualifier.map(str::to_owned);
            let need = function_need(&context(), "GetFunction", name, qualifier.as_ref());
            assert_eq!(need, Need::new("lambda:GetFunction", expected), "{name} {qualifier:?}");
        }
    }
}
