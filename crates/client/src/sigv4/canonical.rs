//! The canonical request.

use http::HeaderMap;

use super::encoding::{PathForm, canonical_path, canonical_query, split_target};
use super::{hex, sha256};

/// Everything of a request that its signature covers.
#[derive(Clone, Copy, Debug)]
pub struct CanonicalParts<'a> {
    pub method: &'a str,
    /// Path and query exactly as they are sent: a decoded path has lost what the signature covers.
    pub target: &'a str,
    pub path_form: PathForm,
    pub headers: &'a HeaderMap,
    /// Stands in for an absent `host` header (`:authority` of HTTP/2).
    pub authority: Option<&'a str>,
    /// Lower-case names joined by `;`, in the order in which they are signed.
    pub signed_headers: &'a str,
    /// Lower-case hexadecimal SHA-256 of the body, or a literal such as `UNSIGNED-PAYLOAD`.
    pub payload_hash: &'a str,
    /// The signature travels in the query, and is left out of it here.
    pub presigned: bool,
}

impl CanonicalParts<'_> {
    /// The canonical request. Header values are bytes: they need not be UTF-8.
    pub fn canonical_request(&self) -> Vec<u8> {
        let (path, query) = split_target(self.target);
        let mut output = Vec::with_capacity(512);
        push_line(&mut output, self.method.as_bytes());
        push_line(&mut output, canonical_path(path, self.path_form).as_bytes());
        push_line(&mut output, canonical_query(query, self.presigned).as_bytes());
        for name in self.signed_headers.split(';') {
            output.extend_from_slice(name.as_bytes());
            output.push(b':');
            self.push_values(&mut output, name);
            output.push(b'\n');
        }
        output.push(b'\n');
        push_line(&mut output, self.signed_headers.as_bytes());
        output.extend_from_slice(self.payload_hash.as_bytes());
        output
    }

    /// The lower-case hexadecimal hash of [`Self::canonical_request`].
    pub fn hash(&self) -> String {
        hex(&sha256(&self.canonical_request()))
    }

    /// All values of one header, joined by commas in the order received. An absent header counts as empty.
    fn push_values(&self, output: &mut Vec<u8>, name: &str) {
        let mut values = self.headers.get_all(name).iter().peekable();
        if values.peek().is_none() && name == "host" {
            push_collapsed(output, self.authority.unwrap_or_default().as_bytes());
            return;
        }
        let mut first = true;
        for value in values {
            if !first {
                output.push(b',');
            }
            first = false;
            push_collapsed(output, value.as_bytes());
        }
    }
}

fn push_line(output: &mut Vec<u8>, line: &[u8]) {
    output.extend_from_slice(line);
    output.push(b'\n');
}

/// Trims `value` and makes one space of each run of spaces.
fn push_collapsed(output: &mut Vec<u8>, value: &[u8]) {
    let mut previous_is_space = false;
    for &byte in value.trim_ascii() {
        let is_space = byte == b' ';
        if !(is_space && previous_is_space) {
            output.push(byte);
        }
        previous_is_space = is_space;
    }
}
