//! Parses the fields of an event that are needed, borrowed from its text, and skips the others.
//!
//! Treats null as absent. Refuses an object that is read and has a key twice, because serde's derive
//! does so for its fields, and `Pairs` for all. Knows JSON; `request` knows what the fields mean.

use super::Shown;
use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
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
    /// Of an authorizer's event only.
    pub method_arn: Option<IgnoredAny>,
    /// Of an authorizer's event of format 2.0 only.
    pub route_arn: Option<IgnoredAny>,
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
    /// Of a WebSocket API's event only.
    pub connection_id: Option<IgnoredAny>,
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

/// The most names that are read: each is compared with all, and no request has as many.
const MAX_NAMES: usize = 2000;

/// Names in their order, each with its values, of which there may be none.
#[derive(Debug, Default)]
pub(crate) struct Pairs<'a>(pub Vec<(Cow<'a, str>, Vec<Cow<'a, str>>)>);

impl Event<'_> {
    /// Returns `true` if the event asks for something else than a page, although it may have a
    /// method and a path: it comes from an authorizer or a WebSocket API.
    pub(crate) fn is_no_page(&self) -> bool {
        self.method_arn.is_some()
            || self.route_arn.is_some()
            || self.request_context.connection_id.is_some()
    }

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
    /// Reads an object of strings or of lists of strings; null or nothing gives no pairs. A number
    /// or a boolean in place of a string is read as its text: senders other than AWS write them.
    ///
    /// # Errors
    /// Says which name has another value or is there twice, and nothing of a value.
    pub(crate) fn read(object: Option<&'a RawValue>) -> Result<Pairs<'a>, serde_json::Error> {
        match object {
            Some(object) => serde_json::from_str(object.get()),
            None => Ok(Pairs::default()),
        }
    }

    /// Adds the names that are not there yet, compared by `is_same`.
    pub(crate) fn merge(&mut self, others: Pairs<'a>, is_same: fn(&str, &str) -> bool) {
        let known = self.0.len();
        for (name, values) in others.0 {
            if !self.0[..known]
                .iter()
                .any(|(known, _)| is_same(known, &name))
            {
                self.0.push((name, values));
            }
        }
    }

    /// Returns the first value of a name, compared without regard to case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(known, values)| known.eq_ignore_ascii_case(name) && !values.is_empty())
            .map(|(_, values)| values[0].as_ref())
    }

    /// Returns every value of a name, compared without regard to case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let pairs = self.0.iter();
        pairs
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .flat_map(|(_, values)| values.iter().map(AsRef::as_ref))
            .collect()
    }

    /// Returns a name that is there twice.
    fn repeated(&self) -> Option<&str> {
        let mut names = self.0.iter().enumerate();
        let (_, (name, _)) = names.find(|(at, (name, _))| {
            let mut before = self.0[..*at].iter();
            before.any(|(known, _)| known == name)
        })?;
        Some(name)
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

/// The values of one name: a string, or a list of strings. Null is no value.
pub(crate) struct Values<'a>(pub Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Values<'a>, D::Error> {
        let mut values = Vec::new();
        json.deserialize_any(ValuesVisitor {
            values: &mut values,
            in_list: false,
        })?;
        Ok(Values(values))
    }
}

/// Adds what it reads to `values`.
struct ValuesVisitor<'v, 'de> {
    values: &'v mut Vec<Cow<'de, str>>,
    /// Whether this is a value of the list, in which there is no other list.
    in_list: bool,
}

impl<'de> DeserializeSeed<'de> for ValuesVisitor<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValuesVisitor<'_, 'de> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a string or a list of strings")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.values.push(Cow::Borrowed(text));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.values.push(Cow::Owned(text.to_string()));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        // Not by `f64`'s own `Display`, whose tables would be linked for this alone.
        self.visit_str(&serde_json::Value::from(value).to_string())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        if self.in_list {
            return Err(S::Error::invalid_type(Unexpected::Seq, &self));
        }
        let values = self.values;
        while let Some(()) = list.next_element_seed(ValuesVisitor {
            values: &mut *values,
            in_list: true,
        })? {}
        Ok(())
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
        let mut pairs = Pairs(Vec::with_capacity(16));
        while let Some(Text(name)) = map.next_key()? {
            let Values(values) = map.next_value().map_err(|error: M::Error| {
                M::Error::custom(format!("the value of `{}`: {error}", shown(&name)))
            })?;
            pairs.0.push((name, values));
            if pairs.0.len() > MAX_NAMES {
                return Err(M::Error::custom("there are more than 2000 names"));
            }
        }
        match pairs.repeated() {
            Some(name) => {
                let name = shown(name);
                Err(M::Error::custom(format!("the key `{name}` is there twice")))
            }
            None => Ok(pairs),
        }
    }
}

/// Returns the first characters of a name, for an error.
fn shown(name: &str) -> String {
    Shown(name, 40).to_string()
}
