//! Resource policies of functions, versions and aliases.

use millstream_wire::lambda::error::{AddPermissionError, GetPolicyError, RemovePermissionError};
use millstream_wire::lambda::{
    AddPermissionRequest, CreateAliasRequest, DeleteFunctionRequest, GetPolicyRequest, RemovePermissionRequest,
};
use serde_json::{Value, json};

use super::*;

fn permission(sid: &str) -> AddPermissionRequest {
    AddPermissionRequest {
        function_name: "f".to_owned(),
        statement_id: sid.to_owned(),
        action: "lambda:InvokeFunction".to_owned(),
        principal: "111122223333".to_owned(),
        ..AddPermissionRequest::default()
    }
}

fn removal(sid: &str) -> RemovePermissionRequest {
    RemovePermissionRequest {
        function_name: "f".to_owned(),
        statement_id: sid.to_owned(),
        ..RemovePermissionRequest::default()
    }
}

async fn policy(world: &World, qualifier: Option<&str>) -> Result<(Value, String), GetPolicyError> {
    let input = GetPolicyRequest { function_name: "f".to_owned(), qualifier: qualifier.map(str::to_owned) };
    let answer = world.functions.get_policy(&context(), input).await?;
    Ok((serde_json::from_str(&answer.policy.unwrap()).unwrap(), answer.revision_id.unwrap()))
}

#[tokio::test]
async fn statements_are_added_shown_and_removed() {
    let world = with_function().await;
    let none = GetPolicyError::ResourceNotFound("The resource you requested does not exist.".to_owned());
    assert_eq!(policy(&world, None).await.unwrap_err(), none);
    let answer = world.functions.add_permission(&context(), permission("s1")).await.unwrap();
    let statement = json!({
        "Sid": "s1", "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:root" },
        "Action": "lambda:InvokeFunction", "Resource": ARN,
    });
    assert_eq!(serde_json::from_str::<Value>(&answer.statement.unwrap()).unwrap(), statement);
    let (document, revision) = policy(&world, None).await.unwrap();
    assert_eq!(document, json!({ "Version": "2012-10-17", "Id": "default", "Statement": [statement] }));
    let on_function = world.functions.resource_policy(&ARN.parse().unwrap()).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&on_function).unwrap(), document);

    let stale = AddPermissionRequest { revision_id: Some("other".to_owned()), ..permission("s2") };
    let refused = world.functions.add_permission(&context(), stale).await.unwrap_err();
    assert!(matches!(refused, AddPermissionError::PreconditionFailed(text) if text.contains("Call the GetPolicy API")));
    let input = AddPermissionRequest { revision_id: Some(revision), ..permission("s2") };
    world.functions.add_permission(&context(), input).await.unwrap();
    for sid in ["s1", "s2"] {
        world.functions.remove_permission(&context(), removal(sid)).await.unwrap();
    }
    assert_eq!(policy(&world, None).await.unwrap_err(), none);
    assert_eq!(world.functions.resource_policy(&ARN.parse().unwrap()).await, None);
}

#[tokio::test]
async fn each_qualifier_has_a_policy_of_its_own() {
    let world = with_function().await;
    publish(&world).await;
    let alias = CreateAliasRequest {
        function_name: "f".to_owned(),
        name: "live".to_owned(),
        function_version: "1".to_owned(),
        ..CreateAliasRequest::default()
    };
    world.functions.create_alias(&context(), alias).await.unwrap();
    for qualifier in ["1", "live"] {
        let input = AddPermissionRequest { qualifier: Some(qualifier.to_owned()), ..permission("s") };
        world.functions.add_permission(&context(), input).await.unwrap();
        let (document, _) = policy(&world, Some(qualifier)).await.unwrap();
        assert_eq!(document["Statement"][0]["Resource"], format!("{ARN}:{qualifier}"));
    }
    assert!(policy(&world, None).await.is_err());
    let input = DeleteFunctionRequest { function_name: "f".to_owned(), qualifier: None };
    world.functions.delete_function(&context(), input).await.unwrap();
    assert_eq!(world.functions.resource_policy(&format!("{ARN}:live").parse().unwrap()).await, None);
}

#[tokio::test]
async fn refusals_have_the_words_of_aws() {
    let world = with_function().await;
    let refusal = async |change: fn(&mut AddPermissionRequest)| {
        let mut input = permission("s1");
        change(&mut input);
        world.functions.add_permission(&context(), input).await.unwrap_err()
    };
    let remove = async |change: fn(&mut RemovePermissionRequest)| {
        let mut input = removal("s1");
        change(&mut input);
        world.functions.remove_permission(&context(), input).await.unwrap_err()
    };
    let gone = |text: &str| RemovePermissionError::ResourceNotFound(text.to_owned());
    assert_eq!(remove(|_| ()).await, gone("No policy is associated with the given resource."));
    assert_eq!(
        remove(|input| input.function_name = "g".to_owned()).await,
        gone("No policy found for: arn:aws:lambda:us-east-1:000000000000:function:g")
    );
    world.functions.add_permission(&context(), permission("s1")).await.unwrap();
    assert_eq!(
        remove(|input| input.statement_id = "s9".to_owned()).await,
        gone("Statement s9 is not found in resource policy.")
    );
    assert_eq!(
        refusal(|_| ()).await,
        AddPermissionError::ResourceConflict(
            "The statement id (s1) provided already exists. Please provide a new statement id, or remove the existing \
             statement."
                .to_owned()
        )
    );
    let invalid = |text: &str| AddPermissionError::InvalidParameterValue(text.to_owned());
    assert_eq!(
        refusal(|input| input.qualifier = Some("$LATEST".to_owned())).await,
        invalid("We currently do not support adding policies for $LATEST.")
    );
    assert_eq!(
        refusal(|input| input.principal = "somebody".to_owned()).await,
        invalid("The provided principal was invalid. Please check the principal and try again.")
    );
    let not_found = |text: String| AddPermissionError::ResourceNotFound(text);
    assert_eq!(
        refusal(|input| input.qualifier = Some("live".to_owned())).await,
        not_found(format!("Cannot find alias arn: {ARN}:live"))
    );
    assert_eq!(
        refusal(|input| input.qualifier = Some("7".to_owned())).await,
        not_found(format!("Function not found: {ARN}:7"))
    );
    let mut refused = None;
    for number in 0..300 {
        let input = permission(&format!("{number:0100}"));
        refused = world.functions.add_permission(&context(), input).await.err();
        if refused.is_some() {
            break;
        }
    }
    assert!(matches!(refused, Some(AddPermissionError::PolicyLengthExceeded(text)) if text.contains("limit (20480)")));
}
