//! Finds the caller of a request, and asks whether he may do what he asks for.

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use millstream_env::HostClock;
use millstream_iam::{AuthError, AuthErrorKind, Authenticated, Authenticator, Principal, RequestContext, RequestParts};
use millstream_types::Scope;
use millstream_wire::CommonError;

/// Who may call an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Everybody whom the authenticator accepts.
    Everybody,
    /// Verified sessions of this execution environment; nobody else. The endpoint of its function.
    Environment(Arc<str>),
}

/// The caller of a request, whose signature may be scoped to one of `services`.
pub(crate) async fn authenticate(
    authenticator: &Authenticator,
    admission: &Admission,
    clock: &HostClock,
    request: &Parts,
    body_sha256: &[u8; 32],
    services: &[&str],
) -> Result<Authenticated, AuthError> {
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    let parts = RequestParts {
        method: request.method.as_str(),
        target,
        headers: &request.headers,
        authority: request.uri.authority().map(http::uri::Authority::as_str),
        body_sha256,
        services,
    };
    let authenticated = authenticator.authenticate(&parts, clock.now()).await?;
    match admission {
        Admission::Environment(environment) if !is_of(&authenticated, environment) => Err(AuthError {
            kind: AuthErrorKind::UnknownKey,
            message: "The security token included in the request is invalid.".to_owned(),
        }),
        _ => Ok(authenticated),
    }
}

fn is_of(authenticated: &Authenticated, wanted: &Arc<str>) -> bool {
    let principal = &authenticated.caller.principal;
    let bound = matches!(principal, Principal::RoleSession { environment: Some(bound), .. } if bound == wanted);
    authenticated.verified && bound
}

/// A refusal as the protocols with generated types have it.
pub(crate) fn refusal(error: AuthError) -> CommonError {
    match error.kind {
        AuthErrorKind::Missing => CommonError::MissingAuthenticationToken,
        AuthErrorKind::Incomplete => CommonError::IncompleteSignature(error.message),
        AuthErrorKind::UnknownKey => CommonError::UnrecognizedClient,
        AuthErrorKind::InvalidSignature | AuthErrorKind::WrongScope | AuthErrorKind::NotCurrent => {
            CommonError::InvalidSignature(error.message)
        }
        AuthErrorKind::Expired => CommonError::ExpiredToken,
        AuthErrorKind::Unavailable => CommonError::InternalFailure(error.message),
    }
}

/// What operations know of the request.
pub(crate) fn context(authenticated: Authenticated, request: &Parts, request_id: &str) -> RequestContext {
    let host = request
        .headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| request.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or("localhost");
    RequestContext {
        scope: Scope { account: authenticated.caller.account.clone(), region: authenticated.region },
        caller: authenticated.caller,
        request_id: request_id.to_owned(),
        endpoint: format!("http://{host}"),
    }
}
