//! Decides who the caller of a request is.

use std::sync::Arc;

use millstream_catalog::SharedStore;
use millstream_client::sigv4::encoding::PathForm;
use millstream_client::sigv4::key::string_to_sign;
use millstream_client::sigv4::{CanonicalParts, SigningKey};
use millstream_types::{AccountId, Region, Timestamp};

use super::RequestParts;
use super::cache::SigningKeyCache;
use super::checks::{check_dates, check_scope, check_signed_headers, payload_hash, same_signature};
use super::chunks::ChunkSigner;
use super::error::{AuthError, AuthErrorKind};
use super::presented::Presented;
use crate::caller::{Caller, Principal};
use crate::keys::{AccessKey, KeyKind, KeyRing, access_key};

/// What happens with keys that Millstream did not issue. Issued ones are verified in both modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// A foreign key is the root of its account; its signature is not checked.
    Open,
    /// A foreign key is unknown.
    Enforce,
}

/// Who calls, and where the signature is scoped to.
#[derive(Clone, Debug)]
pub struct Authenticated {
    pub caller: Caller,
    pub region: Region,
    /// The signing name in the scope.
    pub service: String,
    /// The signature was checked; `false` for foreign keys in [`AuthMode::Open`].
    pub verified: bool,
    /// Checks the chunks of a body for S3, when the signature was checked.
    pub chunks: Option<ChunkSigner>,
}

/// Verifies signatures. A cheap handle; clones share the cache of signing keys.
#[derive(Clone, Debug)]
pub struct Authenticator {
    shared: Arc<Shared>,
    mode: AuthMode,
    environment: Option<Arc<str>>,
}

#[derive(Debug)]
struct Shared {
    ring: Arc<KeyRing>,
    store: SharedStore,
    signing_keys: SigningKeyCache,
}

impl Authenticator {
    pub(crate) fn new(ring: Arc<KeyRing>, store: SharedStore, mode: AuthMode) -> Self {
        let shared = Arc::new(Shared { ring, store, signing_keys: SigningKeyCache::default() });
        Self { shared, mode, environment: None }
    }

    /// The authenticator of a function's own endpoint: it always enforces, and knows the sessions of `environment` only.
    #[must_use]
    pub fn for_environment(&self, environment: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), mode: AuthMode::Enforce, environment: Some(environment.into()) }
    }

    /// The caller of a request at `now` (host time), or why it is refused.
    pub async fn authenticate(&self, parts: &RequestParts<'_>, now: Timestamp) -> Result<Authenticated, AuthError> {
        let presented = Presented::read(parts.target, parts.headers)?;
        let region = check_scope(&presented, parts.services)?;
        let service = presented.scope.service.clone();
        let Some(kind) = self.shared.ring.kind_of(&presented.access_key_id) else {
            let caller = self.foreign_caller(presented.access_key_id)?;
            return Ok(Authenticated { caller, region, service, verified: false, chunks: None });
        };
        check_dates(&presented, now)?;
        let key = match kind {
            KeyKind::Session => self.session_key(&presented, now)?,
            KeyKind::LongTerm => self.long_term_key(&presented).await?,
        };
        self.require_environment(&key.principal)?;
        let signing_key = self.verify(parts, &presented, &key.secret)?;
        let chunks = (service == "s3").then(|| {
            let Presented { amz_date, scope, signature, .. } = presented.clone();
            ChunkSigner::new(signing_key, amz_date, scope, signature)
        });
        let caller = Caller { account: key.account, access_key_id: presented.access_key_id, principal: key.principal };
        Ok(Authenticated { caller, region, service, verified: true, chunks })
    }

    /// A key that Millstream did not issue: by convention 12 digits name an account.
    fn foreign_caller(&self, access_key_id: String) -> Result<Caller, AuthError> {
        if self.mode == AuthMode::Enforce {
            return Err(AuthError::unknown_key());
        }
        let account = access_key_id.parse().unwrap_or_else(|_| AccountId::default_account());
        Ok(Caller { account, access_key_id, principal: Principal::Root })
    }

    fn session_key(&self, presented: &Presented, now: Timestamp) -> Result<AccessKey, AuthError> {
        let token = presented.session_token.as_deref().ok_or_else(AuthError::unknown_key)?;
        let session =
            self.shared.ring.open_session(&presented.access_key_id, token).ok_or_else(AuthError::unknown_key)?;
        if now >= session.expires_at() {
            return Err(AuthError::expired());
        }
        if !self.shared.ring.environment_lives(session.environment()) {
            return Err(AuthError::unknown_key());
        }
        session.into_access_key(&self.shared.ring, &presented.access_key_id).ok_or_else(AuthError::unknown_key)
    }

    async fn long_term_key(&self, presented: &Presented) -> Result<AccessKey, AuthError> {
        if presented.session_token.is_some() {
            return Err(AuthError::unknown_key());
        }
        match access_key::find(&self.shared.store, &presented.access_key_id).await {
            Ok(Some(key)) => Ok(key),
            Ok(None) => Err(AuthError::unknown_key()),
            Err(error) => Err(AuthError::new(AuthErrorKind::Unavailable, error.to_string())),
        }
    }

    fn require_environment(&self, principal: &Principal) -> Result<(), AuthError> {
        let Some(required) = &self.environment else { return Ok(()) };
        match principal {
            Principal::RoleSession { environment: Some(environment), .. } if environment == required => Ok(()),
            _ => Err(AuthError::unknown_key()),
        }
    }

    pub(super) fn verify(
        &self,
        parts: &RequestParts<'_>,
        presented: &Presented,
        secret: &str,
    ) -> Result<SigningKey, AuthError> {
        check_signed_headers(presented, parts.headers)?;
        let payload_hash = payload_hash(parts, presented)?;
        let canonical = CanonicalParts {
            method: parts.method,
            target: parts.target,
            path_form: PathForm::of_service(&presented.scope.service),
            headers: parts.headers,
            authority: parts.authority,
            signed_headers: &presented.signed_headers,
            payload_hash: &payload_hash,
            presigned: presented.presigned.is_some(),
        };
        let key = self.shared.signing_keys.get(&presented.access_key_id, &presented.scope, secret);
        let expected = key.sign(&string_to_sign(&presented.amz_date, &presented.scope, &canonical.hash()));
        if same_signature(&expected, &presented.signature) { Ok(key) } else { Err(AuthError::mismatch()) }
    }
}
