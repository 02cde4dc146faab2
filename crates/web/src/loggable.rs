//! Writes a request for a log, without what must not be in a log: tokens in its path, the values of
//! secret parameters, and addresses of persons.
//!
//! Looks at what the request means and not at how it is written: `/sign%2Din/…` is `/sign-in/…`.
//! Knows no page: the site says what its secrets are.

use crate::Request;
use percent_encoding::percent_decode_str;
use std::fmt::{self, Write};

/// What of a site's requests is secret.
#[derive(Debug, Clone, Copy)]
pub struct Secrets {
    /// The beginning of a path whose rest is secret, in lower case, with a slash at both ends.
    pub path: &'static str,
    /// Returns `true` for the name of a parameter or a column whose values are secret.
    pub is_secret_name: fn(&str) -> bool,
    /// The parameter that names a column, and the parameters after it that have the column's values.
    pub column: (&'static str, &'static [&'static str]),
}

/// The method, the path and the query of a request, as they may be logged.
///
/// ```
/// use web::{Loggable, Secrets};
///
/// let event = br#"{"version": "2.0", "rawPath": "/sign-in/k3y", "rawQueryString": "q=a%40b.example",
///     "requestContext": {"http": {"method": "GET"}}}"#;
/// let invocation = handler::Invocation { event: event.to_vec(), ..Default::default() };
/// let request = web::Request::from_event(&invocation)?;
/// let secrets = Secrets {
///     path: "/sign-in/",
///     is_secret_name: |name| name.contains("token"),
///     column: ("c", &["v"]),
/// };
/// assert_eq!(Loggable::new(&request, secrets).to_string(), "GET /sign-in/?q=[filtered]");
/// # Ok::<(), handler::Failure>(())
/// ```
pub struct Loggable<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    secrets: Secrets,
}

/// A text of a client in a log: cut, and with its control characters escaped.
pub struct Shown<'a>(pub &'a str, pub usize);

impl<'a> Loggable<'a> {
    /// Wraps a request; nothing is read before the wrapper is written.
    pub fn new(request: &'a Request, secrets: Secrets) -> Loggable<'a> {
        Loggable {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            secrets,
        }
    }

    fn path(&self) -> String {
        if meaning(self.path).contains(self.secrets.path) {
            return self.secrets.path.to_string();
        }
        let segments = self
            .path
            .split('/')
            .map(|segment| match is_address(segment) {
                true => FILTERED,
                false => segment,
            });
        segments.collect::<Vec<_>>().join("/")
    }

    /// Returns the query with `[filtered]` for each secret value, without a question mark.
    pub fn query(&self) -> String {
        let (column, values) = self.secrets.column;
        let mut hides_values = false;
        let pairs = self.query.split('&').map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let meant = meaning(name);
            if meant == column {
                hides_values = self.is_secret_name(value);
            }
            if self.is_secret_text(name) {
                return FILTERED.to_string();
            }
            let hides = self.is_secret_name(name)
                || self.is_secret_text(value)
                || (hides_values && values.contains(&meant.as_str()));
            match hides && !value.is_empty() {
                true => format!("{name}={FILTERED}"),
                false => pair.to_string(),
            }
        });
        pairs.collect::<Vec<_>>().join("&")
    }

    fn is_secret_name(&self, name: &str) -> bool {
        (self.secrets.is_secret_name)(&meaning(name))
    }

    /// Returns `true` if a text is an address of a person, or an address of a page that has a
    /// secret.
    fn is_secret_text(&self, text: &str) -> bool {
        let meant = meaning(text);
        let has_parameters = meant.contains(['?', '&', '=']);
        meant.contains('@')
            || meant.contains(self.secrets.path)
            || (has_parameters && (self.secrets.is_secret_name)(&meant))
    }
}

const FILTERED: &str = "[filtered]";

fn is_address(text: &str) -> bool {
    meaning(text).contains('@')
}

/// Returns what a text means, however it is escaped: decoded as often as an address within an
/// address within an address is, in lower case, with slashes as browsers read them, and without
/// white space.
fn meaning(text: &str) -> String {
    let mut text = text.to_string();
    for _ in 0..5 {
        text = percent_decode_str(&text).decode_utf8_lossy().into_owned();
    }
    let letters = text.chars().filter(|letter| {
        let is_blank = letter.is_whitespace() || letter.is_control() || *letter == '+';
        !is_blank
    });
    let letters = letters.map(|letter| match letter {
        '\\' => '/',
        '\u{ff20}' | '\u{fe6b}' => '@',
        letter => letter.to_ascii_lowercase(),
    });
    letters.collect()
}

impl fmt::Display for Loggable<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let (method, path) = (Shown(self.method, 20), self.path());
        write!(out, "{method} {}", Shown(&path, 4000))?;
        match self.query.is_empty() {
            true => Ok(()),
            false => write!(out, "?{}", Shown(&self.query(), 4000)),
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Shown(text, limit) = *self;
        for letter in text.chars().take(limit) {
            match letter.is_control() {
                true => write!(out, "{}", letter.escape_default())?,
                false => out.write_char(letter)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handler::Invocation;
    use serde_json::json;

    const SECRETS: Secrets = Secrets {
        path: "/sign-in/",
        is_secret_name: |name| {
            let name = name.to_ascii_lowercase();
            ["passw", "email", "token", "_key"]
                .into_iter()
                .any(|part| name.contains(part))
        },
        column: ("c", &["v", "w"]),
    };

    fn written(path: &str, query: &str) -> String {
        let event = json!({
            "version": "2.0", "rawPath": path, "rawQueryString": query,
            "requestContext": {"http": {"method": "GET"}},
        });
        let invocation = Invocation {
            event: event.to_string().into_bytes(),
            ..Default::default()
        };
        let request = Request::from_event(&invocation).expect("it is a request");
        Loggable::new(&request, SECRETS).to_string()
    }

    #[test]
    fn the_rest_of_a_secret_path_is_hidden_however_it_is_written() {
        for path in [
            "/sign-in/TOKEN",
            "/sign%2Din/TOKEN",
            "/sign%252din/TOKEN",
            "/%73ign-in%2FTOKEN",
            "/Sign-In/TOKEN/x",
            "//sign-in//TOKEN",
            "/prod/sign-in/TOKEN",
            "/sign-in\\TOKEN",
            "/sign-in%5cTOKEN",
            "/sign-in%20/TOKEN",
            "/sign-in/%zz/TOKEN%",
            "/sign-in/%00TOKEN",
        ] {
            assert_eq!(written(path, ""), "GET /sign-in/", "{path}");
        }
        assert_eq!(written("/sign-in", ""), "GET /sign-in");
    }

    #[test]
    fn the_values_of_secret_parameters_are_hidden() {
        for (query, expected) in [
            (
                "a=1&api_key=2&Password=3&token=",
                "a=1&api_key=[filtered]&Password=[filtered]&token=",
            ),
            ("tok%65n=1", "tok%65n=[filtered]"),
            (
                "c=email&o=is&v=a&c=id&o=between&v=1&w=2",
                "c=email&o=is&v=[filtered]&c=id&o=between&v=1&w=2",
            ),
            ("to=%2Fsign-in%2FTOKEN", "to=[filtered]"),
            ("to=%2Ftables%3Fpassword%3DTOKEN", "to=[filtered]"),
            ("%2Fsign-in%2FTOKEN", "[filtered]"),
            ("db", "db"),
            ("q=a+b&sort=-id", "q=a+b&sort=-id"),
        ] {
            assert_eq!(written("/", query), format!("GET /?{expected}"));
        }
    }

    #[test]
    fn an_address_of_a_person_is_hidden_wherever_it_stands() {
        for at in ["@", "%40", "%2540", "%252540", "\u{fe6b}"] {
            let address = format!("ada{at}example.com");
            for name in ["q", "to", "after", "before", "v", "w", "x"] {
                let text = written("/", &format!("{name}={address}&a=1"));
                assert_eq!(text, format!("GET /?{name}=[filtered]&a=1"));
            }
            assert_eq!(written("/", &address), "GET /?[filtered]");
            let path = format!("/row/{address}/x");
            assert_eq!(written(&path, ""), "GET /row/[filtered]/x");
        }
    }

    #[test]
    fn no_request_makes_a_line_of_its_own() {
        assert_eq!(
            written("/a\nERROR\u{1b}", "b\r"),
            "GET /a\\nERROR\\u{1b}?b\\r"
        );
        assert_eq!(written(&format!("/{}", "x".repeat(9000)), "").len(), 4004);
    }
}
