//! The lines a person reads when a server has started: one fact each, then quiet.

use millstream_runtime::Runtime;

use crate::config::{Clock, Config, ShardLimits, Storage};

pub(super) fn tell(config: &Config, endpoint: &str, runtime: &Runtime) {
    match &config.storage {
        Storage::Memory => tracing::info!("data: in memory only; nothing survives the end of this process"),
        Storage::Folder(path) => tracing::info!(path = %path.display(), "data: durable"),
    }
    if let (Storage::Folder(_), Some(bytes)) = (&config.storage, config.log_limits.bytes_max) {
        tracing::warn!(bytes, "records may go before their retention ends: the log is kept below this size");
    }
    tracing::info!("auth: open; any foreign access key is the root of its account, issued credentials are verified");
    if !config.listen.ip().is_loopback() {
        tracing::warn!(
            listen = %config.listen,
            "OPEN TO THE NETWORK: whoever reaches this address can act as the root of any account"
        );
    }
    if config.shard_limits == ShardLimits::Aws {
        tracing::info!(
            "limits: as at AWS; a shard takes 1 MiB or 1000 records and gives 2 MiB or 5 reads a second and 2 MiB to each \
             enhanced consumer, and each operation takes only so many calls"
        );
    }
    if config.clock == Clock::Virtual {
        tracing::warn!("clock: virtual; records' time stands still until `millstream clock advance` moves it");
    }
    let isolation = runtime.isolation();
    if isolation.usable {
        tracing::info!(isolation = isolation.summary, "functions: run");
    } else {
        tracing::warn!(reason = isolation.summary, "functions: refused");
    }
    if let Some(remark) = &isolation.remark {
        tracing::warn!(remark, "functions: not the best isolation");
    }
    if isolation.usable && isolation.shares_network {
        tracing::warn!("functions can act as account root: they can reach the main endpoint on this machine");
    }
    for origin in &config.allow_origins {
        tracing::info!(origin, "web pages of this origin may call");
    }
    for (service, endpoint) in config.external.endpoints() {
        tracing::info!(service, endpoint, "failed batches for destinations of this service are sent outside");
    }
    tracing::info!(endpoint, "ready");
}
