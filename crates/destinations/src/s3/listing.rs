//! Lists of objects: in order of their keys' bytes, those that share a beginning up to a delimiter as one line.

use millstream_types::AccountId;

use super::limits::LISTED_MAX;
use super::names::BucketName;
use super::record::{ObjectRecord, Record};
use super::{Buckets, Error};

/// Keys read at a time while common prefixes are made: all others of a prefix are jumped over.
const PAGE_WITH_DELIMITER: usize = 100;

/// What is to be listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    pub prefix: String,
    /// Empty: none.
    pub delimiter: String,
    /// Only what comes after this key, or after this common prefix of an earlier page.
    pub after: String,
    /// Lines wanted, of objects and common prefixes together; at most [`LISTED_MAX`] come.
    pub lines_max: usize,
}

/// One object of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    pub object: ObjectRecord,
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub objects: Vec<ListedObject>,
    pub common_prefixes: Vec<String>,
    /// There is more; it comes after this key or common prefix.
    pub next: Option<String>,
}

impl Listing {
    fn lines(&self) -> usize {
        self.objects.len() + self.common_prefixes.len()
    }
}

impl Buckets {
    /// A page of the objects of a bucket.
    pub async fn list_objects(
        &self,
        account: &AccountId,
        bucket: &BucketName,
        query: &ListQuery,
    ) -> Result<Listing, Error> {
        let record = self.bucket(account, bucket).await?;
        let (place, lines_max) = (record.objects(), query.lines_max.min(LISTED_MAX));
        let prefix = format!("{place}{}", query.prefix);
        let page_items = if query.delimiter.is_empty() { lines_max + 1 } else { PAGE_WITH_DELIMITER };
        let mut listing = Listing::default();
        let mut last = query.after.clone();
        let mut after = start(query);
        if lines_max == 0 {
            return Ok(listing);
        }
        loop {
            let from = after.as_ref().map(|key| format!("{place}{key}"));
            let page = self.shared.catalog.list(&prefix, from.as_deref(), page_items).await?;
            let mut jump = None;
            for (stored_key, found) in &page.items {
                let key = &stored_key[place.len()..];
                let common = common_prefix(key, query);
                if let Some(common) = common
                    && common == last
                {
                    jump = Some(common);
                    continue;
                }
                jump = None;
                if listing.lines() == lines_max {
                    listing.next = Some(last);
                    return Ok(listing);
                }
                last = common.unwrap_or(key).to_owned();
                if let Some(common) = common {
                    listing.common_prefixes.push(common.to_owned());
                } else {
                    let object = ObjectRecord::decode(stored_key, &found.value)?;
                    listing.objects.push(ListedObject { key: key.to_owned(), object });
                }
            }
            if !page.more {
                return Ok(listing);
            }
            after = match jump {
                Some(common) => Some(behind(common)),
                None => page.items.last().map(|(key, _)| key[place.len()..].to_owned()),
            };
        }
    }
}

/// Where the catalog is to be read from.
fn start(query: &ListQuery) -> Option<String> {
    if query.after.is_empty() {
        return None;
    }
    match common_prefix(&query.after, query) {
        Some(common) if common == query.after => Some(behind(common)),
        _ => Some(query.after.clone()),
    }
}

/// What `key` shares with others: all up to the first delimiter after the prefix.
fn common_prefix<'a>(key: &'a str, query: &ListQuery) -> Option<&'a str> {
    if query.delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(&query.prefix[..])?;
    let found = rest.find(&query.delimiter[..])?;
    Some(&key[..query.prefix.len() + found + query.delimiter.len()])
}

/// A place behind nearly all keys that begin with `prefix`; the few that are left are known by their prefix.
fn behind(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}
