//! Layers: published, given to functions, and gone without taking anything from anybody.

use millstream_wire::lambda::error::{
    AddLayerVersionPermissionError, CreateFunctionError, GetLayerVersionError, GetLayerVersionPolicyError,
    RemoveLayerVersionPermissionError,
};
use millstream_wire::lambda::{
    AddLayerVersionPermissionRequest, Architecture, DeleteLayerVersionRequest, GetLayerVersionByArnRequest,
    GetLayerVersionPolicyRequest, GetLayerVersionRequest, LayerVersionContentInput, ListLayerVersionsRequest,
    ListLayersRequest, PublishLayerVersionRequest, PublishLayerVersionResponse, RemoveLayerVersionPermissionRequest,
};

use super::*;

const LAYER: &str = "arn:aws:lambda:us-east-1:000000000000:layer:l";

fn layer(name: &str, files: &[(&str, &str)]) -> PublishLayerVersionRequest {
    let files: Vec<_> = files.iter().map(|(name, content)| (*name, 0o644, *content)).collect();
    PublishLayerVersionRequest {
        layer_name: name.to_owned(),
        content: LayerVersionContentInput {
            zip_file: Some(zip_of(&files).into()),
            ..LayerVersionContentInput::default()
        },
        ..PublishLayerVersionRequest::default()
    }
}

async fn published(world: &World, input: PublishLayerVersionRequest) -> PublishLayerVersionResponse {
    world.functions.publish_layer_version(&context(), input).await.unwrap()
}

fn with_layers(arns: &[&str]) -> CreateFunctionRequest {
    CreateFunctionRequest { layers: Some(arns.iter().map(|arn| (*arn).to_owned()).collect()), ..create_request("f") }
}

async fn opt(world: &World) -> std::path::PathBuf {
    let input = invocation(InvocationType::RequestResponse, "{}");
    world.functions.invoke(&context(), input).await.unwrap();
    world.script.runs(1).await.last().unwrap().0.layers_directory.clone().unwrap()
}

#[tokio::test]
async fn versions_are_numbered_shown_listed_and_deleted() {
    let world = World::new().await;
    let input = PublishLayerVersionRequest {
        description: Some("d".to_owned()),
        license_info: Some("MIT".to_owned()),
        compatible_runtimes: Some(vec!["python3.13".to_owned()]),
        compatible_architectures: Some(vec![Architecture::X86_64]),
        ..layer("l", &[("a", "1")])
    };
    let first = published(&world, input).await;
    assert_eq!((first.layer_arn.as_deref(), first.version), (Some(LAYER), Some(1)));
    assert_eq!(first.layer_version_arn, Some(format!("{LAYER}:1")));
    assert_eq!(first.created_date.as_deref(), Some("2026-01-01T00:00:00.000+0000"));
    let second = published(&world, layer(LAYER, &[("a", "2")])).await;
    assert_eq!((second.version, second.compatible_runtimes), (Some(2), None));

    let input = GetLayerVersionRequest { layer_name: "l".to_owned(), version_number: 1 };
    let shown = world.functions.get_layer_version(&context(), input).await.unwrap();
    assert_eq!((shown.license_info.as_deref(), shown.description.as_deref()), (Some("MIT"), Some("d")));
    let location = shown.content.as_ref().and_then(|content| content.location.clone()).unwrap();
    let token = location.rsplit('/').next().unwrap();
    assert!(world.functions.code_download(token).await.is_some());
    let by_arn = GetLayerVersionByArnRequest { arn: format!("{LAYER}:1") };
    let by_arn = world.functions.get_layer_version_by_arn(&context(), by_arn).await.unwrap();
    assert_eq!((by_arn.version, by_arn.license_info), (shown.version, shown.license_info));

    let list = async |runtime: Option<&str>, marker: Option<&str>, max_items| {
        let input = ListLayerVersionsRequest {
            layer_name: "l".to_owned(),
            compatible_runtime: runtime.map(str::to_owned),
            marker: marker.map(str::to_owned),
            max_items,
            ..ListLayerVersionsRequest::default()
        };
        let page = world.functions.list_layer_versions(&context(), input).await.unwrap();
        let numbers: Vec<_> = page.layer_versions.unwrap().iter().filter_map(|version| version.version).collect();
        (numbers, page.next_marker)
    };
    assert_eq!(list(None, None, None).await, (vec![2, 1], None));
    assert_eq!(list(None, None, Some(1)).await, (vec![2], Some("2".to_owned())));
    assert_eq!(list(None, Some("2"), Some(1)).await, (vec![1], None));
    assert_eq!(list(Some("python3.13"), None, None).await, (vec![1], None));
    published(&world, layer("m", &[("a", "3")])).await;
    let latest = async |runtime: Option<&str>| {
        let input =
            ListLayersRequest { compatible_runtime: runtime.map(str::to_owned), ..ListLayersRequest::default() };
        let page = world.functions.list_layers(&context(), input).await.unwrap();
        let layers = page.layers.unwrap().into_iter();
        layers
            .map(|layer| (layer.layer_name.unwrap(), layer.latest_matching_version.unwrap().version))
            .collect::<Vec<_>>()
    };
    assert_eq!(latest(None).await, [("l".to_owned(), Some(2)), ("m".to_owned(), Some(1))]);
    assert_eq!(latest(Some("python3.13")).await, [("l".to_owned(), Some(1))]);

    for _ in 0..2 {
        let input = DeleteLayerVersionRequest { layer_name: "l".to_owned(), version_number: 2 };
        world.functions.delete_layer_version(&context(), input).await.unwrap();
    }
    assert_eq!(list(None, None, None).await, (vec![1], None));
    assert_eq!(published(&world, layer("l", &[("a", "4")])).await.version, Some(3), "numbers are not used twice");
    let get = async |version_number| {
        let input = GetLayerVersionRequest { layer_name: "l".to_owned(), version_number };
        world.functions.get_layer_version(&context(), input).await.unwrap_err()
    };
    let gone = "The resource you requested does not exist.".to_owned();
    assert_eq!(get(2).await, GetLayerVersionError::ResourceNotFound(gone));
    let low = "Layer Version Cannot be less than 1.".to_owned();
    assert_eq!(get(0).await, GetLayerVersionError::InvalidParameterValue(low));
}

#[tokio::test]
async fn a_function_sees_its_layers_one_over_the_other() {
    let world = World::new().await;
    published(&world, layer("l", &[("python/a.py", "l"), ("python/b.py", "l")])).await;
    published(&world, layer("m", &[("python/b.py", "m")])).await;
    let (l, m) = (format!("{LAYER}:1"), "arn:aws:lambda:us-east-1:000000000000:layer:m:1".to_owned());
    let created = world.functions.create_function(&context(), with_layers(&[&l, &m])).await.unwrap();
    let shown: Vec<_> = created.layers.unwrap().into_iter().filter_map(|layer| layer.arn).collect();
    assert_eq!(shown, [l.clone(), m.clone()]);
    ready(&world, "f").await;
    let folder = opt(&world).await;
    let read = |name: &str| std::fs::read_to_string(folder.join("python").join(name)).unwrap();
    assert_eq!((read("a.py"), read("b.py")), ("l".to_owned(), "m".to_owned()));

    // A deleted version stays with those who have it, also over a restart, and goes to nobody else.
    let input = DeleteLayerVersionRequest { layer_name: "l".to_owned(), version_number: 1 };
    world.functions.delete_layer_version(&context(), input).await.unwrap();
    let other = CreateFunctionRequest { function_name: "g".to_owned(), ..with_layers(&[&l]) };
    let refused = world.functions.create_function(&context(), other).await.unwrap_err();
    let text = format!("Layer version {l} does not exist.");
    assert_eq!(refused, CreateFunctionError::InvalidParameterValue(text));
    let world = world.restarted().await;
    let folder = opt(&world).await;
    assert_eq!(std::fs::read_to_string(folder.join("python/a.py")).unwrap(), "l");

    let update = async |layers: &[&String]| {
        let input = UpdateFunctionConfigurationRequest {
            function_name: "f".to_owned(),
            layers: Some(layers.iter().map(|arn| (*arn).clone()).collect()),
            ..UpdateFunctionConfigurationRequest::default()
        };
        let answer = world.functions.update_function_configuration(&context(), input).await.unwrap();
        ready(&world, "f").await;
        answer.layers.map(|layers| layers.len())
    };
    assert_eq!(update(&[&m]).await, Some(1));
    assert_eq!(std::fs::read_to_string(opt(&world).await.join("python/b.py")).unwrap(), "m");
    assert_eq!(update(&[]).await, None);
    let input = invocation(InvocationType::RequestResponse, "{}");
    world.functions.invoke(&context(), input).await.unwrap();
    assert_eq!(world.script.runs(1).await.last().unwrap().0.layers_directory, None);
}

#[tokio::test]
async fn refusals_have_the_words_of_aws() {
    let world = World::new().await;
    for content in ["1", "2", "3", "4", "5", "6"] {
        published(&world, layer("l", &[("a", content)])).await;
    }
    let refusal =
        async |arns: &[&str]| match world.functions.create_function(&context(), with_layers(arns)).await.unwrap_err() {
            CreateFunctionError::InvalidParameterValue(text) => text,
            other => panic!("{other:?}"),
        };
    let versions: Vec<_> = (1..=6).map(|number| format!("{LAYER}:{number}")).collect();
    let all: Vec<_> = versions.iter().map(String::as_str).collect();
    assert_eq!(refusal(&all).await, "Cannot reference more than 5 layers.");
    assert_eq!(
        refusal(&all[..2]).await,
        format!(
            "Two different versions of the same layer are not allowed to be referenced in the same function. {LAYER}:1 and \
             {LAYER}:2 are versions of the same layer."
        )
    );
    assert_eq!(
        refusal(&["arn:aws:lambda:eu-west-1:000000000000:layer:l:1"]).await,
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."
    );
    // The bound counts what code and layers take up together.
    let large = "x".repeat(131_072_000);
    for name in ["big", "huge"] {
        published(&world, layer(name, &[("data", &large)])).await;
    }
    let arn = |name: &str| format!("arn:aws:lambda:us-east-1:000000000000:layer:{name}:1");
    let text = refusal(&[&arn("big"), &arn("huge")]).await;
    assert!(
        text.starts_with("Function code combined with layers exceeds the maximum allowed size of 262144000 bytes.")
    );
}

#[tokio::test]
async fn a_layer_is_shared_by_its_policy() {
    let world = World::new().await;
    published(&world, layer("l", &[("a", "1")])).await;
    let permission = |version_number| AddLayerVersionPermissionRequest {
        layer_name: "l".to_owned(),
        version_number,
        statement_id: "s1".to_owned(),
        action: "lambda:GetLayerVersion".to_owned(),
        principal: "*".to_owned(),
        ..AddLayerVersionPermissionRequest::default()
    };
    let policy = GetLayerVersionPolicyRequest { layer_name: "l".to_owned(), version_number: 1 };
    let none = "No policy is associated with the given resource.".to_owned();
    assert_eq!(
        world.functions.get_layer_version_policy(&context(), policy.clone()).await.unwrap_err(),
        GetLayerVersionPolicyError::ResourceNotFound(none)
    );
    let answer = world.functions.add_layer_version_permission(&context(), permission(1)).await.unwrap();
    let shown = world.functions.get_layer_version_policy(&context(), policy).await.unwrap();
    assert_eq!(shown.revision_id, answer.revision_id);
    let expected = format!(
        r#"{{"Sid":"s1","Effect":"Allow","Principal":"*","Action":"lambda:GetLayerVersion","Resource":"{LAYER}:1"}}"#
    );
    assert_eq!(answer.statement.as_ref(), Some(&expected));
    let document = format!(r#"{{"Version":"2012-10-17","Id":"default","Statement":[{expected}]}}"#);
    assert_eq!(shown.policy.as_ref(), Some(&document));
    assert_eq!(world.functions.resource_policy(&format!("{LAYER}:1").parse().unwrap()).await, Some(document));
    assert!(matches!(
        world.functions.add_layer_version_permission(&context(), permission(1)).await.unwrap_err(),
        AddLayerVersionPermissionError::ResourceConflict(_)
    ));
    assert_eq!(
        world.functions.add_layer_version_permission(&context(), permission(9)).await.unwrap_err(),
        AddLayerVersionPermissionError::ResourceNotFound(format!("Layer version {LAYER}:9 does not exist."))
    );
    let removal = |sid: &str| RemoveLayerVersionPermissionRequest {
        layer_name: "l".to_owned(),
        version_number: 1,
        statement_id: sid.to_owned(),
        revision_id: None,
    };
    assert_eq!(
        world.functions.remove_layer_version_permission(&context(), removal("s2")).await.unwrap_err(),
        RemoveLayerVersionPermissionError::ResourceNotFound("Statement s2 is not found in resource policy.".to_owned())
    );
    world.functions.remove_layer_version_permission(&context(), removal("s1")).await.unwrap();
    assert_eq!(world.functions.resource_policy(&format!("{LAYER}:1").parse().unwrap()).await, None);
}
