//! The caller of a request, as established by its signature.

use std::sync::Arc;

use millstream_env::Timestamp;
use millstream_types::{AccountId, Arn, Scope};

/// Who a request acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// The account's root: every key that Millstream did not issue, in auth `open`.
    Root,
    User {
        name: String,
        /// `AIDA…`
        id: String,
        path: String,
    },
    /// A session of a role.
    RoleSession {
        role_name: String,
        /// `AROA…`
        role_id: String,
        session_name: String,
        issued_at: Timestamp,
        /// The execution environment the session is bound to, when it is one of a function.
        environment: Option<Arc<str>>,
        /// What was passed to `AssumeRole` to narrow the session; empty when nothing was.
        session_policies: Arc<[SessionPolicy]>,
    },
}

/// A policy that narrows a session: the session may do what its role *and* one of these allow.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionPolicy {
    /// The document.
    Inline(String),
    /// The ARN of a managed policy.
    Managed(String),
}

/// The caller of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub account: AccountId,
    pub access_key_id: String,
    pub principal: Principal,
}

impl Caller {
    /// The caller's ARN as AWS prints it in answers and denials.
    pub fn arn(&self) -> Arn {
        let (service, resource) = match &self.principal {
            Principal::Root => ("iam", "root".to_owned()),
            Principal::User { name, path, .. } => ("iam", format!("user{path}{name}")),
            Principal::RoleSession { role_name, session_name, .. } => {
                ("sts", format!("assumed-role/{role_name}/{session_name}"))
            }
        };
        Arn {
            partition: "aws".to_owned(),
            service: service.to_owned(),
            region: String::new(),
            account: self.account.as_str().to_owned(),
            resource,
        }
    }
}

/// What every operation knows about the request it serves.
#[derive(Clone, Debug)]
pub struct RequestContext {
    pub scope: Scope,
    pub caller: Caller,
    /// Lower-case UUID; answered as `x-amzn-RequestId`.
    pub request_id: String,
    /// `scheme://host[:port]` under which the client reached this server, for links in answers.
    pub endpoint: String,
}
