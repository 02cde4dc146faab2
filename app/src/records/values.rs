//! Several values as one text that can be part of an address: a row's key, a place in a list.
//!
//! `~0` is NULL; what would be empty, or could be taken for `~0`, `.` or `..`, has `~1` before it,
//! because browsers shorten paths.

use crate::http::escape;
use percent_encoding::percent_decode_str;

/// The values with slashes between them.
pub fn encode<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let values: Vec<String> = values.into_iter().map(encode_one).collect();
    values.join("/")
}

/// The values of a text that `encode` has made; any other text gives what it can.
pub fn decode(text: &str) -> Vec<Option<String>> {
    let decoded = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
    text.split('/')
        .map(|value| unmark(decoded(value)))
        .collect()
}

/// A value whose percent signs are decoded already: a segment of a path.
pub fn unmark(value: String) -> Option<String> {
    match value.strip_prefix('~') {
        Some("0") => None,
        Some(marked) => Some(marked.strip_prefix('1').unwrap_or(marked).to_string()),
        None => Some(value),
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
    fn any_values_come_back_as_they_were() {
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
