//! Names and values as a browser writes them into a query or a form
//! (`application/x-www-form-urlencoded`, WHATWG URL Standard). Knows no request and no page.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::borrow::Cow;

/// Fields of a form, at most: a table has 1600 columns, two fields for each.
const FIELDS: usize = 4000;

/// Bytes of a form, at most.
const BYTES: usize = 1024 * 1024;

/// What stands for itself nowhere in an address (RFC 3986, §2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'~')
    .remove(b'.');

/// Why a form cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// An escape is none, or what it stands for is not UTF-8.
    Malformed,
    /// It is not of this type.
    OtherType,
    /// It is larger than anything that is ours.
    TooLarge,
}

/// The pairs in their order; a name with several values comes as often.
///
/// # Errors
/// `Malformed`, `TooLarge`.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, Unreadable> {
    if text.len() > BYTES || text.split('&').count() > FIELDS {
        return Err(Unreadable::TooLarge);
    }
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, decode(value)?))
    });
    pairs.collect::<Option<_>>().ok_or(Unreadable::Malformed)
}

/// A field's value; empty when there is none.
pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let mut fields = fields.iter();
    fields
        .find(|(known, _)| known == name)
        .map_or("", |(_, value)| value)
}

/// Pairs as the query of an address.
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = { pairs.into_iter() }
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .collect();
    pairs.join("&")
}

/// One part of an address.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    super::request::decode(&spaced).map(Cow::into_owned)
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
    fn what_is_no_form_is_refused() {
        for text in ["a=%", "a=%2", "%zz=1", "a=%ff", "a=%C3"] {
            assert_eq!(pairs(text), Err(Unreadable::Malformed), "{text}");
        }
        assert_eq!(pairs(&"a&".repeat(FIELDS + 1)), Err(Unreadable::TooLarge));
        assert_eq!(pairs(&"a".repeat(BYTES + 1)), Err(Unreadable::TooLarge));
    }

    #[test]
    fn any_text_comes_back_as_it_was_and_no_bytes_are_too_odd() {
        let mut state = 1_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..2000 {
            let text: String = (0..next() % 12)
                .filter_map(|_| char::from_u32(u32::try_from(next() % 0x3000).expect("small")))
                .collect();
            let escaped = utf8_percent_encode(&text, NON_ALPHANUMERIC);
            let form = format!("{escaped}={escaped}");
            if !text.is_empty() {
                assert_eq!(pairs(&form), Ok(vec![(text.clone(), text.clone())]));
            }
            let bytes: Vec<u8> = (0..next() % 12).map(|_| next().to_le_bytes()[3]).collect();
            let odd = String::from_utf8_lossy(&bytes);
            let _ = pairs(&odd);
        }
    }
}
