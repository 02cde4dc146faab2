//! The Runtime API's client: the only file that knows its URLs, headers and statuses.
//!
//! Says what a status means for the loop (go on, or end); never decides what is answered.
//! Source: "Using the Lambda runtime API", AWS Lambda Developer Guide.

mod one_write;

use app::{Failure, Invocation, Reply};
use serde_json::json;
use std::fmt;
use std::time::{Duration, UNIX_EPOCH};
use ureq::http::{Response, StatusCode};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, Body};

const VERSION: &str = "2018-06-01";
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const INVOCATION_ID: &str = "lambda-runtime-invocation-id";
const DEADLINE_MS: &str = "lambda-runtime-deadline-ms";
const FUNCTION_ARN: &str = "lambda-runtime-invoked-function-arn";
const TRACE_ID: &str = "lambda-runtime-trace-id";
const CLIENT_CONTEXT: &str = "lambda-runtime-client-context";
const COGNITO_IDENTITY: &str = "lambda-runtime-cognito-identity";
const TENANT_ID: &str = "lambda-runtime-aws-tenant-id";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// A reply is taken by the machine we run on; one that takes this long will never be.
const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// An event is at most 6 MiB and a little; ureq's own limit of 10 MB is above it.
/// Small buffers, because ureq touches all of both before the first byte is sent.
const BUFFER_BYTES: usize = 8 * 1024;

/// The Runtime API of this environment.
pub struct Api {
    agent: Agent,
    base: String,
}

/// An invocation that still wants its answer. Answering consumes it, so there is at most one.
pub struct Received<'api> {
    api: &'api Api,
    invocation: Invocation,
    /// A nonce of this attempt, to be echoed.
    invocation_id: Option<String>,
}

/// Why the process has to end.
#[derive(Debug)]
pub struct Fatal(String);

impl Api {
    /// A client for `AWS_LAMBDA_RUNTIME_API`: `host:port`, or, as cargo-lambda gives it, a URL
    /// with a path.
    pub fn new(address: &str) -> Api {
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        // No resolve, connect or global timeout: with any of them ureq resolves in a thread.
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("plain-lambda/", env!("CARGO_PKG_VERSION")))
            .accept("")
            .accept_encoding("")
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            // The process is frozen between invocations; the connection outlives that.
            .max_idle_age(Duration::from_secs(24 * 60 * 60))
            .build();
        Api {
            agent: Agent::with_parts(config, one_write::connector(), DefaultResolver::default()),
            base: format!("http://{address}/{VERSION}/runtime"),
        }
    }

    /// Waits, without any timeout, for the next invocation: the process may be frozen meanwhile.
    ///
    /// # Errors
    /// Every error ends the process: a runtime that cannot ask has nothing left to do.
    pub fn next(&self) -> Result<Received<'_>, Fatal> {
        let fatal =
            |cause: &dyn fmt::Display| Fatal(format!("failed to get the next invocation: {cause}"));
        let url = format!("{}/invocation/next", self.base);
        let mut response = self.agent.get(url).call().map_err(|error| fatal(&error))?;
        let event = response
            .body_mut()
            .read_to_vec()
            .map_err(|error| fatal(&error))?;
        if response.status() != StatusCode::OK {
            return Err(fatal(&refusal(response.status(), &event)));
        }
        let Some(request_id) = header(&response, REQUEST_ID) else {
            return Err(fatal(&"it came without a request id"));
        };
        let deadline = header(&response, DEADLINE_MS)
            .and_then(|millis| millis.parse().ok())
            .map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
        let invocation = Invocation {
            event,
            request_id,
            deadline,
            function_arn: header(&response, FUNCTION_ARN),
            trace_id: header(&response, TRACE_ID),
            client_context: header(&response, CLIENT_CONTEXT),
            cognito_identity: header(&response, COGNITO_IDENTITY),
            tenant_id: header(&response, TENANT_ID),
        };
        let invocation_id = header(&response, INVOCATION_ID);
        Ok(Received {
            api: self,
            invocation,
            invocation_id,
        })
    }

    /// Reports that this environment cannot serve; the process ends next.
    ///
    /// # Errors
    /// When the report itself fails.
    pub fn init_error(&self, failure: &Failure) -> Result<(), Fatal> {
        self.post(
            "/init/error",
            Some(failure.kind()),
            None,
            &error_body(failure),
        )
    }

    /// Posts an answer. A refusal is logged and is no error, because the next invocation can
    /// still be served; only "500, non-recoverable state" and a lost API are.
    fn post(
        &self,
        path: &str,
        error_type: Option<&str>,
        invocation_id: Option<&str>,
        body: &[u8],
    ) -> Result<(), Fatal> {
        let fatal = |cause: &dyn fmt::Display| Fatal(format!("failed to post {path}: {cause}"));
        let mut request = self
            .agent
            .post(format!("{}{path}", self.base))
            .config()
            .timeout_send_body(Some(POST_TIMEOUT))
            .timeout_recv_response(Some(POST_TIMEOUT))
            .timeout_recv_body(Some(POST_TIMEOUT))
            .build()
            .content_type("application/json");
        if let Some(error_type) = error_type {
            request = request.header(ERROR_TYPE, error_type);
        }
        if let Some(invocation_id) = invocation_id {
            request = request.header(INVOCATION_ID, invocation_id);
        }
        let mut response = request.send(body).map_err(|error| fatal(&error))?;
        // Read to the end, or the connection cannot be used again.
        let answer = response
            .body_mut()
            .read_to_vec()
            .map_err(|error| fatal(&error))?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status if status.is_server_error() => Err(fatal(&refusal(status, &answer))),
            status => {
                log::error!("failed to post {path}: {}", refusal(status, &answer));
                Ok(())
            }
        }
    }
}

impl Received<'_> {
    /// What was asked.
    pub fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// Answers with the handler's reply.
    ///
    /// # Errors
    /// When the process has to end.
    pub fn succeed(self, reply: &Reply) -> Result<(), Fatal> {
        self.answer("response", None, &reply.body)
    }

    /// Answers that the handler failed.
    ///
    /// # Errors
    /// When the process has to end.
    pub fn fail(self, failure: &Failure) -> Result<(), Fatal> {
        self.answer("error", Some(failure.kind()), &error_body(failure))
    }

    fn answer(self, what: &str, error_type: Option<&str>, body: &[u8]) -> Result<(), Fatal> {
        let path = format!("/invocation/{}/{what}", self.invocation.request_id);
        self.api
            .post(&path, error_type, self.invocation_id.as_deref(), body)
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A header's value; empty is absent, because Lambda Managed Instances sends empty ones.
fn header(response: &Response<Body>, name: &str) -> Option<String> {
    let value = response.headers().get(name)?.as_bytes();
    let value = String::from_utf8_lossy(value).into_owned();
    Some(value).filter(|value| !value.is_empty())
}

fn refusal(status: StatusCode, body: &[u8]) -> String {
    format!(
        "the Runtime API answered {}: {}",
        status.as_u16(),
        String::from_utf8_lossy(body)
    )
}

fn error_body(failure: &Failure) -> Vec<u8> {
    json!({
        "errorMessage": failure.to_string(),
        "errorType": failure.kind(),
        "stackTrace": failure.causes(),
    })
    .to_string()
    .into_bytes()
}
