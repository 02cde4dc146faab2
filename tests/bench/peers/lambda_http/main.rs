//! A function written as the README of `lambda_http` shows, with the answer of `/up`.

use lambda_http::http::{Response, StatusCode};
use lambda_http::{Error, IntoResponse, Request, run, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt()
        .without_time()
        .with_max_level(tracing::Level::INFO)
        .init();
    run(service_fn(up)).await
}

async fn up(_request: Request) -> Result<impl IntoResponse, Error> {
    let response = Response::builder()
        .status(StatusCode::OK)
        .header("content-type", "text/plain; charset=utf-8")
        .header("cache-control", "no-store")
        .body("up\n".to_string())
        .map_err(Box::new)?;
    Ok(response)
}
