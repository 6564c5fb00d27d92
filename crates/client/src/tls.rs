//! TLS for endpoints outside: who is trusted, and how a connection is made.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The authorities whose certificates are believed.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

/// Authorities cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("the certificates that this machine trusts cannot be read: {0}")]
    System(String),
    #[error("there is no usable certificate in it: {0}")]
    Authorities(String),
}

impl Trust {
    /// Those that this machine trusts (`SSL_CERT_FILE` names others), and those in `more`, in PEM. Reads files: blocks.
    pub fn system_and(more: Option<&[u8]>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (usable, _unusable) = roots.add_parsable_certificates(found.certs);
        if usable == 0
            && more.is_none()
            && let Some(error) = found.errors.first()
        {
            return Err(TrustError::System(error.to_string()));
        }
        if let Some(pem) = more {
            add(&mut roots, pem)?;
        }
        Ok(Self::of(roots))
    }

    /// Only those in `pem`.
    pub fn only(pem: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        add(&mut roots, pem)?;
        Ok(Self::of(roots))
    }

    fn of(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    /// Makes a secured connection of a plain one.
    pub(crate) async fn secure(&self, stream: TcpStream, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TrustError> {
    let unusable = |error: &dyn fmt::Display| TrustError::Authorities(error.to_string());
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
        count += 1;
    }
    if count == 0 { Err(unusable(&"it holds no PEM certificate")) } else { Ok(()) }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust(..)")
    }
}

#[cfg(test)]
mod tests {
    use millstream_env::{HostClock, Tasks};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::calls::{self, CallError};
    use crate::{Client, Credentials};

    /// A server for `localhost` that answers each connection once, and the certificate by which it can be believed.
    async fn server(tasks: &Tasks) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tasks.spawn_dropped_on_cancel(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"grain") {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                let answer = "HTTP/1.1 200 OK\r\netag: \"tag\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _gone = stream.write_all(answer.as_bytes()).await;
            }
        });
        (format!("https://localhost:{port}"), made.cert.pem())
    }

    #[tokio::test]
    async fn a_certificate_is_believed_by_its_authority_only() {
        let tasks = Tasks::new();
        let (endpoint, pem) = server(&tasks).await;
        let (_, other) = server(&tasks).await;
        let put = async |endpoint: &str, trusted: &str| {
            let trust = Trust::only(trusted.as_bytes()).unwrap();
            let credentials = Credentials::new("test", "test");
            let client = Client::with_trust(endpoint, credentials, "us-east-1", HostClock::real(), trust).unwrap();
            calls::put_object(&client, "b", "k", "text/plain", "grain".into()).await
        };
        assert_eq!(put(&endpoint, &pem).await, Ok("\"tag\"".to_owned()));
        assert!(
            matches!(put(&endpoint, &other).await, Err(CallError::Unavailable(text)) if text.contains("certificate"))
        );
        // The certificate is for a name, not for the address.
        let by_address = endpoint.replace("localhost", "127.0.0.1");
        assert!(matches!(put(&by_address, &pem).await, Err(CallError::Unavailable(_))));
        tasks.cancel();
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(Trust::only(pem.as_bytes()).is_err(), "{pem}");
        }
        // An endpoint with TLS needs somebody to trust.
        let credentials = Credentials::new("test", "test");
        assert!(Client::new("https://localhost", credentials, "us-east-1", HostClock::real()).is_err());
    }
}
