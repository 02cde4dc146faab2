//! Encodes several values as one text for an address: a row's key, or a place in a list.
//!
//! NULL is `~0`. An empty value, and one that begins with `~` or `.`, has `~1` before it: browsers
//! remove the segments `.` and `..` from a path. Knows no table.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use web::{FromCapture, escape};

/// Encodes values, with slashes between them.
///
/// ```
/// use records::values::encode;
///
/// assert_eq!(encode([Some("7"), None, Some("a/b"), Some("")]), "7/~0/a%2Fb/~1");
/// ```
pub fn encode<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let values: Vec<String> = values.into_iter().map(encode_one).collect();
    values.join("/")
}

/// Decodes a text that [`encode`] has written. Any other text gives values, too.
pub(crate) fn decode(text: &str) -> Vec<Option<String>> {
    let decoded = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
    text.split('/')
        .map(|value| decode_segment(decoded(value)))
        .collect()
}

/// Decodes a value whose percent signs are decoded already, such as a segment of a path.
fn decode_segment(value: String) -> Option<String> {
    match value.strip_prefix('~') {
        Some("0") => None,
        Some(marked) => Some(marked.strip_prefix('1').unwrap_or(marked).to_string()),
        None => Some(value),
    }
}

/// The key of a row, captured from a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(pub Vec<Option<String>>);

/// The name of a schema, table or column, captured from a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

impl FromCapture for Key {
    fn from_capture(segments: &[Cow<str>]) -> Option<Key> {
        let values = segments.iter();
        let values = values.map(|value| decode_segment(value.to_string()));
        Some(Key(values.collect()))
    }
}

impl FromCapture for Name {
    fn from_capture(segments: &[Cow<str>]) -> Option<Name> {
        decode_segment(String::from_capture(segments)?).map(Name)
    }
}

fn encode_one(value: Option<&str>) -> String {
    match value {
        None => "~0".to_string(),
        Some(value) if value.is_empty() || value.starts_with(['~', '.']) => {
            format!("~1{}", escape(value))
        }
        Some(value) => escape(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_values_survive_encoding_and_decoding() {
        for values in [
            vec![Some("1")],
            vec![Some("a/b"), Some("")],
            vec![None, Some("~0"), Some("~1"), Some("~")],
            vec![Some("."), Some(".."), Some("%2e"), Some("ü \n\0?#&=+;")],
        ] {
            let text = encode(values.iter().copied());
            let decoded = decode(&text);
            assert_eq!(
                decoded.iter().map(Option::as_deref).collect::<Vec<_>>(),
                values
            );
            assert!(
                text.split('/')
                    .all(|part| !part.is_empty() && !part.starts_with('.')),
                "{text}"
            );
        }
    }
}
