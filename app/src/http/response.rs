//! A response, and the JSON that a Function URL makes HTTP of. Knows no page.
//!
//! Source: "Response payload format", Function URLs, AWS Lambda Developer Guide.

use crate::Reply;

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
        // Written as it goes out: a tree of JSON would copy the page twice.
        let mut body = format!(r#"{{"statusCode":{},"headers":{{"#, self.status).into_bytes();
        for (number, (name, value)) in self.headers.iter().enumerate() {
            if number > 0 {
                body.push(b',');
            }
            write_string(&mut body, name);
            body.push(b':');
            write_string(&mut body, value);
        }
        // No cookies of ours yet; cargo-lambda takes no response without the field.
        body.extend_from_slice(br#"},"cookies":[],"isBase64Encoded":false,"body":"#);
        write_string(&mut body, &self.body);
        body.push(b'}');
        Reply { body }
    }
}

fn write_string(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("a vector takes everything, and text is JSON");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_response_is_the_json_that_a_function_url_takes() {
        let response = Response {
            status: 404,
            headers: Vec::new(),
            body: "\"ü\"\n\u{1}".to_string(),
        };
        let response = response.with("x-a", "1\"").with("x-b", "2");
        let reply: Value = serde_json::from_slice(&response.into_reply().body).expect("it is JSON");
        let expected = json!({
            "statusCode": 404,
            "headers": {"x-a": "1\"", "x-b": "2"},
            "cookies": [],
            "isBase64Encoded": false,
            "body": "\"ü\"\n\u{1}",
        });
        assert_eq!(reply, expected);
    }
}
