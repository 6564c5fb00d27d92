//! AWS's limits of calls per second on everything but records (Kinesis model), enforced with `--shard-limits aws`.

use std::collections::HashMap;
use std::sync::Mutex;

use millstream_env::Timestamp;
use millstream_log::ShardKey;
use millstream_types::Scope;

use super::bucket::Bucket;
use crate::consumers::ConsumerArn;
use crate::names::StreamName;

/// Counts kept at most. One that was not used for a second is as good as none.
const COUNTS_MAX: usize = 16 * 1024;
/// Calls of `SubscribeToShard` for one consumer and shard.
const SUBSCRIPTIONS_PER_SECOND: i64 = 1;

/// Whose calls are counted together: always those of one account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    PerAccount,
    PerStream,
}
use Counted::{PerAccount, PerStream};

/// Calls per second. An operation that is not here has no limit that AWS tells.
pub(crate) const RATES: [(&str, Counted, i64); 27] = [
    ("AddTagsToStream", PerAccount, 5),
    ("CreateStream", PerAccount, 5),
    ("DecreaseStreamRetentionPeriod", PerAccount, 5),
    ("DeleteStream", PerAccount, 5),
    ("DeregisterStreamConsumer", PerStream, 5),
    ("DescribeAccountSettings", PerAccount, 5),
    ("DescribeLimits", PerAccount, 1),
    ("DescribeStream", PerAccount, 10),
    ("DescribeStreamConsumer", PerStream, 20),
    ("DescribeStreamSummary", PerAccount, 20),
    ("DisableEnhancedMonitoring", PerAccount, 5),
    ("EnableEnhancedMonitoring", PerAccount, 5),
    ("IncreaseStreamRetentionPeriod", PerAccount, 5),
    ("ListShards", PerStream, 1000),
    ("ListStreamConsumers", PerStream, 5),
    ("ListStreams", PerAccount, 5),
    ("ListTagsForResource", PerAccount, 5),
    ("ListTagsForStream", PerAccount, 5),
    ("MergeShards", PerAccount, 5),
    ("RegisterStreamConsumer", PerAccount, 5),
    ("RemoveTagsFromStream", PerAccount, 5),
    ("SplitShard", PerAccount, 5),
    ("TagResource", PerAccount, 5),
    ("UntagResource", PerAccount, 5),
    ("UpdateAccountSettings", PerAccount, 5),
    ("UpdateShardCount", PerAccount, 10),
    ("UpdateStreamWarmThroughput", PerAccount, 5),
];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Account(&'static str, Scope),
    Stream(&'static str, StreamName),
    Subscription(ConsumerArn, ShardKey),
}

/// What was called lately.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashMap<Key, Bucket>>);

impl Calls {
    /// Whether `operation` may be called now by an account, on that stream if there is one.
    pub(crate) fn admit(
        &self,
        now: Timestamp,
        operation: &'static str,
        scope: &Scope,
        stream: Option<&StreamName>,
    ) -> bool {
        let (_, counted, per_second) =
            RATES.iter().find(|(name, ..)| *name == operation).expect("only operations of the table ask");
        let key = match (counted, stream) {
            (PerStream, Some(stream)) => Key::Stream(operation, stream.clone()),
            _ => Key::Account(operation, scope.clone()),
        };
        self.take(now, key, *per_second)
    }

    /// Whether a consumer may subscribe to a shard now.
    pub(crate) fn admit_subscription(&self, now: Timestamp, consumer: &ConsumerArn, shard: ShardKey) -> bool {
        self.take(now, Key::Subscription(consumer.clone(), shard), SUBSCRIPTIONS_PER_SECOND)
    }

    fn take(&self, now: Timestamp, key: Key, per_second: i64) -> bool {
        let mut counts = self.0.lock().expect("no code panics while holding this lock");
        if counts.len() >= COUNTS_MAX && !counts.contains_key(&key) {
            make_room(&mut counts, now);
        }
        counts.entry(key).or_insert_with(|| Bucket::full(per_second)).take_one(now)
    }
}

/// Forgets the counts that say nothing any more; all of them when that is not half of them, so that this is rare.
fn make_room(counts: &mut HashMap<Key, Bucket>, now: Timestamp) {
    counts.retain(|_, bucket| !bucket.is_full(now));
    if counts.len() > COUNTS_MAX / 2 {
        counts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(account: usize) -> Scope {
        Scope { account: format!("{account:012}").parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    #[test]
    fn accounts_and_operations_are_counted_apart() {
        let calls = Calls::default();
        let admitted = |millis, operation, account| calls.admit(at(millis), operation, &scope(account), None);
        assert!((0..5).all(|_| admitted(0, "ListStreams", 1)));
        assert!(!admitted(0, "ListStreams", 1));
        assert!(admitted(0, "CreateStream", 1) && admitted(0, "ListStreams", 2));
        assert!(!admitted(199, "ListStreams", 1));
        assert!(admitted(200, "ListStreams", 1) && !admitted(200, "ListStreams", 1));
        let elsewhere = Scope { region: "eu-west-1".parse().unwrap(), ..scope(1) };
        assert!(calls.admit(at(200), "ListStreams", &elsewhere, None));
    }

    #[test]
    fn what_says_nothing_any_more_is_forgotten() {
        let calls = Calls::default();
        let len = || calls.0.lock().unwrap().len();
        for account in 0..COUNTS_MAX {
            assert!(calls.admit(at(0), "DescribeLimits", &scope(account), None));
        }
        assert_eq!(len(), COUNTS_MAX);
        // Everybody called just now: the bound holds all the same.
        assert!(calls.admit(at(0), "DescribeLimits", &scope(COUNTS_MAX), None));
        assert_eq!(len(), 1);
        for account in 0..COUNTS_MAX - 1 {
            calls.admit(at(1), "DescribeLimits", &scope(account), None);
        }
        // Those of a second ago go, the one of now stays.
        assert!(calls.admit(at(1500), "DescribeLimits", &scope(0), None));
        assert!(calls.admit(at(1500), "DescribeLimits", &scope(COUNTS_MAX + 1), None));
        assert_eq!(len(), 2);
        assert!(!calls.admit(at(1500), "DescribeLimits", &scope(0), None));
    }
}
