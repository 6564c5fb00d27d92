//! Aliases: names that lead to versions, one or two.

use millstream_wire::lambda::error::{CreateAliasError, DeleteFunctionError, GetAliasError, UpdateAliasError};
use millstream_wire::lambda::{
    AliasConfiguration, AliasRoutingConfiguration, CreateAliasRequest, DeleteAliasRequest, DeleteFunctionRequest,
    GetAliasRequest, ListAliasesRequest, UpdateAliasRequest,
};

use super::*;

fn weights(version: &str, weight: f64) -> AliasRoutingConfiguration {
    AliasRoutingConfiguration { additional_version_weights: Some([(version.to_owned(), weight)].into()) }
}

fn create(name: &str, version: &str) -> CreateAliasRequest {
    CreateAliasRequest {
        function_name: "f".to_owned(),
        name: name.to_owned(),
        function_version: version.to_owned(),
        ..CreateAliasRequest::default()
    }
}

fn update(name: &str) -> UpdateAliasRequest {
    UpdateAliasRequest { function_name: "f".to_owned(), name: name.to_owned(), ..UpdateAliasRequest::default() }
}

/// `f` with versions 1 and 2, whose timeouts differ.
async fn with_versions() -> World {
    let world = with_function().await;
    for seconds in [5, 6] {
        set_timeout(&world, seconds).await;
        publish(&world).await;
    }
    world
}

async fn created(world: &World, input: CreateAliasRequest) -> AliasConfiguration {
    world.functions.create_alias(&context(), input).await.unwrap()
}

#[tokio::test]
async fn an_alias_leads_to_its_version_until_it_is_moved() {
    let world = with_versions().await;
    let made = created(&world, create("live", "1")).await;
    assert_eq!(made.alias_arn, Some(format!("{ARN}:live")));
    assert_eq!((made.function_version.as_deref(), made.description.as_deref()), (Some("1"), Some("")));
    assert_eq!(made.routing_config, None);
    let shown = get(&world, "f", Some("live")).await;
    assert_eq!(shown.function_arn, Some(format!("{ARN}:live")));
    assert_eq!((shown.version.as_deref(), shown.timeout), (Some("1"), Some(5)));

    let stale = UpdateAliasRequest { revision_id: Some("other".to_owned()), ..update("live") };
    let refused = world.functions.update_alias(&context(), stale).await.unwrap_err();
    assert!(matches!(refused, UpdateAliasError::PreconditionFailed(text) if text.contains("GetFunction/GetAlias API")));
    let input = UpdateAliasRequest {
        function_version: Some("2".to_owned()),
        description: Some("d".to_owned()),
        revision_id: made.revision_id.clone(),
        ..update("live")
    };
    let moved = world.functions.update_alias(&context(), input).await.unwrap();
    assert_ne!(moved.revision_id, made.revision_id);
    assert_eq!(get(&world, "f:live", None).await.timeout, Some(6));
    let input = GetAliasRequest { function_name: "f".to_owned(), name: "live".to_owned() };
    assert_eq!(world.functions.get_alias(&context(), input).await.unwrap(), moved);

    created(&world, create("newest", "$LATEST")).await;
    assert_eq!(get(&world, "f", Some("newest")).await.version.as_deref(), Some("$LATEST"));
}

#[tokio::test]
async fn refusals_have_the_words_of_aws() {
    let world = with_versions().await;
    created(&world, create("live", "1")).await;
    let refusal = async |input| world.functions.create_alias(&context(), input).await.unwrap_err();
    let not_found = |text: &str| CreateAliasError::ResourceNotFound(text.to_owned());
    let invalid = |text: &str| CreateAliasError::InvalidParameterValue(text.to_owned());
    assert_eq!(
        refusal(create("live", "2")).await,
        CreateAliasError::ResourceConflict(format!("Alias already exists: {ARN}:live"))
    );
    assert_eq!(refusal(create("a", "9")).await, not_found(&format!("Function not found: {ARN}:9")));
    let unknown = CreateAliasRequest { function_name: "g".to_owned(), ..create("a", "1") };
    assert_eq!(
        refusal(unknown).await,
        not_found("Function not found: arn:aws:lambda:us-east-1:000000000000:function:g")
    );
    let same = CreateAliasRequest { routing_config: Some(weights("1", 0.5)), ..create("a", "1") };
    assert_eq!(
        refusal(same).await,
        invalid("Invalid function version 1. Function version 1 is already included in routing configuration.")
    );
    let latest = CreateAliasRequest { routing_config: Some(weights("1", 0.5)), ..create("a", "$LATEST") };
    let text = "$LATEST is not supported for an alias pointing to more than 1 version";
    assert_eq!(refusal(latest).await, CreateAliasError::Common(CommonError::InvalidParameter(text.to_owned())));
    let gone = CreateAliasRequest { routing_config: Some(weights("9", 0.5)), ..create("a", "1") };
    assert_eq!(refusal(gone).await, not_found(&format!("Function not found: {ARN}:9")));
    let mut three = CreateAliasRequest { routing_config: Some(weights("2", 0.5)), ..create("a", "1") };
    three.routing_config.as_mut().unwrap().additional_version_weights.as_mut().unwrap().insert("3".to_owned(), 0.1);
    assert_eq!(refusal(three).await, invalid("Number of items in AdditionalVersionWeights cannot be greater than 1"));

    let input = GetAliasRequest { function_name: "f".to_owned(), name: "nope".to_owned() };
    assert_eq!(
        world.functions.get_alias(&context(), input).await.unwrap_err(),
        GetAliasError::ResourceNotFound(format!("Cannot find alias arn: {ARN}:nope"))
    );
    assert_eq!(
        world.functions.update_alias(&context(), update("nope")).await.unwrap_err(),
        UpdateAliasError::ResourceNotFound(format!("Alias not found: {ARN}:nope"))
    );
    // What is left as it is must still fit to what changes.
    created(&world, CreateAliasRequest { routing_config: Some(weights("2", 0.5)), ..create("both", "1") }).await;
    let input = UpdateAliasRequest { function_version: Some("2".to_owned()), ..update("both") };
    assert!(matches!(
        world.functions.update_alias(&context(), input).await.unwrap_err(),
        UpdateAliasError::InvalidParameterValue(_)
    ));
}

#[tokio::test]
async fn invocations_are_shared_out_by_weight() {
    let world = with_versions().await;
    created(&world, CreateAliasRequest { routing_config: Some(weights("2", 0.25)), ..create("live", "1") }).await;
    let mut counts = [0; 2];
    for _ in 0..400 {
        let mut input = invocation(InvocationType::RequestResponse, "{}");
        input.qualifier = Some("live".to_owned());
        let answer = world.functions.invoke(&context(), input).await.unwrap();
        counts[usize::from(answer.executed_version.as_deref() == Some("2"))] += 1;
    }
    // 400 tries at a quarter: 100, standard deviation 8.7; the seed is fixed.
    assert!((70..=130).contains(&counts[1]), "{counts:?}");
    let (spec, _, request) = world.script.runs(1).await.remove(0);
    assert_eq!(request.invoked_arn, format!("{ARN}:live"));
    assert_eq!(spec.function_arn, ARN);

    let clear = AliasRoutingConfiguration { additional_version_weights: Some([].into()) };
    let input = UpdateAliasRequest { routing_config: Some(clear), ..update("live") };
    assert_eq!(world.functions.update_alias(&context(), input).await.unwrap().routing_config, None);
}

#[tokio::test]
async fn aliases_are_listed_by_name_and_by_version() {
    let world = with_versions().await;
    for (name, version) in [("a", "1"), ("b", "2"), ("c", "1")] {
        created(&world, create(name, version)).await;
    }
    let list = async |version: Option<&str>, marker: Option<&str>, max_items| {
        let input = ListAliasesRequest {
            function_name: "f".to_owned(),
            function_version: version.map(str::to_owned),
            marker: marker.map(str::to_owned),
            max_items,
        };
        let page = world.functions.list_aliases(&context(), input).await.unwrap();
        let names: Vec<_> = page.aliases.unwrap().into_iter().filter_map(|alias| alias.name).collect();
        (names.join(""), page.next_marker)
    };
    assert_eq!(list(None, None, None).await, ("abc".to_owned(), None));
    assert_eq!(list(None, None, Some(2)).await, ("ab".to_owned(), Some("b".to_owned())));
    assert_eq!(list(None, Some("b"), Some(2)).await, ("c".to_owned(), None));
    assert_eq!(list(Some("1"), None, Some(2)).await, ("ac".to_owned(), None));
    assert_eq!(list(Some("2"), None, None).await, ("b".to_owned(), None));
}

#[tokio::test]
async fn a_version_stays_while_an_alias_leads_to_it() {
    let world = with_versions().await;
    created(&world, create("a", "2")).await;
    created(&world, CreateAliasRequest { routing_config: Some(weights("1", 0.1)), ..create("b", "2") }).await;
    let delete = async |qualifier: Option<&str>| {
        let input = DeleteFunctionRequest { function_name: "f".to_owned(), qualifier: qualifier.map(str::to_owned) };
        world.functions.delete_function(&context(), input).await
    };
    let refused = |aliases: &str| {
        DeleteFunctionError::ResourceConflict(format!(
            "Unable to delete version because the following aliases reference it: [{aliases}]"
        ))
    };
    assert_eq!(delete(Some("2")).await.unwrap_err(), refused("a, b"));
    assert_eq!(delete(Some("1")).await.unwrap_err(), refused("b"));
    for name in ["b", "b", "never"] {
        let input = DeleteAliasRequest { function_name: "f".to_owned(), name: name.to_owned() };
        world.functions.delete_alias(&context(), input).await.unwrap();
    }
    delete(Some("1")).await.unwrap();
    // The whole function takes its aliases with it: one of the same name begins without.
    delete(None).await.unwrap();
    world.functions.create_function(&context(), create_request("f")).await.unwrap();
    let input = GetAliasRequest { function_name: "f".to_owned(), name: "a".to_owned() };
    assert!(world.functions.get_alias(&context(), input).await.is_err());
}
