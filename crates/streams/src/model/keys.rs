//! The catalog keys of streams. Names, accounts and regions cannot contain `/`.

use millstream_types::Scope;

use crate::names::StreamName;

/// Every header of every account.
pub(crate) fn headers_prefix() -> &'static str {
    "stream/"
}

/// The headers of one account and region, in order of name.
pub(crate) fn header_prefix(scope: &Scope) -> String {
    format!("stream/{}/{}/", scope.account, scope.region)
}

pub(crate) fn header_key(stream: &StreamName) -> String {
    format!("{}{}", header_prefix(&stream.scope), stream.name)
}

pub(crate) fn name_of_header_key(key: &str) -> Option<StreamName> {
    let mut parts = key.strip_prefix(headers_prefix())?.split('/');
    let scope = Scope { account: parts.next()?.parse().ok()?, region: parts.next()?.parse().ok()? };
    let name = parts.next()?.to_owned();
    parts.next().is_none().then_some(StreamName { scope, name })
}

/// The pages of one incarnation of a stream, in order.
pub(crate) fn pages_prefix(stream: &StreamName, id: u64) -> String {
    let StreamName { scope, name } = stream;
    format!("stream-page/{}/{}/{name}/{id:016x}/", scope.account, scope.region)
}

pub(crate) fn page_key(stream: &StreamName, id: u64, page: u32) -> String {
    format!("{}{page:08}", pages_prefix(stream, id))
}

pub(crate) fn account_key(scope: &Scope) -> String {
    format!("stream-account/{}/{}", scope.account, scope.region)
}

/// The number of the page that is kept under `key`.
pub(crate) fn page_of_key(key: &str) -> Option<u32> {
    key.rsplit_once('/')?.1.parse().ok()
}
