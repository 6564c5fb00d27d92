//! Signatures of a body that comes in chunks (S3 API reference, "Signature calculations for the Authorization header:
//! transferring payload in multiple chunks"). Each covers the one before, the first that of the request.

use millstream_client::sigv4::{ALGORITHM, CredentialScope, SigningKey, hex, sha256};

use super::checks::same_signature;

/// Checks the signatures of one body in their order.
#[derive(Clone, Debug)]
pub struct ChunkSigner {
    key: SigningKey,
    amz_date: String,
    scope: CredentialScope,
    previous: String,
}

impl ChunkSigner {
    /// `seed` is the signature of the request.
    pub(super) fn new(key: SigningKey, amz_date: String, scope: CredentialScope, seed: String) -> Self {
        Self { key, amz_date, scope, previous: seed }
    }

    /// Whether this is the signature of the next chunk.
    pub fn accepts_chunk(&mut self, data: &[u8], signature: &str) -> bool {
        let rest = format!("{}\n{}", hex(&sha256(b"")), hex(&sha256(data)));
        self.accepts("PAYLOAD", &rest, signature)
    }

    /// Whether this is the signature of the trailers, given as `name:value` lines.
    pub fn accepts_trailers(&mut self, lines: &[u8], signature: &str) -> bool {
        self.accepts("TRAILER", &hex(&sha256(lines)), signature)
    }

    fn accepts(&mut self, kind: &str, rest: &str, signature: &str) -> bool {
        let Self { key, amz_date, scope, previous } = self;
        let expected = key.sign(&format!("{ALGORITHM}-{kind}\n{amz_date}\n{scope}\n{previous}\n{rest}"));
        let same = same_signature(&expected, signature);
        *previous = expected;
        same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the page named above.
    #[test]
    fn the_documented_chunks_are_accepted_in_their_order_only() {
        let scope =
            CredentialScope { date: "20130524".to_owned(), region: "us-east-1".to_owned(), service: "s3".to_owned() };
        let key = SigningKey::derive("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &scope);
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9".to_owned();
        let signer = ChunkSigner::new(key, "20130524T000000Z".to_owned(), scope, seed);
        let chunks = [
            (vec![b'a'; 65_536], "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (vec![b'a'; 1024], "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (vec![], "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ];
        let mut in_order = signer.clone();
        assert!(chunks.iter().all(|(data, signature)| in_order.accepts_chunk(data, signature)));
        assert!(!signer.clone().accepts_chunk(&chunks[1].0, chunks[1].1));
        let mut altered = signer;
        assert!(!altered.accepts_chunk(b"other", chunks[0].1));
    }
}
