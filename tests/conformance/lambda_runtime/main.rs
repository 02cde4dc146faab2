//! AWS's own runtime, used as its README shows, with the handler that the conformance suite needs.
//! Knows nothing of Plain Lambda.

use lambda_runtime::{Diagnostic, Error, LambdaEvent, run_concurrent, service_fn};
use serde_json::{Value, json};
use std::env;

#[tokio::main]
async fn main() -> Result<(), Error> {
    if env::var("_HANDLER").as_deref() == Ok("missing") {
        return Err("there is no handler `missing`".into());
    }
    run_concurrent(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    let event = event.payload;
    match event["do"].as_str() {
        Some("fail") => Err(Diagnostic {
            error_type: "Function.OnDemand".into(),
            error_message: event["why"].as_str().unwrap_or("it was asked to").into(),
        }),
        Some("panic") => panic!("on demand"),
        Some("reply") => {
            let bytes = event["bytes"].as_u64().unwrap_or_default() as usize;
            Ok("x".repeat(bytes.saturating_sub(2)).into())
        }
        Some("trace") => Ok(json!({"trace": env::var("_X_AMZN_TRACE_ID").ok()})),
        _ => Ok(event),
    }
}
