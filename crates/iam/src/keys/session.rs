//! Session tokens: sealed statements of whose session it is, so that nothing need be stored.

use std::sync::Arc;

use millstream_types::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::access_key::AccessKey;
use super::ring::KeyRing;
use crate::caller::{Principal, SessionPolicy};

/// The first byte of a token: the version of its layout.
const LAYOUT: u8 = 1;
const SEAL_LENGTH: usize = 32;
/// Longest token worth looking at. Ours stay below: their largest part is a session policy of 2 048 characters.
const TOKEN_LENGTH_MAX: usize = 16 * 1024;

/// What a session token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionClaims {
    pub(crate) account: String,
    pub(crate) role_name: String,
    pub(crate) role_id: String,
    pub(crate) session_name: String,
    pub(crate) issued_at_ms: u64,
    pub(crate) expires_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) session_policies: Vec<SessionPolicy>,
}

impl SessionClaims {
    pub(crate) fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.expires_at_ms)
    }

    pub(crate) fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// `None` when the account is none, which no token of this server says.
    pub(crate) fn into_access_key(self, ring: &KeyRing, access_key_id: &str) -> Option<AccessKey> {
        Some(AccessKey {
            account: self.account.parse().ok()?,
            secret: ring.session_secret(access_key_id),
            principal: Principal::RoleSession {
                role_name: self.role_name,
                role_id: self.role_id,
                session_name: self.session_name,
                issued_at: Timestamp::from_millis(self.issued_at_ms),
                environment: self.environment.map(Arc::from),
                session_policies: self.session_policies.into(),
            },
        })
    }
}

impl KeyRing {
    /// The token that goes with `access_key_id`.
    pub(crate) fn seal_session(&self, access_key_id: &str, claims: &SessionClaims) -> String {
        let mut content = vec![LAYOUT];
        serde_json::to_writer(&mut content, claims).expect("claims are plain strings and numbers");
        let seal = self.seal(access_key_id, &content);
        content.extend_from_slice(&seal);
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(&content)
    }

    /// What `token` says, if this server made it for `access_key_id`.
    pub(crate) fn open_session(&self, access_key_id: &str, token: &str) -> Option<SessionClaims> {
        if token.len() > TOKEN_LENGTH_MAX {
            return None;
        }
        let sealed = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok()?;
        let (content, seal) = sealed.split_at_checked(sealed.len().checked_sub(SEAL_LENGTH)?)?;
        if !bool::from(self.seal(access_key_id, content).ct_eq(seal)) {
            return None;
        }
        let (layout, claims) = content.split_first()?;
        if *layout != LAYOUT {
            return None;
        }
        serde_json::from_slice(claims).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> SessionClaims {
        SessionClaims {
            account: "123456789012".to_owned(),
            role_name: "r".to_owned(),
            role_id: "AROAAAAAAAAAAAAAAAAAA".to_owned(),
            session_name: "s".to_owned(),
            issued_at_ms: 1,
            expires_at_ms: 2,
            environment: Some("e".to_owned()),
            session_policies: vec![SessionPolicy::Managed("arn:aws:iam::aws:policy/x".to_owned())],
        }
    }

    #[test]
    fn a_token_opens_with_its_own_key_id_only() {
        let ring = KeyRing::new(b"secret");
        let token = ring.seal_session("ASIAONE", &claims());
        assert_eq!(ring.open_session("ASIAONE", &token), Some(claims()));
        assert_eq!(ring.open_session("ASIATWO", &token), None);
        assert_eq!(KeyRing::new(b"other").open_session("ASIAONE", &token), None);
    }

    #[test]
    fn a_changed_token_does_not_open() {
        let ring = KeyRing::new(b"secret");
        let token = ring.seal_session("ASIAONE", &claims());
        for position in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(ring.open_session("ASIAONE", &changed), None, "{position}");
        }
        for text in ["", "A", "AAAA", &"A".repeat(TOKEN_LENGTH_MAX + 4)] {
            assert_eq!(ring.open_session("ASIAONE", text), None);
        }
    }

    /// A token written by the first release of this layout.
    #[test]
    fn the_layout_of_version_one_keeps_opening() {
        let json = r#"{"account":"123456789012","role_name":"r","role_id":"AROAAAAAAAAAAAAAAAAAA","session_name":"s","issued_at_ms":1,"expires_at_ms":2,"environment":"e","session_policies":[{"managed":"arn:aws:iam::aws:policy/x"}]}"#;
        assert_eq!(serde_json::from_str::<SessionClaims>(json).unwrap(), claims());
    }
}
