//! TLS to Postgres: always verified, chain and name, against the public roots and one's own.

use crate::Failure;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connector that trusts the public certificate authorities and those in `own`, a PEM file.
///
/// # Errors
/// `Function.InvalidSettings` when the file cannot be read.
pub fn connector(own: Option<&Path>) -> Result<MakeRustlsConnect, Failure> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = own {
        trust(&mut roots, path).map_err(|cause| {
            let message = format!("failed to read DB_SSLROOTCERT `{}`", path.display());
            Failure::new("Function.InvalidSettings", message).because(cause)
        })?;
    }
    // Postgres before 18 offers only P-256: with another group first, every connection would
    // cost a HelloRetryRequest, a round trip.
    let groups = vec![
        ring::kx_group::SECP256R1,
        ring::kx_group::X25519,
        ring::kx_group::SECP384R1,
    ];
    let provider = CryptoProvider {
        kx_groups: groups,
        ..ring::default_provider()
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("ring supports every default protocol version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn trust(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    match roots.len() == webpki_roots::TLS_SERVER_ROOTS.len() {
        true => Err("it holds no certificate".to_string()),
        false => Ok(()),
    }
}
