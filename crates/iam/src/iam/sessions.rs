//! Issues credentials.

use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::StoreError;
use millstream_client::Credentials;
use millstream_types::{AccountId, Timestamp};

use super::Iam;
use crate::caller::SessionPolicy;
use crate::keys::{KeyKind, SessionClaims, access_key, secret_text};

/// Credentials cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("the role {0} does not exist")]
    NoSuchRole(String),
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
