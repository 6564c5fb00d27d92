//! An account of its own of what has failed how often: what the machine may still try, and what it must give up.
//!
//! It knows the rules of retrying in the words of the reference, not the machine's way to them.

use std::collections::BTreeMap;

use millstream_log::Position;

/// One account for each set of records that failed and is tried again, by shard.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: BTreeMap<u32, Vec<Account>>,
}

#[derive(Clone, Debug)]
struct Account {
    records: Vec<Position>,
    failures: u32,
}

/// How an invocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The batch as a whole, in a way that may split it.
    Whole,
    /// The function named the first record of the batch.
    WholeNamed,
    /// The function named this record; those before are processed.
    From(Position),
}

impl Ledger {
    /// Failures so far that count for this batch.
    pub(super) fn failures(&self, shard: u32, batch: &[Position]) -> u32 {
        self.find(shard, batch).map_or(0, |account| account.failures)
    }

    /// The batch failed in the function. Returns how often it has now, when it is not split.
    pub(super) fn failed(&mut self, shard: u32, batch: &[Position], failure: Failure, bisect: bool) -> u32 {
        let before = self.failures(shard, batch);
        self.close(shard, batch);
        let mut open = |records: &[Position], failures| {
            let account = Account { records: records.to_vec(), failures };
            self.accounts.entry(shard).or_default().push(account);
        };
        match failure {
            Failure::Whole if bisect && batch.len() > 1 => {
                // Splitting uses up no retry.
                let (first, second) = batch.split_at(batch.len().div_ceil(2));
                open(first, before);
                open(second, before);
            }
            Failure::Whole | Failure::WholeNamed => open(batch, before + 1),
            Failure::From(position) => {
                // Progress: the rest begins anew.
                let rest: Vec<Position> = batch.iter().copied().filter(|p| *p >= position).collect();
                open(&rest, 0);
            }
        }
        before + 1
    }

    /// The batch is done with, wherever it was accounted for.
    pub(super) fn close(&mut self, shard: u32, batch: &[Position]) {
        let Some(accounts) = self.accounts.get_mut(&shard) else { return };
        for account in accounts.iter_mut() {
            account.records.retain(|position| !batch.contains(position));
        }
        accounts.retain(|account| !account.records.is_empty());
    }

    /// The settings changed: what is used up may be tried once more; other lanes make other batches.
    pub(super) fn changed(&mut self, retries_max: Option<u32>, other_lanes: bool) {
        if other_lanes {
            self.accounts.clear();
        }
        for account in self.accounts.values_mut().flatten() {
            account.failures = retries_max.map_or(account.failures, |max| account.failures.min(max));
        }
    }

    /// The account that `batch` is all of, or what is left of.
    fn find(&self, shard: u32, batch: &[Position]) -> Option<&Account> {
        let accounts = self.accounts.get(&shard)?;
        accounts.iter().find(|account| batch.iter().all(|position| account.records.contains(position)))
    }
}
