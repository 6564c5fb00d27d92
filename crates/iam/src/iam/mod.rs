//! The handle.

pub(crate) mod authorize;
mod server_secret;
mod sessions;

use std::sync::Arc;

use millstream_catalog::{SharedStore, StoreError};
use millstream_env::{HostClock, Random, ServiceClock};

pub use self::authorize::{check_resource_policy, resource_policy_admits_service};
pub(crate) use self::sessions::SessionGrant;
pub use self::sessions::{IssueError, SessionCredentials};
use crate::keys::KeyRing;
use crate::roles::RoleCache;
use crate::sigv4::{AuthMode, Authenticator};

/// Identities, policies and credentials of all accounts. A cheap handle.
#[derive(Clone, Debug)]
pub struct Iam {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: SharedStore,
    /// When things were created.
    pub(crate) service_clock: ServiceClock,
    /// When sessions begin and end.
    pub(crate) host_clock: HostClock,
    pub(crate) random: Random,
    pub(crate) ring: Arc<KeyRing>,
    pub(crate) authenticator: Authenticator,
    pub(crate) roles: RoleCache,
}

/// [`Iam`] cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the secret that marks issued keys cannot be kept in the catalog: {0}")]
    Store(#[from] StoreError),
    #[error("the secret that marks issued keys is damaged in the catalog (key {key})")]
    DamagedSecret { key: &'static str },
}

impl Iam {
    /// Opens the identities in `store`. The first time this makes the server secret, which marks every key issued later.
    pub async fn open(
        store: SharedStore,
        service_clock: ServiceClock,
        host_clock: HostClock,
        random: Random,
        mode: AuthMode,
    ) -> Result<Self, OpenError> {
        let ring = Arc::new(KeyRing::new(&server_secret::load_or_create(&store, &random).await?));
        let authenticator = Authenticator::new(Arc::clone(&ring), Arc::clone(&store), mode);
        let shared =
            Shared { store, service_clock, host_clock, random, ring, authenticator, roles: RoleCache::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The verifier of signatures. Give the clones to whoever receives requests.
    pub fn authenticator(&self) -> &Authenticator {
        &self.shared.authenticator
    }
}
