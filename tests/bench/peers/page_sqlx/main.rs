//! `/up?db` with `lambda_http` and `sqlx`; the pool is made at the start, as both document it.

#[path = "../page.rs"]
mod page;

use lambda_http::http::{Response, StatusCode};
use lambda_http::{Error, IntoResponse, Request, run, service_fn};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt()
        .without_time()
        .with_max_level(tracing::Level::INFO)
        .init();
    let pool = &connect().await?;
    run(service_fn(move |_request: Request| show(pool))).await
}

async fn connect() -> Result<PgPool, Error> {
    let options: PgConnectOptions = std::env::var("DATABASE_URL")?.parse()?;
    let options = options
        .ssl_mode(PgSslMode::VerifyFull)
        .ssl_root_cert(std::env::var("DB_SSLROOTCERT")?);
    let pool = PgPoolOptions::new().max_connections(1);
    Ok(pool.connect_with(options).await?)
}

async fn show(pool: &PgPool) -> Result<impl IntoResponse, Error> {
    let response = Response::builder()
        .status(StatusCode::OK)
        .header("content-type", "text/plain; charset=utf-8")
        .header("cache-control", "no-store")
        .body(read(pool).await?.to_string())
        .map_err(Box::new)?;
    Ok(response)
}

async fn read(pool: &PgPool) -> Result<&'static str, Error> {
    Ok(page::up(sqlx::query(page::APPLIED).fetch_all(pool).await?.len()))
}
