//! The Runtime API's refusals, with the statuses and the words of AWS's own emulator.

use may_minihttp::Response;

/// A status other than 200 and 202, as AWS's own emulator words it.
pub struct Status {
    /// The HTTP status code.
    pub code: usize,
    reason: &'static str,
    body: &'static str,
}

impl Status {
    /// The id of an answer is not that of the invocation under way.
    pub const WRONG_ID: Status = Status {
        code: 400,
        reason: "Bad Request",
        body: r#"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#,
    };
    /// The body is shorter than its length says.
    pub const TRUNCATED: Status = Status {
        code: 400,
        reason: "Bad Request",
        body: r#"{"errorMessage":"Truncated request","errorType":"TruncatedHTTPRequest"}"#,
    };
    /// A response mode that there is not.
    pub const WRONG_MODE: Status = Status {
        code: 400,
        reason: "Bad Request",
        body: r#"{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}"#,
    };
    /// An extension without its name, or one that is not registered.
    pub const NO_EXTENSION: Status = Status {
        code: 403,
        reason: "Forbidden",
        body: r#"{"errorMessage":"Unknown extension","errorType":"Extension.UnknownExtensionIdentifier"}"#,
    };
    /// The call is wrong at this time.
    pub const WRONG_STATE: Status = Status {
        code: 403,
        reason: "Forbidden",
        body: r#"{"errorMessage":"State transition is not allowed","errorType":"InvalidStateTransition"}"#,
    };
    /// There is no such path.
    pub const NOT_FOUND: Status = Status {
        code: 404,
        reason: "Not Found",
        body: r#"{"errorMessage":"No such path in the Runtime API","errorType":"NotFound"}"#,
    };
    /// The path takes another method.
    pub const METHOD_NOT_ALLOWED: Status = Status {
        code: 405,
        reason: "Method Not Allowed",
        body: r#"{"errorMessage":"Wrong method","errorType":"MethodNotAllowed"}"#,
    };
    /// The environment behind this connection has ended.
    pub const GONE: Status = Status {
        code: 410,
        reason: "Gone",
        body: r#"{"errorMessage":"This connection has no environment any more","errorType":"Gone"}"#,
    };
    /// The body's length is not given: may_minihttp cannot read it then.
    pub const LENGTH_REQUIRED: Status = Status {
        code: 411,
        reason: "Length Required",
        body: r#"{"errorMessage":"A Content-Length is required here","errorType":"LengthRequired"}"#,
    };
    /// The body is larger than Lambda takes.
    pub const TOO_LARGE: Status = Status {
        code: 413,
        reason: "Request Entity Too Large",
        body: r#"{"errorMessage":"Exceeded maximum allowed payload size","errorType":"RequestEntityTooLarge"}"#,
    };

    /// Answers with it.
    pub fn write(&self, response: &mut Response) {
        response
            .status_code(self.code, self.reason)
            .header("Content-Type: application/json");
        response.body(self.body);
    }
}
