//! `/up?db` with `lambda_http` and `tokio-postgres`; it connects at the start, as both document it.

#[path = "../page.rs"]
mod page;

use lambda_http::http::{Response, StatusCode};
use lambda_http::{Error, IntoResponse, Request, run, service_fn};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt()
        .without_time()
        .with_max_level(tracing::Level::INFO)
        .init();
    let client = &connect().await?;
    run(service_fn(move |_request: Request| show(client))).await
}

async fn connect() -> Result<Client, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(std::env::var("DB_SSLROOTCERT")?)? {
        roots.add(certificate?)?;
    }
    let tls = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let url = std::env::var("DATABASE_URL")?;
    let (client, connection) = tokio_postgres::connect(&url, MakeRustlsConnect::new(tls)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::error!("connection error: {error}");
        }
    });
    Ok(client)
}

async fn show(client: &Client) -> Result<impl IntoResponse, Error> {
    let response = Response::builder()
        .status(StatusCode::OK)
        .header("content-type", "text/plain; charset=utf-8")
        .header("cache-control", "no-store")
        .body(read(client).await?.to_string())
        .map_err(Box::new)?;
    Ok(response)
}

/// Reads the history. `query_typed` takes one round trip; `query` would prepare the statement first.
async fn read(client: &Client) -> Result<&'static str, Error> {
    Ok(page::up(client.query_typed(page::APPLIED, &[]).await?.len()))
}
