//! A parameter that is sent as text, whatever its type is: the server reads it as it reads a literal.
//!
//! Must not know where the value comes from.

// The trait of the driver names this type of a crate that is no dependency of ours.
use postgres::types::private::BytesMut;
use postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use std::error::Error;

/// A value of any type, as text.
#[derive(Debug)]
pub(super) struct Value<'a>(pub &'a str);

impl ToSql for Value<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
