//! What tests of this crate share.

use std::sync::Arc;

use millstream_catalog::MemoryStore;
use millstream_env::{HostClock, Random, ServiceClock};
use millstream_iam::{AuthMode, Caller, Iam, Principal, RequestContext};
use millstream_types::Scope;
use millstream_wire::iam::{CreateRoleRequest, PutRolePolicyRequest};

/// A role that Lambda may assume.
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/mill";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},
    "Action":"sts:AssumeRole"}}"#;

/// Identities among which [`ROLE`] has that policy.
pub(crate) async fn iam_with_role(policy: &str) -> Iam {
    let (store, clock, host_clock) = (Arc::new(MemoryStore::new()), ServiceClock::real(), HostClock::real());
    let iam = Iam::open(store, clock, host_clock, Random::seeded(7), AuthMode::Open).await.unwrap();
    let scope = Scope { account: "123456789012".parse().unwrap(), region: "us-west-2".parse().unwrap() };
    let caller =
        Caller { account: scope.account.clone(), access_key_id: "123456789012".to_owned(), principal: Principal::Root };
    let context =
        RequestContext { caller, scope, request_id: String::new(), endpoint: "http://localhost:4566".to_owned() };
    let role = CreateRoleRequest {
        role_name: "mill".to_owned(),
        assume_role_policy_document: TRUST.to_owned(),
        ..CreateRoleRequest::default()
    };
    iam.create_role(&context, role).await.unwrap();
    let put = PutRolePolicyRequest {
        role_name: "mill".to_owned(),
        policy_name: "p".to_owned(),
        policy_document: policy.to_owned(),
    };
    iam.put_role_policy(&context, put).await.unwrap();
    iam
}
