//! Keeps web pages out: a browser lets any page send requests to this machine, and tells where they come from.
//!
//! A request from another page (`Origin`) or to a name that only claims to be this machine (`Host`, DNS rebinding) is
//! refused before anything of it is decoded. Design section 6, "Auth `open`".

use http::header::{HOST, HeaderMap, ORIGIN};
use http::request::Parts;
use http::uri::Authority;

/// Which names and pages are welcome beyond the built-in ones.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of this server; each covers the names below it too (`kinesis.us-east-1.example.com`).
    pub host_names: Vec<String>,
    /// Origins of other pages that may call this server, as browsers write them; `*` means any.
    pub allow_origins: Vec<String>,
}

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not from a web page.
    Pass,
    /// From a page that may call this server: the answer says so.
    PassCors,
    /// 403, with this text.
    Refuse(&'static str),
}

/// Judges a request by its head.
pub fn judge(options: &Options, request: &Parts) -> Verdict {
    let Some(host) = one_host(request) else {
        return Verdict::Refuse("the request names no host, or more than one\n");
    };
    if !is_ours(options, host.host()) {
        return Verdict::Refuse(
            "this host name is not one of this server's; start it with --host-name NAME to allow it\n",
        );
    }
    let mut origins = request.headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else { return Verdict::Pass };
    let origin = origin.to_str().unwrap_or_default();
    if origins.next().is_none() && (is_same(origin, &host) || is_allowed(options, origin)) {
        return Verdict::PassCors;
    }
    Verdict::Refuse(
        "requests from this web page are not allowed; start the server with --allow-origin ORIGIN to allow them\n",
    )
}

/// The host a request is for: from its target (HTTP/2, absolute form) or header, which must agree when both are there.
fn one_host(request: &Parts) -> Option<Authority> {
    let from_header = match only(&request.headers) {
        Some(value) => Some(value.ok()?),
        None => None,
    };
    match (request.uri.authority().cloned(), from_header) {
        (Some(target), Some(header)) => (target == header).then_some(target),
        (target, header) => target.or(header),
    }
}

fn only(headers: &HeaderMap) -> Option<Result<Authority, ()>> {
    let mut values = headers.get_all(HOST).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return Some(Err(()));
    }
    Some(Authority::try_from(value.as_bytes()).map_err(|_| ()))
}

fn is_ours(options: &Options, host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if address.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    // Names below localhost are this machine too, for buckets: nobody can register one (RFC 6761, section 6.3).
    options.host_names.iter().map(String::as_str).chain(["localhost"]).any(|name| {
        host.len() >= name.len() && host.is_char_boundary(host.len() - name.len()) && {
            let (front, back) = host.split_at(host.len() - name.len());
            back.eq_ignore_ascii_case(name) && (front.is_empty() || front.ends_with('.'))
        }
    })
}

/// The origin is this server itself: its own console.
fn is_same(origin: &str, host: &Authority) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host.as_str())
}

fn is_allowed(options: &Options, origin: &str) -> bool {
    options.allow_origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn options() -> Options {
        Options { host_names: vec!["mill.example".to_owned()], allow_origins: vec!["https://app.example".to_owned()] }
    }

    fn check(host: &[&str], origin: &[&str], expected: Option<Verdict>) {
        let mut request = Request::post("/").body(()).unwrap();
        for value in host {
            request.headers_mut().append(HOST, value.parse().unwrap());
        }
        for value in origin {
            request.headers_mut().append(ORIGIN, value.parse().unwrap());
        }
        let verdict = judge(&options(), &request.into_parts().0);
        match expected {
            Some(expected) => assert_eq!(verdict, expected, "{host:?} {origin:?}"),
            None => assert!(matches!(verdict, Verdict::Refuse(_)), "{host:?} {origin:?}"),
        }
    }

    #[test]
    fn hosts_are_literals_localhost_or_configured() {
        let good = [
            "127.0.0.1:4566",
            "10.1.2.3",
            "[::1]:4566",
            "localhost:4566",
            "LOCALHOST",
            "b.localhost:1",
            "mill.example:1",
        ];
        for host in good.into_iter().chain(["kinesis.us-east-1.Mill.Example"]) {
            check(&[host], &[], Some(Verdict::Pass));
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "notmill.example",
            "é.example",
        ] {
            check(&[host], &[], None);
        }
        check(&[], &[], None);
        check(&["localhost", "localhost"], &[], None);
        check(&["local host"], &[], None);
    }

    #[test]
    fn origins_are_the_console_or_configured() {
        check(&["localhost:4566"], &["http://localhost:4566"], Some(Verdict::PassCors));
        check(&["localhost:4566"], &["https://app.example"], Some(Verdict::PassCors));
        for origin in
            ["null", "http://localhost:8080", "http://evil.example", "", "file://", "https://app.example.evil"]
        {
            check(&["localhost:4566"], &[origin], None);
        }
        check(&["localhost:4566"], &["http://localhost:4566", "http://evil.example"], None);
        // A rebound name is refused even though its origin is the same.
        check(&["evil.example:4566"], &["http://evil.example:4566"], None);
    }

    #[test]
    fn the_target_of_http2_counts_as_host() {
        let parts = |uri: &str| Request::post(uri).body(()).unwrap().into_parts().0;
        assert_eq!(judge(&options(), &parts("http://127.0.0.1:4566/")), Verdict::Pass);
        assert!(matches!(judge(&options(), &parts("http://evil.example/")), Verdict::Refuse(_)));
        let mut both = parts("http://127.0.0.1:4566/");
        both.headers.insert(HOST, "evil.example".parse().unwrap());
        assert!(matches!(judge(&options(), &both), Verdict::Refuse(_)));
    }
}
