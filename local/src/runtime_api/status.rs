//! The Runtime API's refusals: their statuses and bodies.
//!
//! The statuses and the error types are those of AWS's own emulator, but for 404, 405, 410, 411 and
//! a web page's 403. Does not know when each is given.

use may_minihttp::Response;

/// A status other than 200 and 202.
pub(super) struct Status {
    /// The HTTP status code.
    pub code: usize,
    reason: &'static str,
    body: &'static str,
}

impl Status {
    /// The request id of an answer is not the current invocation's.
    pub(super) const WRONG_ID: Status = Status {
        code: 400,
        reason: "Bad Request",
        body: r#"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#,
    };
    /// The body is shorter than its `Content-Length`.
    pub(super) const TRUNCATED: Status = Status {
        code: 400,
        reason: "Bad Request",
        body: r#"{"errorMessage":"Truncated request","errorType":"TruncatedHTTPRequest"}"#,
    };
    /// The response mode does not exist.
    pub(super) const WRONG_MODE: Status = Status {
        code: 400,
        reason: "Bad Request",
        body: r#"{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}"#,
    };
    /// The request comes from a web page, or follows one that does.
    pub(super) const FORBIDDEN: Status = Status {
        code: 403,
        reason: "Forbidden",
        body: r#"{"errorMessage":"Only the function's own process may call this","errorType":"Forbidden"}"#,
    };
    /// The extension has not given its name, or is not registered.
    pub(super) const NO_EXTENSION: Status = Status {
        code: 403,
        reason: "Forbidden",
        body: r#"{"errorMessage":"Unknown extension","errorType":"Extension.UnknownExtensionIdentifier"}"#,
    };
    /// The call is wrong in this phase.
    pub(super) const WRONG_STATE: Status = Status {
        code: 403,
        reason: "Forbidden",
        body: r#"{"errorMessage":"State transition is not allowed","errorType":"InvalidStateTransition"}"#,
    };
    /// There is no such path.
    pub(super) const NOT_FOUND: Status = Status {
        code: 404,
        reason: "Not Found",
        body: r#"{"errorMessage":"No such path in the Runtime API","errorType":"NotFound"}"#,
    };
    /// The path takes another method.
    pub(super) const METHOD_NOT_ALLOWED: Status = Status {
        code: 405,
        reason: "Method Not Allowed",
        body: r#"{"errorMessage":"Wrong method","errorType":"MethodNotAllowed"}"#,
    };
    /// The environment behind this connection has ended.
    pub(super) const GONE: Status = Status {
        code: 410,
        reason: "Gone",
        body: r#"{"errorMessage":"This connection has no environment any more","errorType":"Gone"}"#,
    };
    /// The body has no `Content-Length`, without which may_minihttp cannot read it.
    pub(super) const LENGTH_REQUIRED: Status = Status {
        code: 411,
        reason: "Length Required",
        body: r#"{"errorMessage":"A Content-Length is required here","errorType":"LengthRequired"}"#,
    };
    /// The body is larger than Lambda takes.
    pub(super) const TOO_LARGE: Status = Status {
        code: 413,
        reason: "Request Entity Too Large",
        body: r#"{"errorMessage":"Exceeded maximum allowed payload size","errorType":"RequestEntityTooLarge"}"#,
    };

    /// Writes this status as the response.
    pub(super) fn write(&self, response: &mut Response) {
        response
            .status_code(self.code, self.reason)
            .header("Content-Type: application/json");
        response.body(self.body);
    }
}
