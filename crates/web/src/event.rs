//! Parses the fields of an event that are needed, borrowed from its text, and skips the others.
//!
//! Treats null as absent. Knows JSON; `request` knows what the fields mean.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The fields of all formats together: fields that a format does not have are empty.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Event<'a> {
    #[serde(borrow)]
    pub version: Text<'a>,
    #[serde(borrow)]
    pub raw_path: Text<'a>,
    #[serde(borrow)]
    pub raw_query_string: Text<'a>,
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub http_method: Text<'a>,
    #[serde(borrow)]
    pub headers: Option<&'a RawValue>,
    #[serde(borrow)]
    pub multi_value_headers: Option<&'a RawValue>,
    #[serde(borrow)]
    pub query_string_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    pub multi_value_query_string_parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    pub cookies: Option<&'a RawValue>,
    #[serde(borrow)]
    pub body: Option<&'a RawValue>,
    pub is_base64_encoded: Option<bool>,
    #[serde(borrow)]
    pub request_context: Context<'a>,
}

/// The field `requestContext`: what the platform says about the request.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Context<'a> {
    #[serde(borrow)]
    pub http: Http<'a>,
    #[serde(borrow)]
    pub identity: Identity<'a>,
    #[serde(borrow)]
    pub stage: Text<'a>,
    pub elb: Option<IgnoredAny>,
}

/// The field `requestContext.http` of format 2.0.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Http<'a> {
    #[serde(borrow)]
    pub method: Text<'a>,
    #[serde(borrow)]
    pub source_ip: Text<'a>,
}

/// The field `requestContext.identity` of format 1.0.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Identity<'a> {
    #[serde(borrow)]
    pub source_ip: Text<'a>,
}

/// A string; empty when it is null.
#[derive(Default)]
pub(crate) struct Text<'a>(pub Cow<'a, str>);

/// Names and values in their order; a name with several values has several pairs.
#[derive(Debug, Default)]
pub(crate) struct Pairs<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Event<'_> {
    /// Returns `true` if the event has the method and the path of format 2.0.
    pub(crate) fn has_http(&self) -> bool {
        !self.request_context.http.method.0.is_empty() && self.raw_path.0.starts_with('/')
    }

    /// Returns `true` if the event has the method and the path of format 1.0, which load balancers
    /// use, too.
    pub(crate) fn is_v1(&self) -> bool {
        !self.http_method.0.is_empty() && self.path.0.starts_with('/')
    }
}

impl<'a> Pairs<'a> {
    /// Reads an object of strings or of lists of strings. Anything else gives no pairs.
    pub(crate) fn read(object: Option<&'a RawValue>) -> Pairs<'a> {
        let pairs = object.and_then(|object| serde_json::from_str(object.get()).ok());
        pairs.unwrap_or_default()
    }

    /// Returns the first value of a name, compared without regard to case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let pair = self
            .0
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        pair.map(|(_, value)| value.as_ref())
    }

    /// Returns every value of a name, compared without regard to case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let pairs = self.0.iter();
        pairs
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_ref())
            .collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Text<'a>, D::Error> {
        json.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }
}

/// The values of one name: a string, or a list of strings.
pub(crate) struct Values<'a>(pub Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Values<'a>, D::Error> {
        json.deserialize_any(ValuesVisitor)
    }
}

struct ValuesVisitor;

impl<'de> Visitor<'de> for ValuesVisitor {
    type Value = Values<'de>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a string or a list of strings")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Values<'de>, E> {
        Ok(Values(vec![Cow::Borrowed(text)]))
    }

    fn visit_str<E>(self, text: &str) -> Result<Values<'de>, E> {
        Ok(Values(vec![Cow::Owned(text.to_string())]))
    }

    fn visit_unit<E>(self) -> Result<Values<'de>, E> {
        Ok(Values(Vec::new()))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Values<'de>, S::Error> {
        let mut values = Vec::new();
        while let Some(Text(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Values(values))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Pairs<'a>, D::Error> {
        json.deserialize_any(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("an object of strings")
    }

    fn visit_unit<E>(self) -> Result<Pairs<'de>, E> {
        Ok(Pairs::default())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs<'de>, M::Error> {
        // A browser sends about fourteen headers.
        let mut pairs = Vec::with_capacity(16);
        while let Some((Text(name), Values(values))) = map.next_entry()? {
            pairs.extend(values.into_iter().map(|value| (name.clone(), value)));
        }
        Ok(Pairs(pairs))
    }
}
