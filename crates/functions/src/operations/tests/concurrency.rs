//! Reserved concurrency: written, told to the executor, and told again by the next process.

use millstream_wire::lambda::error::{GetFunctionConcurrencyError, PutFunctionConcurrencyError};
use millstream_wire::lambda::{
    DeleteFunctionConcurrencyRequest, DeleteFunctionRequest, GetFunctionConcurrencyRequest,
    PutFunctionConcurrencyRequest,
};

use super::*;

async fn put(world: &World, name: &str, limit: i32) -> Result<(), PutFunctionConcurrencyError> {
    let input = PutFunctionConcurrencyRequest { function_name: name.to_owned(), reserved_concurrent_executions: limit };
    let answer = world.functions.put_function_concurrency(&context(), input).await?;
    assert_eq!(answer.reserved_concurrent_executions, Some(limit));
    Ok(())
}

async fn reserved(world: &World, name: &str) -> Option<i32> {
    let input = GetFunctionConcurrencyRequest { function_name: name.to_owned() };
    let answer = world.functions.get_function_concurrency(&context(), input).await.unwrap();
    let input = GetFunctionRequest { function_name: name.to_owned(), qualifier: None };
    let function = world.functions.get_function(&context(), input).await.unwrap();
    let shown = function.concurrency.and_then(|concurrency| concurrency.reserved_concurrent_executions);
    assert_eq!(shown, answer.reserved_concurrent_executions);
    shown
}

fn told(world: &World) -> Vec<(String, Option<u32>)> {
    std::mem::take(&mut *world.script.reserved.lock().unwrap())
}

#[tokio::test]
async fn a_reservation_acts_and_outlives_the_process() {
    let world = with_function().await;
    assert_eq!(reserved(&world, "f").await, None);
    put(&world, "f", 0).await.unwrap();
    put(&world, "f", 7).await.unwrap();
    assert_eq!(reserved(&world, "f").await, Some(7));
    let settings = world.functions.get_account_settings(&context(), GetAccountSettingsRequest {}).await.unwrap();
    assert_eq!(settings.account_limit.unwrap().unreserved_concurrent_executions, Some(993));
    assert_eq!(told(&world), [(ARN.to_owned(), Some(0)), (ARN.to_owned(), Some(7))]);

    let world = world.restarted().await;
    assert_eq!(told(&world), [(ARN.to_owned(), Some(7))]);
    let input = DeleteFunctionConcurrencyRequest { function_name: "f".to_owned() };
    world.functions.delete_function_concurrency(&context(), input).await.unwrap();
    assert_eq!(reserved(&world, "f").await, None);
    assert_eq!(told(&world), [(ARN.to_owned(), None)]);
    put(&world, "f", 3).await.unwrap();
    let input = DeleteFunctionRequest { function_name: "f".to_owned(), qualifier: None };
    world.functions.delete_function(&context(), input).await.unwrap();
    assert_eq!(told(&world).last(), Some(&(ARN.to_owned(), None)), "what is gone reserves nothing");
}

#[tokio::test]
async fn a_hundred_stay_for_all_others() {
    let world = with_function().await;
    world.functions.create_function(&context(), create_request("g")).await.unwrap();
    put(&world, "f", 500).await.unwrap();
    put(&world, "g", 400).await.unwrap();
    let text = "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution \
                below its minimum value of [100].";
    let refused = PutFunctionConcurrencyError::Common(CommonError::InvalidParameter(text.to_owned()));
    assert_eq!(put(&world, "g", 401).await.unwrap_err(), refused);
    put(&world, "f", 499).await.unwrap();
    put(&world, "g", 401).await.unwrap();

    let qualified = put(&world, "f:1", 1).await.unwrap_err();
    assert!(matches!(qualified, PutFunctionConcurrencyError::InvalidParameterValue(text)
        if text.starts_with("This operation is permitted on Lambda functions only.")));
    let input = GetFunctionConcurrencyRequest { function_name: "nope".to_owned() };
    assert_eq!(
        world.functions.get_function_concurrency(&context(), input).await.unwrap_err(),
        GetFunctionConcurrencyError::ResourceNotFound(
            "Function not found: arn:aws:lambda:us-east-1:000000000000:function:nope".to_owned()
        )
    );
}
