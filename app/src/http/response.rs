//! A response, and the JSON that a Function URL makes HTTP of. Knows no page.
//!
//! Source: "Response payload format", Function URLs, AWS Lambda Developer Guide.

use crate::Reply;
use serde_json::{Map, Value, json};

/// What goes back to the browser.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, each once: the format has no room for a second value.
    pub headers: Vec<(&'static str, String)>,
    /// Text, in UTF-8.
    pub body: String,
}

impl Response {
    /// A page of HTML, which no cache keeps: it shows the database as it is now.
    pub fn html(status: u16, body: String) -> Response {
        let response = Response {
            status,
            headers: Vec::new(),
            body,
        };
        response
            .with("content-type", "text/html; charset=utf-8")
            .with("cache-control", "no-store")
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// The handler's reply.
    pub fn into_reply(self) -> Reply {
        let headers: Map<String, Value> = self
            .headers
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.into()))
            .collect();
        let reply = json!({
            "statusCode": self.status,
            "headers": headers,
            // None of ours yet; cargo-lambda takes no response without the field.
            "cookies": [],
            "body": self.body,
            "isBase64Encoded": false,
        });
        reply.into()
    }
}
