//! Lists, reads and changes the rows of any table.
//!
//! Every value is text. Values reach SQL as parameters; identifiers come from the catalog, and are
//! quoted. Knows no page and no user.

pub mod catalog;
pub mod export;
pub mod input;
pub mod labels;
pub mod large;
pub mod list;
pub mod related;
pub mod row;
mod row_errors;
mod selection;
mod sql;
pub mod values;
pub mod write;

pub use row_errors::RowErrors;
pub use selection::{Cursor, Filter, MAX_SEARCH, Operator, Selection, Sort};
