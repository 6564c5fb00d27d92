//! Page tokens: signed, without state on the server, good for 300 seconds.

use std::time::Duration;

use millstream_env::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::errors::{ExpiredNextToken, InvalidArgument};
use crate::service::Streams;

/// How long a token can be used (Kinesis model).
const TOKEN_LIFE: Duration = Duration::from_mins(5);

#[derive(Serialize, Deserialize)]
struct Issued<T> {
    issued_ms: u64,
    content: T,
}

/// Why a token gives nothing.
pub(super) enum TokenError {
    Invalid(InvalidArgument),
    Expired(ExpiredNextToken),
}

impl<E: From<InvalidArgument> + From<ExpiredNextToken>> IntoError<E> for TokenError {
    fn into_error(self) -> E {
        match self {
            Self::Invalid(cause) => cause.into(),
            Self::Expired(cause) => cause.into(),
        }
    }
}

/// Into the error of an operation that knows both causes.
pub(super) trait IntoError<E> {
    fn into_error(self) -> E;
}

impl Streams {
    pub(super) fn seal_token<T: Serialize>(&self, purpose: &str, content: T) -> String {
        let issued = Issued { issued_ms: self.now().millis(), content };
        let bytes = serde_json::to_vec(&issued).expect("tokens hold plain structs");
        self.inner.signer.seal(purpose, bytes)
    }

    pub(super) fn open_token<T: DeserializeOwned>(&self, purpose: &str, token: &str) -> Result<T, TokenError> {
        let bytes = self.inner.signer.open(purpose, token);
        let issued: Option<Issued<T>> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(Issued { issued_ms, content }) = issued else {
            return Err(TokenError::Invalid(InvalidArgument("NextToken is invalid.".to_owned())));
        };
        if self.now().since(Timestamp::from_millis(issued_ms)) > TOKEN_LIFE {
            let text = format!("NextToken is expired. It can be used for {} seconds.", TOKEN_LIFE.as_secs());
            return Err(TokenError::Expired(ExpiredNextToken(text)));
        }
        Ok(content)
    }
}
