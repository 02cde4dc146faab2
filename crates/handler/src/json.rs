//! Parses JSON, and refuses an object that has a key twice.
//!
//! serde_json keeps the last of two values, and other readers keep the first, so that one event
//! would mean two things. Knows no event.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// The most of a key that an error names, in characters.
const KEY_LIMIT: usize = 40;

pub(crate) fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    let Unique(value) = serde_json::from_slice(text)?;
    Ok(value)
}

/// A value in which no object, at any depth, has a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Unique, D::Error> {
        json.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Value, S::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut object: M) -> Result<Value, M::Error> {
        let mut fields = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if fields.contains_key(&name) {
                return Err(M::Error::custom(repeated(&name)));
            }
            let Unique(value) = object.next_value()?;
            fields.insert(name, value);
        }
        Ok(fields.into())
    }
}

/// Says that an object has a key twice.
fn repeated(key: &str) -> String {
    let mut shown = String::new();
    for letter in key.chars().take(KEY_LIMIT) {
        match letter.is_control() {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    format!("the key `{shown}` is there twice")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_without_a_repeated_key_is_what_it_says() {
        for text in [
            r#"{"a":[1,-2,1.5,1e3,true,false,null,"\u00fc\n",{"a":{"a":{}}}],"b":{"a":1}}"#,
            "[]",
            "18446744073709551615",
            "\"x\"",
            "null",
        ] {
            let expected: Value = serde_json::from_str(text).expect("it is JSON");
            assert_eq!(parse(text.as_bytes()).expect("it is JSON"), expected);
        }
    }

    #[test]
    fn a_repeated_key_is_refused_at_any_depth_with_its_name() {
        for text in [
            r#"{"twice":"=","twice":"x"}"#,
            r#"{"twice":1,"b":2,"twice":1}"#,
            r#"[[{"a":{"b":[{"twice":1,"\u0074wice":{}}]}}]]"#,
        ] {
            let error = parse(text.as_bytes()).expect_err("it has one").to_string();
            assert!(error.contains("the key `twice` is there twice"), "{error}");
        }
    }

    #[test]
    fn a_long_key_is_cut_and_a_line_break_in_it_is_escaped() {
        let key = format!("\n{}", "x".repeat(100));
        let text = format!("{{{0}:1,{0}:2}}", Value::from(key));
        let error = parse(text.as_bytes()).expect_err("it has one").to_string();
        let shown = format!("`\\n{}`", "x".repeat(39));
        assert!(error.contains(&shown), "{error}");
    }

    #[test]
    fn deep_json_is_refused_and_does_not_overflow_the_stack() {
        let text = "[".repeat(100_000);
        assert!(parse(text.as_bytes()).is_err());
    }
}
