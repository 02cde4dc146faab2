//! `lambda_http` with the fastest start: one kind of event, no tracing, no second thread. It is built
//! with the profile `tuned` for a static target.

use lambda_http::http::{Response, StatusCode};
use lambda_http::{Error, IntoResponse, Request, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
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
