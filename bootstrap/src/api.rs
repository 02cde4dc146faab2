//! The Runtime API's client: the only file that knows its URLs, headers and statuses.
//!
//! Says what a status means for the loop (go on, or end); never decides what is answered.
//! Source: "Using the Lambda runtime API", AWS Lambda Developer Guide.

mod connection;
mod report;

use app::{Failure, Invocation, Reply};
use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use ureq::http::{HeaderName, HeaderValue, Response, StatusCode};
use ureq::{Agent, Body};

// Checked when they are compiled: a text would be checked at every look-up, for 600 instructions.
static REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
static INVOCATION_ID: HeaderName = HeaderName::from_static("lambda-runtime-invocation-id");
static DEADLINE_MS: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
static FUNCTION_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
static TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
static CLIENT_CONTEXT: HeaderName = HeaderName::from_static("lambda-runtime-client-context");
static COGNITO_IDENTITY: HeaderName = HeaderName::from_static("lambda-runtime-cognito-identity");
static TENANT_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-tenant-id");
static ERROR_TYPE: HeaderName = HeaderName::from_static("lambda-runtime-function-error-type");
static ERROR_CAUSE: HeaderName =
    HeaderName::from_static("lambda-runtime-function-xray-error-cause");
static EXTENSION_NAME: HeaderName = HeaderName::from_static("lambda-extension-name");
static EXTENSION_ID: HeaderName = HeaderName::from_static("lambda-extension-identifier");

/// What the answer to a POST may take, and each part of it. It only crosses the machine, and nothing
/// is frozen before it has come.
const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// cargo-lambda answers `/next` at once with 204 while it has no event.
const NO_EVENT_PAUSE: Duration = Duration::from_millis(50);

/// The Runtime API of this environment, over one connection.
pub struct Api {
    agent: Agent,
    base: String,
}

/// An invocation that still wants its answer. Answering consumes it, so there is at most one.
pub struct Received<'api> {
    api: &'api Api,
    invocation: Invocation,
    /// A nonce of this attempt, to be echoed.
    invocation_id: Option<HeaderValue>,
}

/// Why the process has to end.
#[derive(Debug)]
pub struct Fatal {
    cause: String,
    /// `/next` got no answer at all.
    unanswered: bool,
}

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
            // The process is frozen between invocations; the connection outlives that.
            .max_idle_age(Duration::from_secs(24 * 60 * 60))
            .build();
        let authority = address.split('/').next().unwrap_or_default();
        Api {
            agent: connection::agent(config, authority),
            base: format!("http://{address}"),
        }
    }

    /// Waits, without any timeout, for the next invocation: the process may be frozen meanwhile.
    ///
    /// # Errors
    /// When there will be none: the API is gone, or refuses.
    pub fn next(&self) -> Result<Received<'_>, Fatal> {
        loop {
            let (response, event) = self
                .wait_for("/2018-06-01/runtime/invocation/next", &[])
                .map_err(|cause| cause.context("failed to get the next invocation"))?;
            match response.status() {
                StatusCode::OK => return self.receive(&response, event),
                StatusCode::NO_CONTENT => thread::sleep(NO_EVENT_PAUSE),
                status => {
                    let refusal = Fatal::new(refusal(status, &event));
                    return Err(refusal.context("failed to get the next invocation"));
                }
            }
        }
    }

    /// SnapStart: waits until the snapshot that is taken now is restored.
    ///
    /// # Errors
    /// When the API is gone, or refuses.
    pub fn restore_next(&self) -> Result<(), Fatal> {
        let what = "failed to wait for the restore";
        let (response, body) = self
            .wait_for("/2018-06-01/runtime/restore/next", &[])
            .map_err(|cause| cause.context(what))?;
        match response.status() {
            StatusCode::OK => Ok(()),
            status => Err(Fatal::new(refusal(status, &body)).context(what)),
        }
    }

    /// Reports that this environment cannot serve; the process ends next, for the reason returned.
    pub fn init_error(&self, failure: Failure) -> Fatal {
        self.end("/2018-06-01/runtime/init/error", failure)
    }

    /// SnapStart: the same after the restore.
    pub fn restore_error(&self, failure: Failure) -> Fatal {
        self.end("/2018-06-01/runtime/restore/error", failure)
    }

    /// Registers an internal extension that wants no events: an environment with an extension gets
    /// SIGTERM before SIGKILL ("Lambda execution environment lifecycle", AWS Lambda Developer
    /// Guide). Returns its identifier, for `await_shutdown`.
    ///
    /// # Errors
    /// When there is no such API, or it refuses.
    pub fn register_extension(&self) -> Result<HeaderValue, Fatal> {
        let what = "failed to register for SIGTERM";
        let name = HeaderValue::from_static("plain-lambda");
        let (response, body) = self
            .send(
                "/2020-01-01/extension/register",
                &[(&EXTENSION_NAME, name)],
                br#"{"events":[]}"#,
            )
            .map_err(|cause| cause.context(what))?;
        match response.headers().get(&EXTENSION_ID) {
            Some(id) if response.status().is_success() => Ok(id.clone()),
            _ => Err(Fatal::new(refusal(response.status(), &body)).context(what)),
        }
    }

    /// Waits for an event that the extension does not want, for ever: only then is its init over.
    pub fn await_shutdown(&self, extension: HeaderValue) {
        let _ = self.wait_for(
            "/2020-01-01/extension/event/next",
            &[(&EXTENSION_ID, extension)],
        );
    }

    fn receive(&self, response: &Response<Body>, event: Vec<u8>) -> Result<Received<'_>, Fatal> {
        let Some(request_id) = header(response, &REQUEST_ID) else {
            let message = "failed to get the next invocation: it came without a request id";
            return Err(Fatal::new(message.to_string()));
        };
        let deadline = header(response, &DEADLINE_MS)
            .and_then(|millis| millis.parse().ok())
            .map(|millis| UNIX_EPOCH + Duration::from_millis(millis))
            // cargo-lambda's deadlines are in 1970.
            .filter(|deadline| *deadline > SystemTime::now());
        let invocation = Invocation {
            event,
            request_id,
            deadline,
            function_arn: header(response, &FUNCTION_ARN),
            trace_id: header(response, &TRACE_ID),
            client_context: header(response, &CLIENT_CONTEXT),
            cognito_identity: header(response, &COGNITO_IDENTITY),
            tenant_id: header(response, &TENANT_ID),
        };
        let invocation_id = response.headers().get(&INVOCATION_ID);
        Ok(Received {
            api: self,
            invocation,
            invocation_id: invocation_id.filter(|id| !id.is_empty()).cloned(),
        })
    }

    /// A GET that may wait for ever. Asked again once, on a new connection, when the connection
    /// that was kept turns out to be stale: until it is answered, asking twice is asking once.
    fn wait_for(
        &self,
        path: &str,
        headers: &[(&HeaderName, HeaderValue)],
    ) -> Result<(Response<Body>, Vec<u8>), Fatal> {
        let get = || -> Result<_, ureq::Error> {
            let mut request = self.agent.get(format!("{}{path}", self.base));
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let mut response = request.call()?;
            // Read to the end, or the connection cannot be used again.
            let body = response.body_mut().read_to_vec()?;
            Ok((response, body))
        };
        let answer = match get() {
            Err(ureq::Error::Io(stale)) => {
                log::debug!("asking {path} again: {stale}");
                get()
            }
            answer => answer,
        };
        answer.map_err(|error| Fatal {
            cause: error.to_string(),
            unanswered: true,
        })
    }

    /// A POST, never repeated: whether the other side has acted on it is not known.
    fn send(
        &self,
        path: &str,
        headers: &[(&HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Result<(Response<Body>, Vec<u8>), Fatal> {
        let post = || -> Result<_, ureq::Error> {
            let mut request = self
                .agent
                .post(format!("{}{path}", self.base))
                .config()
                .timeout_recv_response(Some(POST_TIMEOUT))
                .timeout_recv_body(Some(POST_TIMEOUT))
                .build()
                .content_type("application/json");
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let mut response = request.send(body)?;
            let answer = response.body_mut().read_to_vec()?;
            Ok((response, answer))
        };
        post().map_err(|error| Fatal::new(error.to_string()))
    }

    fn fail(
        &self,
        path: &str,
        failure: &Failure,
        invocation_id: Option<HeaderValue>,
    ) -> Result<(), Fatal> {
        let error_type = report::error_type(failure.kind());
        let value = |text: &str| HeaderValue::from_str(text).expect("the report is ASCII");
        let mut headers = vec![(&ERROR_TYPE, value(error_type))];
        headers.extend(report::cause(failure).map(|cause| (&ERROR_CAUSE, value(&cause))));
        headers.extend(invocation_id.map(|id| (&INVOCATION_ID, id)));
        self.answer(path, &headers, &report::body(failure))
    }

    fn end(&self, path: &str, failure: Failure) -> Fatal {
        match self.fail(path, &failure, None) {
            Ok(()) => Fatal::new(failure.to_string()),
            Err(fatal) => fatal.context(&failure.to_string()),
        }
    }

    /// Posts an answer. A refusal is logged and is no error, because the next invocation can
    /// still be served; only "500, non-recoverable state" and a lost API are.
    fn answer(
        &self,
        path: &str,
        headers: &[(&HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Result<(), Fatal> {
        let what = format!("failed to post `{path}`");
        let (response, answer) = self
            .send(path, headers, body)
            .map_err(|cause| cause.context(&what))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let refused = Fatal::new(refusal(status, &answer)).context(&what);
        if status.is_server_error() {
            return Err(refused);
        }
        log::error!("{refused}");
        Ok(())
    }
}

impl Received<'_> {
    /// What was asked.
    pub fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// Answers with the handler's reply; with an error, if Lambda would not take it.
    ///
    /// # Errors
    /// When the process has to end.
    pub fn succeed(self, reply: &Reply) -> Result<(), Fatal> {
        let size = reply.body.len();
        if size > Reply::LIMIT {
            let message = format!(
                "failed to answer: the reply has {size} bytes, and Lambda takes {}",
                Reply::LIMIT
            );
            let failure = Failure::new("Function.ResponseSizeTooLarge", message);
            log::error!("{failure}");
            return self.fail(&failure);
        }
        let path = self.path("response");
        let headers: Vec<_> = self
            .invocation_id
            .map(|id| (&INVOCATION_ID, id))
            .into_iter()
            .collect();
        self.api.answer(&path, &headers, &reply.body)
    }

    /// Answers that the handler failed.
    ///
    /// # Errors
    /// When the process has to end.
    pub fn fail(self, failure: &Failure) -> Result<(), Fatal> {
        self.api
            .fail(&self.path("error"), failure, self.invocation_id)
    }

    fn path(&self, what: &str) -> String {
        format!(
            "/2018-06-01/runtime/invocation/{}/{what}",
            self.invocation.request_id
        )
    }
}

impl Fatal {
    /// Whether asking again, on another connection, may help and can do no harm.
    pub fn may_pass(&self) -> bool {
        self.unanswered
    }

    fn new(cause: impl Into<String>) -> Fatal {
        Fatal {
            cause: cause.into(),
            unanswered: false,
        }
    }

    fn context(self, what: &str) -> Fatal {
        Fatal {
            cause: format!("{what}: {}", self.cause),
            ..self
        }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.cause)
    }
}

/// A header's value; empty is absent, because Lambda Managed Instances sends empty ones.
fn header(response: &Response<Body>, name: &HeaderName) -> Option<String> {
    let value = response.headers().get(name)?.as_bytes();
    let value = String::from_utf8_lossy(value).into_owned();
    Some(value).filter(|value| !value.is_empty())
}

fn refusal(status: StatusCode, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    format!("the Runtime API answered {}: {body}", status.as_u16())
}
