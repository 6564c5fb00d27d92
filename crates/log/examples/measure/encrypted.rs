//! The same writing with everything encrypted.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_env::Random;
use millstream_log::encryption::{DataKeys, Key, StreamKeys};
use millstream_log::{EncryptedLog, SharedLog};

#[derive(Debug)]
struct OneKey(Arc<StreamKeys>);

impl DataKeys for OneKey {
    fn of(&self, _: u64) -> Option<Arc<StreamKeys>> {
        Some(Arc::clone(&self.0))
    }
}

/// The log with one key for all streams around it.
pub(crate) fn around(log: SharedLog) -> SharedLog {
    let keys = BTreeMap::from([(1, Arc::new(Key::new(&Random::system().bytes())))]);
    let keys = OneKey(Arc::new(StreamKeys::new(Some(1), keys)));
    Arc::new(EncryptedLog::new(log, Arc::new(keys), Random::system()))
}
