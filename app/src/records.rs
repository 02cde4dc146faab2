//! The rows of any table: listed, read, changed. Takes text and gives text; values reach SQL as
//! parameters, identifiers from the catalogue. Knows no page, and not who asks.

pub mod export;
pub mod labels;
pub mod list;
mod refusal;
pub mod related;
pub mod row;
mod selection;
mod sql;
pub mod values;
pub mod write;

pub use refusal::Refusal;
pub use selection::{Cursor, Filter, Operator, Selection, Sort};
