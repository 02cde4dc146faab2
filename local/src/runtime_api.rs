//! The Runtime API, as a process on Lambda sees it: paths, headers, statuses, on may_minihttp.
//!
//! An address serves one environment at a time, so `AWS_LAMBDA_RUNTIME_API` is plain `host:port`,
//! and the address identifies the caller. With `--public` a random path follows, which other users
//! of the machine do not know. `environment` decides which calls are allowed.
//! Sources: "Using the Lambda runtime API", AWS Lambda Developer Guide; for the statuses,
//! aws-lambda-runtime-interface-emulator.

mod status;

use crate::environment::{ApiError, Environment, Handed};
use crate::invocation::{self, MAX_PAYLOAD, error};
use crate::{guard, referee};
use may::sync::Mutex;
use may_minihttp::{HttpService, HttpServiceFactory, Request, Response};
use status::Status;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The size of a coroutine's stack, in machine words. May's default of 32 KB is too small for JSON
/// in a debug build.
const STACK_WORDS: usize = 64 * 1024;

/// The number of ended coroutines whose stacks are kept. May makes as many at its start, and uses each
/// of them before one is used again: its default of 1,000 grows to 13 MB.
const KEPT_STACKS: usize = 16;

/// The version in the paths of the Runtime API.
const RUNTIME: &str = "2018-06-01";

/// The version in the paths of the Extensions API.
const EXTENSIONS: &str = "2020-01-01";

/// The header with an extension's identifier. All extensions have the same identifier, because an
/// environment has one internal extension at most.
const EXTENSION: &str = "Lambda-Extension-Identifier: 8f0d9f0a-0000-4000-8000-000000000001";

/// One address of the Runtime API, which serves one environment after the other.
pub(crate) struct RuntimeApi {
    /// Where it listens.
    pub address: SocketAddr,
    /// The beginning of every path: a slash and a secret, or nothing.
    prefix: String,
    /// The header with the ARN of the function, of which an address serves only one.
    arn: OnceLock<&'static str>,
    environment: Mutex<Option<Arc<Environment>>>,
}

impl RuntimeApi {
    /// Listens on a free port of the loopback interface, for as long as `local` runs. With
    /// `secret`, every path begins with a random one.
    pub(crate) fn start(secret: bool) -> io::Result<Arc<RuntimeApi>> {
        may::config()
            .set_stack_size(STACK_WORDS)
            .set_pool_capacity(KEPT_STACKS);
        // A free port is found first, because may_minihttp does not tell which port it got.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let api = Arc::new(RuntimeApi {
            address,
            prefix: match secret {
                true => format!("/{}", Uuid::new_v4().simple()),
                false => String::new(),
            },
            arn: OnceLock::new(),
            environment: Mutex::new(None),
        });
        // Dropping the handle leaves the server running.
        drop(Connections(api.clone()).start(address)?);
        Ok(api)
    }

    /// Returns the value of `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) fn variable(&self) -> String {
        format!("{}{}", self.address, self.prefix)
    }

    /// Returns the environment that this address serves, dead or alive.
    pub(crate) fn environment(&self) -> Option<Arc<Environment>> {
        self.environment
            .lock()
            .expect("no holder of this lock panics")
            .clone()
    }

    /// Starts a new environment, which this address serves from now on. A connection that is made
    /// meanwhile waits, so it is never taken for the predecessor's.
    pub(crate) fn replace(
        &self,
        start: impl FnOnce() -> io::Result<Arc<Environment>>,
    ) -> io::Result<Arc<Environment>> {
        let mut current = self
            .environment
            .lock()
            .expect("no holder of this lock panics");
        let environment = start()?;
        *current = Some(environment.clone());
        Ok(environment)
    }
}

/// Creates the service of each new connection.
struct Connections(Arc<RuntimeApi>);

impl HttpServiceFactory for Connections {
    type Service = Connection;

    fn new_service(&self, _id: usize) -> Connection {
        Connection {
            api: self.0.clone(),
            environment: self.0.environment(),
            is_refused: false,
        }
    }
}

/// A connection. It belongs to the environment that was current when it was made, so a call that a
/// dead process has left in it cannot reach the successor.
struct Connection {
    api: Arc<RuntimeApi>,
    environment: Option<Arc<Environment>>,
    /// Whether a request of somebody else than the process has come. Its body is left unread, and
    /// may_minihttp takes it for the next request, so nothing is served any more.
    is_refused: bool,
}

impl Connection {
    /// Returns a refusal if the request does not come from the environment's process.
    fn refuse(&mut self, request: &Request) -> Option<Status> {
        let (method, path) = (request.method(), request.path());
        let rest = path.strip_prefix(&self.api.prefix);
        let headers = request.headers().iter();
        let headers = headers.map(|header| (header.name, header.value));
        let refusal = if let Some(sign) = guard::sign_of_a_page(headers) {
            eprintln!("refused {method} {path}: it has {sign}, and may come from a web page");
            Status::FORBIDDEN
        } else if self.is_refused {
            Status::FORBIDDEN
        } else if !rest.is_some_and(|rest| rest.starts_with('/')) {
            Status::NOT_FOUND
        } else {
            return None;
        };
        self.is_refused = true;
        Some(refusal)
    }
}

impl HttpService for Connection {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        if let Some(refusal) = self.refuse(&request) {
            // The process has violated nothing.
            refusal.write(response);
            return Ok(());
        }
        let path = request.path()[self.api.prefix.len()..].to_owned();
        let line = format!("{} {path}", request.method());
        let served = match (&self.environment, Call::read(request, &path)) {
            (Some(environment), Ok(call)) => call.serve(&self.api, environment, response),
            (None, Ok(_)) => Err(Status::GONE),
            (_, Err(status)) => Err(status),
        };
        if let Err(status) = served {
            // A process whose environment was ended meanwhile has violated nothing.
            let over = self
                .environment
                .as_ref()
                .is_none_or(|ended| ended.is_over());
            if status.code != Status::GONE.code && !over {
                referee::violation(&format!("{line} was answered {}", status.code));
            }
            status.write(response);
        }
        Ok(())
    }
}

/// A call of the Runtime API or of the Extensions API. A body is `None` if it is larger than Lambda
/// takes.
enum Call {
    Next,
    Response(String, Option<Vec<u8>>),
    Error(String, Option<Vec<u8>>),
    InitError(Option<Vec<u8>>),
    RegisterExtension,
    NextExtensionEvent,
}

impl Call {
    /// Reads the whole request, because may_minihttp takes the rest of it for the next request.
    fn read(request: Request, path: &str) -> Result<Call, Status> {
        let get = request.method() == "GET";
        let post = request.method() == "POST";
        let chunked = header(&request, "transfer-encoding").is_some();
        let length = header(&request, "content-length").map_or(Some(0), |value| value.parse().ok());
        let headers = RequestHeaders::read(&request, path);
        let body = match length {
            Some(length) if !chunked => read(request, length)?,
            _ => return Err(Status::LENGTH_REQUIRED),
        };
        headers.check(post);
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match segments[..] {
            [RUNTIME, "runtime", "invocation", "next"] if get => Ok(Call::Next),
            [RUNTIME, "runtime", "invocation", id, "response"] if post => {
                headers.check_invocation_id(id);
                headers.check_response_mode()?;
                Ok(Call::Response(id.to_owned(), body))
            }
            [RUNTIME, "runtime", "invocation", id, "error"] if post => {
                headers.check_invocation_id(id);
                headers.check_error();
                Ok(Call::Error(id.to_owned(), body))
            }
            [RUNTIME, "runtime", "init", "error"] if post => {
                headers.check_error();
                Ok(Call::InitError(body))
            }
            [EXTENSIONS, "extension", "register"] if post => match headers.extension_name {
                Some(_) => Ok(Call::RegisterExtension),
                None => Err(Status::NO_EXTENSION),
            },
            [EXTENSIONS, "extension", "event", "next"] if get => match headers.is_registered() {
                true => Ok(Call::NextExtensionEvent),
                false => Err(Status::NO_EXTENSION),
            },
            [RUNTIME, "runtime", "invocation", "next"]
            | [RUNTIME, "runtime", "invocation", _, "response" | "error"]
            | [RUNTIME, "runtime", "init", "error"]
            | [EXTENSIONS, "extension", "register"]
            | [EXTENSIONS, "extension", "event", "next"] => Err(Status::METHOD_NOT_ALLOWED),
            _ => Err(Status::NOT_FOUND),
        }
    }

    fn serve(
        self,
        api: &RuntimeApi,
        environment: &Environment,
        response: &mut Response,
    ) -> Result<(), Status> {
        let outcome = match self {
            Call::Next => {
                return match environment.next() {
                    Ok(handed) => {
                        write_event(api, &handed, response);
                        Ok(())
                    }
                    Err(error) => Err(status(error)),
                };
            }
            Call::Response(id, Some(body)) => environment.answer(&id, Ok(body)),
            Call::Error(id, Some(body)) => {
                check_error_body(&body);
                environment.answer(&id, Err(body))
            }
            Call::InitError(Some(body)) => {
                check_error_body(&body);
                environment.fail_init(body)
            }
            Call::Response(id, None) | Call::Error(id, None) => {
                let message = format!("Response payload size exceeded {MAX_PAYLOAD} bytes.");
                let too_large = error("Function.ResponseSizeTooLarge", &message);
                let answered = environment.answer(&id, Err(too_large));
                return Err(answered.err().map_or(Status::TOO_LARGE, status));
            }
            Call::InitError(None) => return Err(Status::TOO_LARGE),
            Call::RegisterExtension => {
                environment.register_extension().map_err(status)?;
                response.header("Content-Type: application/json");
                response.header(EXTENSION).body("{}");
                return Ok(());
            }
            Call::NextExtensionEvent => environment.next_extension_event(),
        };
        outcome.map_err(status)?;
        response
            .status_code(202, "Accepted")
            .header("Content-Type: application/json");
        response.body(r#"{"status":"OK"}"#);
        Ok(())
    }
}

fn status(error: ApiError) -> Status {
    match error {
        ApiError::InvalidStateTransition => Status::WRONG_STATE,
        ApiError::InvalidRequestId => Status::WRONG_ID,
        ApiError::Gone => Status::GONE,
    }
}

/// The headers of a request that are checked, and its method and path.
struct RequestHeaders {
    line: String,
    host: Option<String>,
    content_type: Option<String>,
    error_type: Option<String>,
    error_cause: Option<String>,
    response_mode: Option<String>,
    invocation_id: Option<String>,
    extension_name: Option<String>,
    extension_id: Option<String>,
}

impl RequestHeaders {
    fn read(request: &Request, path: &str) -> RequestHeaders {
        RequestHeaders {
            line: format!("{} {path}", request.method()),
            host: header(request, "host"),
            content_type: header(request, "content-type"),
            error_type: header(request, "lambda-runtime-function-error-type"),
            error_cause: header(request, "lambda-runtime-function-xray-error-cause"),
            response_mode: header(request, "lambda-runtime-function-response-mode"),
            invocation_id: header(request, "lambda-runtime-invocation-id"),
            extension_name: header(request, "lambda-extension-name"),
            extension_id: header(request, "lambda-extension-identifier"),
        }
    }

    /// Checks for the headers that every request has to have (RFC 9112, 3.2; RFC 9110, 8.3).
    fn check(&self, post: bool) {
        if self.host.is_none() {
            referee::violation(&format!("{} has no Host", self.line));
        }
        if post && self.content_type.is_none() {
            referee::violation(&format!("{} has no Content-Type", self.line));
        }
    }

    fn is_registered(&self) -> bool {
        let (_, own) = EXTENSION.split_once(": ").expect("it is a header");
        self.extension_id.as_deref() == Some(own)
    }

    fn check_invocation_id(&self, request_id: &str) {
        let expected = invocation::invocation_id(request_id);
        if self.invocation_id.as_ref() != Some(&expected) {
            let echoed = &self.invocation_id;
            referee::violation(&format!(
                "an answer echoes Lambda-Runtime-Invocation-Id {echoed:?}, not {expected:?}"
            ));
        }
    }

    /// Refuses a response mode other than `streaming` and the default, which has no name.
    fn check_response_mode(&self) -> Result<(), Status> {
        match self.response_mode.as_deref() {
            None | Some("" | "streaming") => Ok(()),
            Some(_) => Err(Status::WRONG_MODE),
        }
    }

    fn check_error(&self) {
        let error_type = self.error_type.as_deref().unwrap_or_default();
        if !referee::is_error_type(error_type) {
            referee::violation(&format!(
                "an error has Lambda-Runtime-Function-Error-Type {error_type:?}, which is not like \
                 Function.ErrorType"
            ));
        }
        if let Some(cause) = self.error_cause.as_deref()
            && !referee::is_error_cause(cause)
        {
            referee::violation(&format!(
                "an error has a Lambda-Runtime-Function-XRay-Error-Cause of {} bytes that is no \
                 JSON object of 64 KiB at most",
                cause.len()
            ));
        }
    }
}

fn check_error_body(body: &[u8]) {
    if !referee::is_error(body) {
        let beginning = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        referee::violation(&format!(
            "an error's body is no JSON object with an errorMessage and an errorType: {beginning:?}"
        ));
    }
}

fn header(request: &Request, name: &str) -> Option<String> {
    let header = request
        .headers()
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case(name))?;
    Some(String::from_utf8_lossy(header.value).into_owned())
}

/// Reads the body, or returns `None` if it is larger than Lambda takes.
fn read(request: Request, length: usize) -> Result<Option<Vec<u8>>, Status> {
    // Dropping the reader reads the rest of the body.
    let mut reader = request.body();
    if length > MAX_PAYLOAD {
        return Ok(None);
    }
    let mut body = vec![0; length];
    match reader.read_exact(&mut body) {
        Ok(()) => Ok(Some(body)),
        Err(_) => Err(Status::TRUNCATED),
    }
}

fn write_event(api: &RuntimeApi, handed: &Handed, response: &mut Response) {
    let invocation = &handed.invocation;
    let left = handed.deadline.saturating_duration_since(Instant::now());
    let deadline = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        + left;
    let mut headers = format!(
        "Lambda-Runtime-Aws-Request-Id: {}\r\n\
         Lambda-Runtime-Deadline-Ms: {}\r\n\
         Lambda-Runtime-Trace-Id: {}\r\n\
         Lambda-Runtime-Invocation-Id: {}",
        invocation.request_id,
        deadline.as_millis(),
        invocation.trace_id,
        invocation::invocation_id(&invocation.request_id),
    );
    if let Some(context) = &invocation.client_context {
        headers.push_str("\r\nLambda-Runtime-Client-Context: ");
        headers.extend(context.chars().filter(|character| !character.is_control()));
    }
    let arn = api.arn.get_or_init(|| {
        let arn = &invocation.function_arn;
        Box::leak(format!("Lambda-Runtime-Invoked-Function-Arn: {arn}").into_boxed_str())
    });
    response
        .header("Content-Type: application/json")
        .header(arn);
    // may_minihttp takes only `&'static str` headers, so the 280 bytes that differ for each
    // invocation leak. docs/operate.md says what to do about it.
    response.header(Box::leak(headers.into_boxed_str()));
    response.body_vec(invocation.event.clone());
}
