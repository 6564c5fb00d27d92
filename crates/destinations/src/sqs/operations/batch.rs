//! What all batches have in common.

use std::collections::HashSet;

use super::super::failure::Failure;

/// Entries of a batch.
const ENTRIES_MAX: usize = 10;

/// Checks the ids of a batch; `entry` is what AWS's text calls its entries.
pub(super) fn check<'a>(entry: &str, ids: impl ExactSizeIterator<Item = &'a String>) -> Result<(), Failure> {
    let count = ids.len();
    if count == 0 {
        let text = format!("There should be at least one {entry} in the request.");
        return Err(Failure::EmptyBatchRequest(text));
    }
    if count > ENTRIES_MAX {
        let text = format!("Maximum number of entries per request are {ENTRIES_MAX}. You have sent {count}.");
        return Err(Failure::TooManyEntriesInBatchRequest(text));
    }
    let mut seen = HashSet::new();
    for id in ids {
        let valid = (1..=80).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !valid {
            let text = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at \
                        most 80 letters long.";
            return Err(Failure::InvalidBatchEntryId(text.to_owned()));
        }
        if !seen.insert(id) {
            return Err(Failure::BatchEntryIdsNotDistinct(format!("Id {id} repeated.")));
        }
    }
    Ok(())
}
