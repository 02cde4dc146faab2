//! Matches paths with patterns, and reads the segments that a pattern captures.
//!
//! In `/tables/{table}` the capture matches one segment; in `/row/{key...}`, at the end of a
//! pattern, one segment or more. Any other part matches the same text. The segments are decoded
//! already. Knows no page.

use std::borrow::Cow;

/// The segments of a path that a pattern captures, by the captures' names.
#[derive(Debug, Default)]
pub struct Captures<'a>(Vec<(&'static str, &'a [Cow<'a, str>])>);

/// A type that a capture can be read as.
pub trait FromCapture: Sized {
    /// Reads the captured segments, which are decoded: one, or more for a capture `{name...}`.
    /// `None` when they are not a value of this type; there is no page at this address then.
    fn from_capture(segments: &[Cow<str>]) -> Option<Self>;
}

impl Captures<'_> {
    /// Returns the value of a capture; `None` when the captured segments are not a value of this
    /// type, or the pattern has no such capture.
    pub fn get<T: FromCapture>(&self, name: &str) -> Option<T> {
        let (_, segments) = self.0.iter().find(|(known, _)| *known == name)?;
        T::from_capture(segments)
    }
}

/// Matches the decoded segments of a path with a pattern. `None` when they do not match.
///
/// ```
/// use std::borrow::Cow;
///
/// let path = ["parts", "7"].map(Cow::Borrowed);
/// let captures = web::match_path("/parts/{id}", &path).expect("it matches");
/// assert_eq!(captures.get::<i64>("id"), Some(7));
/// assert!(web::match_path("/parts", &path).is_none());
/// ```
pub fn match_path<'a>(pattern: &'static str, path: &'a [Cow<'a, str>]) -> Option<Captures<'a>> {
    let mut captures = Vec::new();
    let mut rest = path;
    for part in pattern.strip_prefix('/').unwrap_or(pattern).split('/') {
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        let taken = match name.map(|name| name.strip_suffix("...").ok_or(name)) {
            Some(Ok(name)) => {
                captures.push((name, rest));
                rest.len().max(1)
            }
            Some(Err(name)) => {
                captures.push((name, rest.get(..1)?));
                1
            }
            None if *rest.first()? == part => 1,
            None => return None,
        };
        rest = rest.get(taken..)?;
    }
    rest.is_empty().then_some(Captures(captures))
}

impl FromCapture for String {
    fn from_capture(segments: &[Cow<str>]) -> Option<String> {
        match segments {
            [segment] => Some(segment.to_string()),
            _ => None,
        }
    }
}

impl FromCapture for i64 {
    fn from_capture(segments: &[Cow<str>]) -> Option<i64> {
        String::from_capture(segments)?.parse().ok()
    }
}

impl FromCapture for i32 {
    fn from_capture(segments: &[Cow<str>]) -> Option<i32> {
        String::from_capture(segments)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(path: &str) -> Vec<Cow<'_, str>> {
        path[1..].split('/').map(Cow::Borrowed).collect()
    }

    #[track_caller]
    fn check(pattern: &'static str, path: &str, expected: bool) {
        let path = segments(path);
        let matches = match_path(pattern, &path).is_some();
        assert_eq!(matches, expected, "{pattern} {path:?}");
    }

    #[test]
    fn a_pattern_matches_whole_paths() {
        check("/", "/", true);
        check("/", "/a", false);
        check("/a", "/", false);
        check("/tables", "/tables", true);
        check("/tables", "/tables/", false);
        check("/tables/{schema}/{table}", "/tables/public/orders", true);
        check("/tables/{schema}/{table}", "/tables/public", false);
        check(
            "/tables/{schema}/{table}",
            "/tables/public/orders/new",
            false,
        );
        check("/t/row/{key...}", "/t/row/1", true);
        check("/t/row/{key...}", "/t/row/1/2", true);
        check("/t/row/{key...}", "/t/row", false);
    }

    #[test]
    fn a_capture_is_read_as_the_type_that_is_asked_for() {
        let path = segments("/users/7/x");
        let captures = match_path("/users/{id}/{name}", &path).expect("it matches");
        assert_eq!(captures.get::<i64>("id"), Some(7));
        assert_eq!(captures.get::<String>("name").as_deref(), Some("x"));
        assert_eq!(captures.get::<i64>("name"), None);
        assert_eq!(captures.get::<i64>("other"), None);
    }
}
