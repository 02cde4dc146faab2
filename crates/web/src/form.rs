//! Decodes and encodes names and values in a query or a form (`application/x-www-form-urlencoded`,
//! WHATWG URL Standard).
//!
//! Knows no request and no page.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;

/// The largest number of fields: a table has up to 1600 columns, with two fields each.
const MAX_FIELDS: usize = 4000;

/// The largest size of a query or a form, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The characters that are escaped: all but the unreserved ones (RFC 3986, section 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'~')
    .remove(b'.');

/// Why a body, a form or a query cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// A `%` without two hexadecimal digits after it, invalid base64, a NUL, or bytes that are not
    /// UTF-8.
    Malformed,
    /// The body has another content type than a form's.
    OtherType,
    /// The form or query has more fields or bytes than any form of ours.
    TooLarge,
}

/// Decodes the pairs in their order; a name with several values has several pairs.
///
/// # Errors
/// [`Unreadable::Malformed`], [`Unreadable::TooLarge`].
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, Unreadable> {
    if text.len() > MAX_BYTES || text.split('&').count() > MAX_FIELDS {
        return Err(Unreadable::TooLarge);
    }
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode_field(name)?, decode_field(value)?))
    });
    pairs.collect::<Option<_>>().ok_or(Unreadable::Malformed)
}

/// Returns the value of the first field with this name; empty when there is none.
///
/// ```
/// let fields = [("email".to_string(), "ada@example.com".to_string())];
/// assert_eq!(web::field(&fields, "email"), "ada@example.com");
/// assert_eq!(web::field(&fields, "name"), "");
/// ```
pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let mut fields = fields.iter();
    fields
        .find(|(known, _)| known == name)
        .map_or("", |(_, value)| value)
}

/// Writes pairs as the query of an address. The values are escaped, the names are not.
///
/// ```
/// assert_eq!(web::query([("q", "a&b"), ("sort", "-id")]), "q=a%26b&sort=-id");
/// ```
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .collect();
    pairs.join("&")
}

/// Escapes a text as one part of an address: a segment of its path, or a value of its query.
///
/// ```
/// assert_eq!(web::escape("a/b c"), "a%2Fb%20c");
/// ```
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// Decodes each `%xx`. `None` when two hexadecimal digits do not follow a `%`, when the decoded
/// bytes are not UTF-8, or when there is a NUL, which no text of Postgres has.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('\0') {
        return None;
    }
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let mut escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    let valid = escapes.all(|(at, _)| is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2)));
    let decoded = valid.then(|| percent_decode_str(text).decode_utf8().ok())??;
    (!decoded.contains('\0')).then_some(decoded)
}

fn decode_field(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    decode(&spaced).map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_their_order_and_repeats() {
        let check = |text: &str, expected: &[(&str, &str)]| {
            let pairs = pairs(text).expect("it is a form");
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (&**a, &**b)).collect();
            assert_eq!(pairs, expected, "{text}");
        };
        check("", &[]);
        check("&&", &[]);
        check("b=2&a=1&b=3", &[("b", "2"), ("a", "1"), ("b", "3")]);
        check("a", &[("a", "")]);
        check("=x", &[("", "x")]);
        check("a=b=c", &[("a", "b=c")]);
        check("a+b=%2B+%26%3D%C3%BC", &[("a b", "+ &=ü")]);
    }

    #[test]
    fn a_malformed_or_too_large_form_is_refused() {
        for text in [
            "a=%", "a=%2", "%zz=1", "a=%ff", "a=%C3", "a=%00", "a%00=", "a=\0",
        ] {
            assert_eq!(pairs(text), Err(Unreadable::Malformed), "{text}");
        }
        let too_many = "a&".repeat(MAX_FIELDS + 1);
        assert_eq!(pairs(&too_many), Err(Unreadable::TooLarge));
        let too_long = "a".repeat(MAX_BYTES + 1);
        assert_eq!(pairs(&too_long), Err(Unreadable::TooLarge));
    }

    #[test]
    fn any_text_survives_encoding_and_decoding_and_no_bytes_panic() {
        let mut state = 1_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..2000 {
            let text: String = (0..next() % 12)
                .filter_map(|_| char::from_u32(u32::try_from(1 + next() % 0x3000).expect("small")))
                .collect();
            let escaped = utf8_percent_encode(&text, NON_ALPHANUMERIC);
            let form = format!("{escaped}={escaped}");
            if !text.is_empty() {
                assert_eq!(pairs(&form), Ok(vec![(text.clone(), text.clone())]));
            }
            let bytes: Vec<u8> = (0..next() % 12).map(|_| next().to_le_bytes()[3]).collect();
            let _ = pairs(&String::from_utf8_lossy(&bytes));
        }
    }
}
