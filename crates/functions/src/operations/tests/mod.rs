//! The operations against memory, as a client would use them.

mod aliases;
mod concurrency;
mod event_invoke_config;
mod layers;
mod permissions;

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_runtime::{FailureKind, Outcome};
use millstream_wire::CommonError;
use millstream_wire::lambda::error::{
    CreateFunctionError, DeleteFunctionError, GetFunctionError, InvokeError, PublishVersionError,
    UpdateFunctionCodeError, UpdateFunctionConfigurationError,
};
use millstream_wire::lambda::{
    CreateFunctionRequest, DeleteFunctionRequest, FunctionCode, FunctionConfiguration, FunctionVersion,
    GetAccountSettingsRequest, GetFunctionConfigurationRequest, GetFunctionRequest, InvocationRequest, InvocationType,
    LastUpdateStatus, LastUpdateStatusReasonCode, ListFunctionsRequest, ListVersionsByFunctionRequest, LogType,
    PublishVersionRequest, State, UpdateFunctionCodeRequest, UpdateFunctionConfigurationRequest,
};

use crate::testing::{World, context, create_request, zip_of};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

async fn get(world: &World, name: &str, qualifier: Option<&str>) -> FunctionConfiguration {
    let input =
        GetFunctionConfigurationRequest { function_name: name.to_owned(), qualifier: qualifier.map(str::to_owned) };
    world.functions.get_function_configuration(&context(), input).await.unwrap()
}

/// Waits as clients do.
async fn ready(world: &World, name: &str) -> FunctionConfiguration {
    loop {
        let configuration = get(world, name, None).await;
        if configuration.last_update_status == Some(LastUpdateStatus::Successful) {
            return configuration;
        }
        tokio::task::yield_now().await;
    }
}

async fn with_function() -> World {
    let world = World::new().await;
    world.functions.create_function(&context(), create_request("f")).await.unwrap();
    ready(&world, "f").await;
    world
}

async fn publish(world: &World) -> FunctionConfiguration {
    let input = PublishVersionRequest { function_name: "f".to_owned(), ..PublishVersionRequest::default() };
    world.functions.publish_version(&context(), input).await.unwrap()
}

async fn set_timeout(world: &World, seconds: i32) -> FunctionConfiguration {
    let input = UpdateFunctionConfigurationRequest {
        function_name: "f".to_owned(),
        timeout: Some(seconds),
        ..UpdateFunctionConfigurationRequest::default()
    };
    let answer = world.functions.update_function_configuration(&context(), input).await.unwrap();
    ready(world, "f").await;
    answer
}

fn invocation(kind: InvocationType, payload: &str) -> InvocationRequest {
    InvocationRequest {
        function_name: "f".to_owned(),
        invocation_type: Some(kind),
        payload: Some(Bytes::copy_from_slice(payload.as_bytes())),
        ..InvocationRequest::default()
    }
}

#[tokio::test]
async fn a_new_function_is_pending_and_then_active() {
    let world = World::new().await;
    let created = world.functions.create_function(&context(), create_request("f")).await.unwrap();
    assert_eq!(created.function_arn.as_deref(), Some(ARN));
    assert_eq!((created.state, created.last_update_status), (Some(State::Pending), None));
    assert_eq!(created.state_reason.as_deref(), Some("The function is being created."));
    assert_eq!(created.version.as_deref(), Some("$LATEST"));
    assert_eq!((created.memory_size, created.timeout), (Some(128), Some(3)));
    assert_eq!(created.last_modified.as_deref(), Some("2026-01-01T00:00:00.000+0000"));
    assert_eq!(created.environment, None);

    let active = ready(&world, "f").await;
    assert_eq!(active.state, Some(State::Active));
    assert_eq!(active.state_reason, None);
    assert_ne!(active.revision_id, created.revision_id, "becoming active is a change too");
    assert_eq!(get(&world, "f", Some("$LATEST")).await.function_arn, Some(format!("{ARN}:$LATEST")));
}

#[tokio::test]
async fn creation_is_refused_in_the_words_of_aws() {
    let world = with_function().await;
    let refusal = async |change: fn(&mut CreateFunctionRequest)| {
        let mut input = create_request("g");
        change(&mut input);
        world.functions.create_function(&context(), input).await.unwrap_err()
    };
    let invalid = |text: &str| CreateFunctionError::InvalidParameterValue(text.to_owned());
    assert_eq!(
        refusal(|input| input.function_name = "f".to_owned()).await,
        CreateFunctionError::ResourceConflict("Function already exist: f".to_owned())
    );
    assert_eq!(
        refusal(|input| input.role = "arn:aws:iam::000000000000:role/other".to_owned()).await,
        invalid("The role defined for the function cannot be assumed by Lambda.")
    );
    assert_eq!(
        refusal(|input| input.code.zip_file = Some(Bytes::from_static(b"no zip"))).await,
        invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
    );
    let many = |input: &mut CreateFunctionRequest| {
        input.tags = Some((0..51).map(|n| (n.to_string(), String::new())).collect());
    };
    assert_eq!(refusal(many).await, invalid("Number of tags exceeds resource tag limit."));
    assert!(matches!(
        refusal(|input| input.code = FunctionCode::default()).await,
        CreateFunctionError::InvalidParameterValue(_)
    ));
    let list = ListFunctionsRequest::default();
    assert_eq!(world.functions.list_functions(&context(), list).await.unwrap().functions.unwrap().len(), 1);
}

#[tokio::test]
async fn get_function_shows_tags_and_a_link_to_the_code() {
    let world = World::new().await;
    let mut input = create_request("f");
    input.tags = Some(BTreeMap::from([("team".to_owned(), "orders".to_owned())]));
    let archive = input.code.zip_file.clone().unwrap();
    world.functions.create_function(&context(), input.clone()).await.unwrap();
    let request = GetFunctionRequest { function_name: ARN.to_owned(), qualifier: None };
    let answer = world.functions.get_function(&context(), request).await.unwrap();
    assert_eq!(answer.tags, input.tags);
    let location = answer.code.unwrap().location.unwrap();
    let token = location.strip_prefix("http://127.0.0.1:4566/_millstream/code/").unwrap();
    assert_eq!(world.functions.code_download(token).await, Some(archive));
    assert_eq!(world.functions.code_download("other").await, None);
}

#[tokio::test]
async fn what_does_not_exist_is_named_as_it_was_asked_for() {
    let world = with_function().await;
    for (name, qualifier, named) in [
        ("g", None, "g"),
        ("g", Some("1"), "g:1"),
        ("f", Some("1221"), "f:1221"),
        ("f:live", None, "f:live"),
        ("f", Some("01"), "f:01"),
    ] {
        let input = GetFunctionRequest { function_name: name.to_owned(), qualifier: qualifier.map(str::to_owned) };
        let expected = format!("Function not found: arn:aws:lambda:us-east-1:000000000000:function:{named}");
        let refused = world.functions.get_function(&context(), input).await.unwrap_err();
        assert_eq!(refused, GetFunctionError::ResourceNotFound(expected));
    }
}

#[tokio::test]
async fn new_code_changes_hash_revision_and_what_runs() {
    let world = with_function().await;
    let before = ready(&world, "f").await;
    let update = |archive: Vec<u8>| UpdateFunctionCodeRequest {
        function_name: "f".to_owned(),
        zip_file: Some(archive.into()),
        ..UpdateFunctionCodeRequest::default()
    };
    let other = zip_of(&[("app.py", 0o644, "other")]);

    let dry = UpdateFunctionCodeRequest { dry_run: Some(true), ..update(other.clone()) };
    world.functions.update_function_code(&context(), dry).await.unwrap();
    assert_eq!(ready(&world, "f").await, before);

    let stale = UpdateFunctionCodeRequest { revision_id: Some("stale".to_owned()), ..update(other.clone()) };
    let refused = world.functions.update_function_code(&context(), stale).await.unwrap_err();
    assert!(
        matches!(refused, UpdateFunctionCodeError::PreconditionFailed(text) if text.starts_with("The Revision Id provided does not match"))
    );

    let updated = world.functions.update_function_code(&context(), update(other.clone())).await.unwrap();
    assert_eq!(updated.state, Some(State::Active));
    assert_eq!(updated.last_update_status, Some(LastUpdateStatus::InProgress));
    assert_eq!(updated.last_update_status_reason.as_deref(), Some("The function is being created."));
    assert_eq!(updated.last_update_status_reason_code, Some(LastUpdateStatusReasonCode::Creating));
    assert_ne!(updated.code_sha256, before.code_sha256);
    let again = world.functions.update_function_code(&context(), update(other)).await.unwrap_err();
    let busy = format!("The operation cannot be performed at this time. An update is in progress for resource: {ARN}");
    assert_eq!(again, UpdateFunctionCodeError::ResourceConflict(busy));

    let after = ready(&world, "f").await;
    assert_eq!((&after.last_update_status_reason, &after.last_update_status_reason_code), (&None, &None));
    assert_ne!(after.revision_id, updated.revision_id);
    world.functions.invoke(&context(), invocation(InvocationType::RequestResponse, "{}")).await.unwrap();
    let runs = world.script.runs(1).await;
    let code = std::fs::read_to_string(runs[0].0.code_directory.join("app.py")).unwrap();
    assert_eq!(code, "other");
}

#[tokio::test]
async fn a_changed_configuration_checks_the_role_and_reaches_the_runtime() {
    let world = with_function().await;
    let input = UpdateFunctionConfigurationRequest {
        function_name: "f".to_owned(),
        role: Some("arn:aws:iam::000000000000:role/other".to_owned()),
        ..UpdateFunctionConfigurationRequest::default()
    };
    let refused = world.functions.update_function_configuration(&context(), input).await.unwrap_err();
    let text = "The role defined for the function cannot be assumed by Lambda.".to_owned();
    assert_eq!(refused, UpdateFunctionConfigurationError::InvalidParameterValue(text));

    world.functions.invoke(&context(), invocation(InvocationType::RequestResponse, "1")).await.unwrap();
    set_timeout(&world, 30).await;
    world.functions.invoke(&context(), invocation(InvocationType::RequestResponse, "2")).await.unwrap();
    world.functions.invoke(&context(), invocation(InvocationType::RequestResponse, "3")).await.unwrap();
    let runs = world.script.runs(3).await;
    let timeouts: Vec<u64> = runs.iter().map(|(spec, ..)| spec.timeout.as_secs()).collect();
    assert_eq!(timeouts, [3, 30, 30]);
    assert_ne!(runs[0].0.revision, runs[1].0.revision);
    assert!(std::sync::Arc::ptr_eq(&runs[1].0, &runs[2].0), "made once per change");
}

#[tokio::test]
async fn versions_are_frozen_counted_and_not_published_twice() {
    let world = with_function().await;
    let first = publish(&world).await;
    assert_eq!((first.version.as_deref(), first.function_arn), (Some("1"), Some(format!("{ARN}:1"))));
    assert_eq!(publish(&world).await.version.as_deref(), Some("1"), "nothing has changed");
    set_timeout(&world, 30).await;
    assert_eq!(publish(&world).await.version.as_deref(), Some("2"));
    assert_eq!(get(&world, "f:1", None).await.timeout, Some(3));
    assert_eq!(get(&world, "f", Some("2")).await.timeout, Some(30));

    let input = PublishVersionRequest {
        function_name: "f".to_owned(),
        code_sha256: Some("wrong".to_owned()),
        ..PublishVersionRequest::default()
    };
    let refused = world.functions.publish_version(&context(), input).await.unwrap_err();
    assert!(
        matches!(refused, PublishVersionError::InvalidParameterValue(text) if text.starts_with("CodeSHA256 (wrong) is different from current CodeSHA256 in $LATEST ("))
    );

    let list = ListVersionsByFunctionRequest { function_name: "f".to_owned(), ..Default::default() };
    let listed = world.functions.list_versions_by_function(&context(), list).await.unwrap();
    let versions: Vec<_> = listed.versions.unwrap().into_iter().filter_map(|shown| shown.version).collect();
    assert_eq!(versions, ["$LATEST", "1", "2"]);
}

#[tokio::test]
async fn a_version_published_at_creation_has_the_plain_arn_in_the_answer() {
    let world = World::new().await;
    let input = CreateFunctionRequest { publish: Some(true), ..create_request("f") };
    let created = world.functions.create_function(&context(), input).await.unwrap();
    assert_eq!((created.version.as_deref(), created.function_arn.as_deref()), (Some("1"), Some(ARN)));
    while get(&world, "f:1", None).await.state != Some(State::Active) {
        tokio::task::yield_now().await;
    }
    ready(&world, "f").await;
    assert_eq!(publish(&world).await.version.as_deref(), Some("1"));
}

#[tokio::test]
async fn deleting_removes_everything_and_may_be_repeated_for_versions() {
    let world = with_function().await;
    publish(&world).await;
    let delete = async |name: &str, qualifier: Option<&str>| {
        let input = DeleteFunctionRequest { function_name: name.to_owned(), qualifier: qualifier.map(str::to_owned) };
        world.functions.delete_function(&context(), input).await
    };
    let text = "$LATEST version cannot be deleted without deleting the function.".to_owned();
    assert_eq!(delete("f", Some("$LATEST")).await, Err(DeleteFunctionError::InvalidParameterValue(text)));
    for qualifier in ["1", "1", "17"] {
        assert_eq!(delete("f", Some(qualifier)).await.unwrap().status_code, Some(204));
    }
    assert_eq!(publish(&world).await.version.as_deref(), Some("2"), "numbers are not used again");
    let gone = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:g".to_owned();
    assert_eq!(delete("g", Some("1")).await, Err(DeleteFunctionError::ResourceNotFound(gone)));

    delete("f", None).await.unwrap();
    assert_eq!(*world.script.retired.lock().unwrap(), [ARN]);
    assert!(world.catalog.list("function", None, 10).await.unwrap().items.is_empty());
    world.functions.create_function(&context(), create_request("f")).await.unwrap();
    ready(&world, "f").await;
    assert_eq!(publish(&world).await.version.as_deref(), Some("1"));
}

#[tokio::test]
async fn listings_page_through_functions_and_versions() {
    let world = with_function().await;
    publish(&world).await;
    for name in ["a", "b", "g"] {
        world.functions.create_function(&context(), create_request(name)).await.unwrap();
    }
    for (function_version, expected) in [
        (None, vec!["a", "b", "f", "g"]),
        (Some(FunctionVersion::All), vec!["a:$LATEST", "b:$LATEST", "f:$LATEST", "f:1", "g:$LATEST"]),
    ] {
        for size in 1..=6 {
            let mut names = Vec::new();
            let mut marker = None;
            loop {
                let input =
                    ListFunctionsRequest { function_version, marker, max_items: Some(size), ..Default::default() };
                let page = world.functions.list_functions(&context(), input).await.unwrap();
                let functions = page.functions.unwrap();
                assert!(!functions.is_empty() && functions.len() <= usize::try_from(size).unwrap());
                names.extend(functions.into_iter().filter_map(|shown| shown.function_arn));
                marker = page.next_marker;
                if marker.is_none() {
                    break;
                }
            }
            let names: Vec<_> = names.iter().map(|arn| arn.split("function:").nth(1).unwrap()).collect();
            assert_eq!(names, expected, "pages of {size}");
        }
    }
    let usage = world.functions.get_account_settings(&context(), GetAccountSettingsRequest {}).await.unwrap();
    let usage = usage.account_usage.unwrap();
    let bytes = i64::try_from(create_request("f").code.zip_file.unwrap().len()).unwrap();
    assert_eq!((usage.function_count, usage.total_code_size), (Some(4), Some(5 * bytes)));
}

#[tokio::test]
async fn a_synchronous_call_returns_result_version_and_log() {
    let world = with_function().await;
    publish(&world).await;
    let mut input = invocation(InvocationType::RequestResponse, "{\"a\":1}");
    input.log_type = Some(LogType::Tail);
    let answer = world.functions.invoke(&context(), input.clone()).await.unwrap();
    assert_eq!((answer.status_code, answer.function_error), (Some(200), None));
    assert_eq!(answer.payload.as_deref(), Some(&b"{\"a\":1}"[..]));
    assert_eq!(answer.executed_version.as_deref(), Some("$LATEST"));
    assert_eq!(answer.log_result, Some(base64_simd::STANDARD.encode_to_string("START\nEND\nREPORT\n")));
    input.qualifier = Some("1".to_owned());
    let answer = world.functions.invoke(&context(), input).await.unwrap();
    assert_eq!(answer.executed_version.as_deref(), Some("1"));
    let runs = world.script.runs(2).await;
    assert_eq!(runs[0].2.invoked_arn, ARN);
    assert_eq!(runs[1].2.invoked_arn, format!("{ARN}:1"));
    assert_eq!(runs[0].2.request_id, context().request_id);
    assert_eq!(runs[1].0.version, "1");
}

#[tokio::test]
async fn outcomes_become_answers() {
    let world = with_function().await;
    let call = async || world.functions.invoke(&context(), invocation(InvocationType::RequestResponse, "{}")).await;
    let payload = Bytes::from_static(b"{\"errorMessage\":\"x\"}");
    world.script.prepare([
        Outcome::FunctionError { kind: FailureKind::TimedOut, payload: payload.clone() },
        Outcome::Throttled { reason: "ReservedFunctionConcurrentInvocationLimitExceeded" },
        Outcome::NotPermitted("gone".to_owned()),
        Outcome::Unavailable("no interpreter".to_owned()),
    ]);
    let answer = call().await.unwrap();
    assert_eq!((answer.function_error.as_deref(), answer.payload), (Some("Unhandled"), Some(payload)));
    let Err(InvokeError::TooManyRequests(refused)) = call().await else { panic!("throttled") };
    assert_eq!(refused.message, "Rate Exceeded.");
    assert_eq!(refused.reason.unwrap().as_str(), "ReservedFunctionConcurrentInvocationLimitExceeded");
    assert!(matches!(call().await, Err(InvokeError::Common(CommonError::AccessDenied(_)))));
    assert_eq!(call().await, Err(InvokeError::Service("no interpreter".to_owned())));
}

#[tokio::test]
async fn bodies_and_names_are_checked_before_anything_runs() {
    let world = with_function().await;
    let call = async |input| world.functions.invoke(&context(), input).await;
    assert_eq!(call(invocation(InvocationType::DryRun, "{}")).await.unwrap().status_code, Some(204));
    for kind in [InvocationType::RequestResponse, InvocationType::Event] {
        let refused = call(invocation(kind, "no json")).await;
        assert!(matches!(refused, Err(InvokeError::InvalidRequestContent(_))));
    }
    let large = format!("\"{}\"", "x".repeat(1_048_575));
    let text = "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)".to_owned();
    assert_eq!(call(invocation(InvocationType::Event, &large)).await, Err(InvokeError::RequestTooLarge(text)));
    let mut unknown = invocation(InvocationType::Event, "{}");
    unknown.qualifier = Some("7".to_owned());
    let text = format!("Function not found: {ARN}:7");
    assert_eq!(call(unknown).await, Err(InvokeError::ResourceNotFound(text)));
    assert_eq!(world.script.count(), 0);
}

#[tokio::test]
async fn a_restart_finishes_what_was_interrupted_and_keeps_the_rest() {
    let world = with_function().await;
    publish(&world).await;
    let scope = context().scope;
    let records = &world.functions.shared.records;
    // As a crash would leave it: one function becoming active, one being deleted.
    world.functions.create_function(&context(), create_request("gone")).await.unwrap();
    ready(&world, "gone").await;
    let deleting = |function: &mut crate::record::FunctionRecord| {
        function.deleting = true;
        Ok(())
    };
    records.change(&scope, "gone", deleting).await.unwrap();
    let updating = |function: &mut crate::record::FunctionRecord| {
        function.latest.lifecycle = crate::record::Lifecycle::Updating;
        Ok(())
    };
    records.change(&scope, "f", updating).await.unwrap();

    let world = world.restarted().await;
    assert_eq!(get(&world, "f", None).await.last_update_status, Some(LastUpdateStatus::Successful));
    assert_eq!(get(&world, "f:1", None).await.version.as_deref(), Some("1"));
    assert!(world.catalog.list("function/", None, 10).await.unwrap().items.iter().all(|(key, _)| key.ends_with("/f")));
    world.functions.invoke(&context(), invocation(InvocationType::RequestResponse, "{}")).await.unwrap();
    assert!(world.script.runs(1).await[0].0.code_directory.join("app.py").exists());
}
