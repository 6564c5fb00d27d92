//! Fixtures of this crate's tests.

use millstream_iam::{Caller, Principal, RequestContext};
use millstream_types::Scope;

/// A call of the root of account 123456789012 in us-west-2.
pub(crate) fn context() -> RequestContext {
    let scope = Scope {
        account: "123456789012".parse().expect("an account id"),
        region: "us-west-2".parse().expect("a region"),
    };
    RequestContext {
        caller: Caller {
            account: scope.account.clone(),
            access_key_id: "123456789012".to_owned(),
            principal: Principal::Root,
        },
        scope,
        request_id: "00000000-0000-4000-8000-000000000000".to_owned(),
        endpoint: "http://localhost:4566".to_owned(),
    }
}
