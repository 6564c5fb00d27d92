//! Pages of a listing. A marker names the last item given, so that changes in between lose and repeat nothing.

use millstream_wire::CommonError;

/// Items on a page when the caller does not say (IAM API reference, `MaxItems`).
const PAGE_DEFAULT: usize = 100;

/// What the caller asks for.
#[derive(Debug)]
pub(super) struct PageRequest {
    /// Give what comes after the item with this name.
    pub(super) after: Option<String>,
    /// At least 1.
    pub(super) limit: usize,
}

impl PageRequest {
    /// `max_items` has passed the model's range.
    pub(super) fn read(marker: Option<&str>, max_items: Option<i32>) -> Result<Self, CommonError> {
        let after = marker.map(|marker| {
            let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(marker).ok();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
                CommonError::Validation("Invalid Marker: the value is not one that an earlier answer gave.".to_owned())
            })
        });
        let limit = max_items.and_then(|items| usize::try_from(items).ok()).unwrap_or(PAGE_DEFAULT);
        Ok(Self { after: after.transpose()?, limit: limit.max(1) })
    }

    /// The page of `items`, which are in the order given, and the marker when there are more.
    pub(super) fn cut<T>(&self, items: Vec<T>, name: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
        let start = match &self.after {
            None => 0,
            Some(after) => match items.iter().position(|item| name(item) == after) {
                Some(last) => last + 1,
                // The item has gone: where names are sorted, go on behind its place.
                None => items.iter().position(|item| name(item) > after.as_str()).unwrap_or(items.len()),
            },
        };
        let mut page: Vec<T> = items.into_iter().skip(start).take(self.limit + 1).collect();
        let more = page.len() > self.limit;
        page.truncate(self.limit);
        let marker = page.last().filter(|_| more).map(|last| marker(name(last)));
        (page, marker)
    }
}

/// The marker after the item `name`.
pub(super) fn marker(name: &str) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gaps() {
        let items: Vec<String> = (0..7).map(|number| format!("item-{number}")).collect();
        let (mut seen, mut next) = (Vec::new(), None);
        loop {
            let request = PageRequest::read(next.as_deref(), Some(3)).unwrap();
            let (page, marker) = request.cut(items.clone(), String::as_str);
            seen.extend(page);
            next = marker;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(seen, items);
    }

    #[test]
    fn a_vanished_item_does_not_end_the_listing() {
        let request = PageRequest::read(Some(&marker("b")), None).unwrap();
        assert_eq!(request.cut(vec!["a", "c"], |item| item), (vec!["c"], None));
        assert!(PageRequest::read(Some("*"), None).is_err());
    }
}
