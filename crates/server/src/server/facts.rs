//! The lines a person reads when a server has started: one fact each, then quiet.

use crate::config::{Config, Storage};

pub(super) fn tell(config: &Config, endpoint: &str) {
    match &config.storage {
        Storage::Memory => tracing::info!("data: in memory only; nothing survives the end of this process"),
        Storage::Folder(path) => tracing::info!(path = %path.display(), "data: durable"),
    }
    tracing::info!("auth: open; any foreign access key is the root of its account, issued credentials are verified");
    if !config.listen.ip().is_loopback() {
        tracing::warn!(
            listen = %config.listen,
            "OPEN TO THE NETWORK: whoever reaches this address can act as the root of any account"
        );
    }
    for origin in &config.allow_origins {
        tracing::info!(origin, "web pages of this origin may call");
    }
    tracing::info!(endpoint, "ready");
}
