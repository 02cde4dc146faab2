//! The Runtime API's client: the only file that knows the API's URLs, headers and statuses.
//!
//! Tells the loop whether a status means to go on or to end. Does not choose what is answered, but
//! for a reply that is larger than Lambda takes, which it answers with an error.
//! Source: "Using the Lambda runtime API", AWS Lambda Developer Guide.

mod connection;
mod report;

use handler::{Failure, Invocation, Kind, Reply};
use std::fmt;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};
use ureq::http::header::TRANSFER_ENCODING;
use ureq::http::{HeaderName, HeaderValue, Response, StatusCode};
use ureq::{Agent, Body};

// Validated at compile time: a `&str` is validated again at every look-up, for 600 instructions.
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

/// The timeout for the head of the answer to a POST, and again for its body. The answer comes from
/// the same machine, and Lambda does not freeze the process before the answer has come.
const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before the next `/next` after a 204, with which cargo-lambda answers at once while it
/// has no event.
const NO_EVENT_PAUSE: Duration = Duration::from_millis(50);

/// The beginning of 2014, in which Lambda began: an earlier deadline is no point in time.
const FIRST_DEADLINE_MS: u64 = 1_388_534_400_000;

/// A client of this environment's Runtime API, over one connection.
pub(crate) struct Api {
    agent: Agent,
    base: String,
}

/// An invocation that is not answered yet. Answering consumes it, so there is at most one answer.
pub(crate) struct Received<'api> {
    api: &'api Api,
    invocation: Invocation,
    /// The nonce of this attempt, which the answer has to repeat.
    invocation_id: Option<HeaderValue>,
}

/// The reason why a call of the Runtime API failed for good: with one loop, the process has to end.
#[derive(Debug)]
pub(crate) struct Fatal {
    cause: String,
}

impl Api {
    /// Creates a client for the address in `AWS_LAMBDA_RUNTIME_API`: `host:port`, or a URL with a
    /// path, as cargo-lambda sets it.
    pub(crate) fn new(address: &str) -> Api {
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        // No resolve, connect or global timeout: with any of them, ureq resolves in a thread.
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("plain-lambda/", env!("CARGO_PKG_VERSION")))
            .accept("")
            .accept_encoding("")
            // The process is frozen between invocations, and the connection outlives the freeze.
            .max_idle_age(Duration::from_secs(24 * 60 * 60))
            .build();
        let authority = address.split('/').next().unwrap_or_default();
        Api {
            agent: connection::agent(config, authority),
            base: format!("http://{address}"),
        }
    }

    /// Waits for the next invocation, without a timeout: the process may be frozen meanwhile.
    ///
    /// # Errors
    /// The API is gone, refuses the call, or sends an invocation without a request id.
    pub(crate) fn next(&self) -> Result<Received<'_>, Fatal> {
        loop {
            let (response, event) = self
                .wait_for("/2018-06-01/runtime/invocation/next", &[])
                .map_err(|cause| cause.context("failed to get the next invocation"))?;
            match response.status() {
                StatusCode::OK => match event {
                    Some(event) => return self.receive(&response, event),
                    None => self.refuse(&response)?,
                },
                StatusCode::NO_CONTENT => thread::sleep(NO_EVENT_PAUSE),
                status => {
                    let refusal = Fatal::new(refusal(status, &event.unwrap_or_default()));
                    return Err(refusal.context("failed to get the next invocation"));
                }
            }
        }
    }

    /// Waits, with SnapStart, until the snapshot that Lambda takes during this call is restored.
    ///
    /// # Errors
    /// The API is gone, or refuses the call.
    pub(crate) fn restore_next(&self) -> Result<(), Fatal> {
        let what = "failed to wait for the restore";
        let (response, body) = self
            .wait_for("/2018-06-01/runtime/restore/next", &[])
            .map_err(|cause| cause.context(what))?;
        match response.status() {
            StatusCode::OK => Ok(()),
            status => Err(Fatal::new(refusal(status, &body.unwrap_or_default())).context(what)),
        }
    }

    /// Reports that this environment cannot serve, and returns the reason for the process to end.
    pub(crate) fn init_error(&self, failure: Failure) -> Fatal {
        self.end("/2018-06-01/runtime/init/error", failure)
    }

    /// Reports, as `init_error` does, a failure after SnapStart's restore.
    pub(crate) fn restore_error(&self, failure: Failure) -> Fatal {
        self.end("/2018-06-01/runtime/restore/error", failure)
    }

    /// Registers an internal extension for no events, and returns its identifier for
    /// `await_shutdown`. Lambda sends SIGTERM before SIGKILL only to an environment with an
    /// extension ("Lambda execution environment lifecycle", AWS Lambda Developer Guide).
    ///
    /// # Errors
    /// The platform has no Extensions API, or the API refuses the call.
    pub(crate) fn register_extension(&self) -> Result<HeaderValue, Fatal> {
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

    /// Asks for the extension's next event, and waits for ever, as the extension gets none. Lambda
    /// regards the extension's init as complete only once it has asked.
    pub(crate) fn await_shutdown(&self, extension: HeaderValue) {
        let _ = self.wait_for(
            "/2020-01-01/extension/event/next",
            &[(&EXTENSION_ID, extension)],
        );
    }

    /// Answers an event that is too large to be read with an error.
    #[inline(never)]
    fn refuse(&self, response: &Response<Body>) -> Result<(), Fatal> {
        let received = self.receive(response, Vec::new())?;
        let message = "failed to read the event: it is larger than Lambda sends";
        let failure = Failure::new(Kind::InvalidEvent, message);
        log::error!("{failure}");
        received.fail(&failure)
    }

    fn receive(&self, response: &Response<Body>, event: Vec<u8>) -> Result<Received<'_>, Fatal> {
        let Some(request_id) = header(response, &REQUEST_ID) else {
            let message = "failed to get the next invocation: it came without a request id";
            return Err(Fatal::new(message.to_string()));
        };
        let deadline = response.headers().get(&DEADLINE_MS);
        let deadline = deadline
            .and_then(|millis| millis.to_str().ok()?.parse().ok())
            // A deadline that is past is one all the same. Those of cargo-lambda, which sends the
            // timeout in place of the deadline, are in 1970, and mean nothing.
            .filter(|millis| *millis > FIRST_DEADLINE_MS)
            .map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
        let invocation = Invocation {
            event,
            request_id,
            deadline,
            function_arn: header(response, &FUNCTION_ARN),
            trace_id: header(response, &TRACE_ID),
            client_context: header(response, &CLIENT_CONTEXT),
            cognito_identity: header(response, &COGNITO_IDENTITY),
            tenant_id: header(response, &TENANT_ID),
            interrupted: None,
        };
        let invocation_id = response.headers().get(&INVOCATION_ID);
        Ok(Received {
            api: self,
            invocation,
            invocation_id: invocation_id.filter(|id| !id.is_empty()).cloned(),
        })
    }

    /// Sends a GET that may wait for ever. Returns the response and its body, or no body when it has
    /// more than the 10 MiB that ureq reads; Lambda sends 6. If the kept connection turns out to be stale, sends the
    /// GET once more, on a new connection: a GET that was not answered had no effect.
    fn wait_for(
        &self,
        path: &str,
        headers: &[(&HeaderName, HeaderValue)],
    ) -> Result<(Response<Body>, Option<Vec<u8>>), Fatal> {
        let get = || -> Result<_, ureq::Error> {
            let mut request = self.agent.get(format!("{}{path}", self.base));
            for (name, value) in headers {
                request = request.header(*name, value);
            }
            let mut response = request.call()?;
            // Only a body that is read to the end leaves a connection that can be used again.
            match response.body_mut().read_to_vec() {
                Ok(body) => Ok((response, Some(body))),
                Err(ureq::Error::BodyExceedsLimit(_)) => Ok((response, None)),
                Err(error) => Err(error),
            }
        };
        let answer = match get() {
            Err(ureq::Error::Io(stale)) => {
                log::debug!("asking {path} again: {stale}");
                get()
            }
            answer => answer,
        };
        answer.map_err(|error| Fatal::new(error.to_string()))
    }

    /// Sends a POST, and never repeats it: after a failure, whether the API has acted on the POST
    /// is unknown.
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
            let ends = response.body().content_length().is_some()
                || response.headers().contains_key(TRANSFER_ENCODING);
            // A body without a length ends with the connection, which may be much later.
            let answer = match ends {
                true => response.body_mut().read_to_vec()?,
                false => Vec::new(),
            };
            Ok((response, answer))
        };
        post().map_err(|error| Fatal::new(error.to_string()))
    }

    /// Posts a failure, with its error type and its X-Ray cause as headers.
    fn fail(
        &self,
        path: &str,
        failure: &Failure,
        invocation_id: Option<HeaderValue>,
    ) -> Result<(), Fatal> {
        let error_type = failure.kind().text();
        let value = |text: &str| HeaderValue::from_str(text).expect("the report is ASCII");
        let mut headers = vec![(&ERROR_TYPE, value(error_type))];
        headers.push((&ERROR_CAUSE, value(&report::cause(failure))));
        headers.extend(invocation_id.map(|id| (&INVOCATION_ID, id)));
        self.answer(path, &headers, &report::body(failure))
    }

    /// Posts a failure, and returns it as the reason for the process to end.
    fn end(&self, path: &str, failure: Failure) -> Fatal {
        match self.fail(path, &failure, None) {
            Ok(()) => Fatal::new(failure.to_string()),
            Err(fatal) => fatal.context(&failure.to_string()),
        }
    }

    /// Posts an answer. A refusal is only logged, because the next invocation can still be served.
    ///
    /// # Errors
    /// The API is gone, or answers with "500, non-recoverable state". With several loops, the caller
    /// goes on all the same.
    fn answer(
        &self,
        path: &str,
        headers: &[(&HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Result<(), Fatal> {
        let what = || format!("failed to post `{path}`");
        let (response, answer) = self
            .send(path, headers, body)
            .map_err(|cause| cause.context(&what()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let refused = Fatal::new(refusal(status, &answer)).context(&what());
        if status.is_server_error() {
            return Err(refused);
        }
        log::error!("{refused}");
        Ok(())
    }
}

impl Received<'_> {
    /// Returns the invocation to be answered.
    pub(crate) fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// Answers with the handler's reply, or with an error if the reply is larger than Lambda takes.
    ///
    /// # Errors
    /// The process has to end.
    pub(crate) fn succeed(self, reply: &Reply) -> Result<(), Fatal> {
        let size = reply.body.len();
        if size > Reply::LIMIT {
            let message = format!(
                "failed to answer: the reply has {size} bytes, and Lambda takes {}",
                Reply::LIMIT
            );
            let failure = Failure::new(Kind::ResponseTooLarge, message);
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

    /// Answers with the handler's failure.
    ///
    /// # Errors
    /// The process has to end.
    pub(crate) fn fail(self, failure: &Failure) -> Result<(), Fatal> {
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
    fn new(cause: impl Into<String>) -> Fatal {
        Fatal {
            cause: cause.into(),
        }
    }

    fn context(self, what: &str) -> Fatal {
        Fatal {
            cause: format!("{what}: {}", self.cause),
        }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.cause)
    }
}

/// Returns a header's value. An empty value is absent, because Lambda Managed Instances sends empty
/// ones.
fn header(response: &Response<Body>, name: &HeaderName) -> Option<String> {
    let value = response.headers().get(name)?.as_bytes();
    let value = String::from_utf8_lossy(value).into_owned();
    Some(value).filter(|value| !value.is_empty())
}

fn refusal(status: StatusCode, body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    format!("the Runtime API answered {}: {body}", status.as_u16())
}
