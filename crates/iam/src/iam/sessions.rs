//! Issues credentials.

use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::StoreError;
use millstream_client::Credentials;
use millstream_types::{AccountId, Timestamp};

use super::Iam;
use super::authorize::trusts_lambda;
use crate::caller::SessionPolicy;
use crate::keys::{KeyKind, SessionClaims, access_key, secret_text};

/// Credentials cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// It does not exist, or its trust policy does not name Lambda.
    #[error("the role {0} cannot be assumed by Lambda")]
    NotAssumable(String),
    #[error("too many execution environments are alive")]
    TooManyEnvironments,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Temporary credentials and their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCredentials {
    pub credentials: Credentials,
    /// Host time.
    pub expires: Timestamp,
}

/// What a session is issued for.
#[derive(Clone, Debug)]
pub(crate) struct SessionGrant {
    pub(crate) account: AccountId,
    pub(crate) role_name: String,
    pub(crate) role_id: String,
    pub(crate) session_name: String,
    pub(crate) lifetime: Duration,
    pub(crate) environment: Option<Arc<str>>,
    pub(crate) session_policies: Vec<SessionPolicy>,
}

impl Iam {
    /// A new long-term key of an account's root, which is always verified.
    pub async fn create_root_key(&self, account: &AccountId) -> Result<Credentials, IssueError> {
        let secret = secret_text(&self.shared.random.bytes());
        let id = self.shared.ring.issue_key_id(KeyKind::LongTerm, &self.shared.random);
        access_key::create_root(&self.shared.store, account, &id, &secret).await?;
        Ok(Credentials::new(id, secret))
    }

    /// Credentials with which a function acts as its execution role. They are bound to `environment` and end with it, with
    /// `lifetime` (host time), or with the server.
    pub async fn issue_role_session(
        &self,
        role_arn: &str,
        session_name: &str,
        environment: &str,
        lifetime: Duration,
    ) -> Result<SessionCredentials, IssueError> {
        let role = self.role_by_arn(role_arn).await?.filter(|role| trusts_lambda(role));
        let account = role.as_ref().and_then(|role| role.record.account.parse().ok());
        let (Some(role), Some(account)) = (role, account) else {
            return Err(IssueError::NotAssumable(role_arn.to_owned()));
        };
        self.issue_session(SessionGrant {
            account,
            role_name: role.record.name.clone(),
            role_id: role.record.id.clone(),
            session_name: session_name.to_owned(),
            lifetime,
            environment: Some(environment.into()),
            session_policies: Vec::new(),
        })
    }

    pub(crate) fn issue_session(&self, grant: SessionGrant) -> Result<SessionCredentials, IssueError> {
        let ring = &self.shared.ring;
        if let Some(environment) = &grant.environment
            && !ring.admit_environment(environment)
        {
            return Err(IssueError::TooManyEnvironments);
        }
        let issued_at = self.shared.host_clock.now();
        // Whole seconds, because the answer shows no finer time.
        let expires = Timestamp::from_seconds(issued_at.plus(grant.lifetime).seconds());
        let claims = SessionClaims {
            account: grant.account.to_string(),
            role_name: grant.role_name,
            role_id: grant.role_id,
            session_name: grant.session_name,
            issued_at_ms: issued_at.millis(),
            expires_at_ms: expires.millis(),
            environment: grant.environment.as_deref().map(str::to_owned),
            session_policies: grant.session_policies,
        };
        let access_key_id = ring.issue_key_id(KeyKind::Session, &self.shared.random);
        let session_token = Some(ring.seal_session(&access_key_id, &claims));
        let secret_access_key = ring.session_secret(&access_key_id);
        Ok(SessionCredentials { credentials: Credentials { access_key_id, secret_access_key, session_token }, expires })
    }

    /// Ends every session bound to `environment`, at once.
    pub fn revoke_environment(&self, environment: &str) {
        self.shared.ring.revoke_environment(environment);
    }
}
