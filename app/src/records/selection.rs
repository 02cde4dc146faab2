//! Which rows of a table are wanted, in which order, from where on: a query string ↔ its meaning.
//!
//! `q` searches; each filter is a column `c`, an operator `o`, a value `v` and, for `between`, `w`,
//! in this order; `sort` is a column, with a minus before it from the largest down; `after` and
//! `before` are places.

use crate::catalogue::{Column, Kind, Table};
use crate::http::query;

/// What a list is asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Text that one of the text columns holds; empty for any.
    pub search: String,
    /// All of them hold.
    pub filters: Vec<Filter>,
    /// `None`: in the order of the key.
    pub sort: Option<Sort>,
    /// `None`: from the beginning.
    pub cursor: Option<Cursor>,
}

/// What a column's value has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The column, as an index.
    pub column: usize,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub value: String,
    /// The upper end of `between`; else empty.
    pub to: String,
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Is,
    /// Not equal; NULL is not, either.
    IsNot,
    /// Holds a text, in upper or lower case.
    Contains,
    /// Begins with a text, in upper or lower case.
    Begins,
    /// Less.
    Below,
    /// Greater.
    Above,
    /// From one value to another, both included.
    Between,
    /// NULL.
    Null,
    /// Not NULL.
    NotNull,
}

/// The column that rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// The column, as an index.
    pub column: usize,
    /// From the largest down.
    pub descending: bool,
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Towards the beginning.
    pub backwards: bool,
    /// What `list` gave for this place.
    pub place: String,
}

const OPERATORS: [(Operator, &str, &str); 9] = [
    (Operator::Is, "is", "is"),
    (Operator::IsNot, "not", "is not"),
    (Operator::Contains, "has", "contains"),
    (Operator::Begins, "begins", "begins with"),
    (Operator::Below, "lt", "is below"),
    (Operator::Above, "gt", "is above"),
    (Operator::Between, "between", "is between"),
    (Operator::Null, "null", "is null"),
    (Operator::NotNull, "set", "is not null"),
];

impl Operator {
    /// Its name in a query.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// Its name for a person.
    pub fn words(self) -> &'static str {
        self.row().2
    }

    /// Those that make sense for a column, the likeliest first.
    pub fn for_column(column: &Column) -> Vec<Operator> {
        use Operator::*;
        let mut operators = match &column.kind {
            Kind::Bytes => vec![],
            Kind::Boolean | Kind::Enum(_) => vec![Is, IsNot],
            Kind::Text => vec![Contains, Is, IsNot, Begins, Below, Above, Between],
            Kind::Json => vec![Contains],
            _ if column.sortable => vec![Is, IsNot, Above, Below, Between, Contains],
            _ => vec![Contains],
        };
        operators.extend([Null, NotNull]);
        operators
    }

    /// Whether it compares with a value.
    pub fn takes_value(self) -> bool {
        !matches!(self, Operator::Null | Operator::NotNull)
    }

    fn row(self) -> &'static (Operator, &'static str, &'static str) {
        let mut rows = OPERATORS.iter();
        { rows.find(|(operator, ..)| *operator == self) }.expect("every operator has its row")
    }
}

impl Selection {
    /// Reads a query. Empty filters are left out, as a form sends one for each column.
    ///
    /// # Errors
    /// What is not known, in words.
    pub fn read(table: &Table, parameters: &[(String, String)]) -> Result<Selection, String> {
        let mut selection = Selection::default();
        let mut pairs = parameters.iter().peekable();
        while let Some((name, value)) = pairs.next() {
            match name.as_str() {
                "q" => selection.search = value.trim().to_string(),
                "sort" if value.is_empty() => {}
                "sort" => selection.sort = Some(sort(table, value)?),
                "after" | "before" => {
                    selection.cursor = Some(Cursor {
                        backwards: name == "before",
                        place: value.clone(),
                    });
                }
                "c" => {
                    let mut rest = ["o", "v", "w"].map(|wanted| {
                        let next = pairs.next_if(|(name, _)| name == wanted);
                        next.map(|(_, value)| value.clone()).unwrap_or_default()
                    });
                    let operator = std::mem::take(&mut rest[0]);
                    let [_, value_from, value_to] = rest;
                    if let Some(filter) = filter(table, value, &operator, value_from, value_to)? {
                        selection.filters.push(filter);
                    }
                }
                _ => return Err(format!("A list has no parameter `{name}`.")),
            }
        }
        Ok(selection)
    }

    /// The query that means this, without a question mark; a place is left out unless it is given.
    pub fn query(&self, table: &Table, cursor: Option<&Cursor>) -> String {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        if !self.search.is_empty() {
            pairs.push(("q", self.search.clone()));
        }
        for filter in &self.filters {
            pairs.push(("c", table.columns[filter.column].name.clone()));
            pairs.push(("o", filter.operator.code().to_string()));
            if filter.operator.takes_value() {
                pairs.push(("v", filter.value.clone()));
            }
            if filter.operator == Operator::Between {
                pairs.push(("w", filter.to.clone()));
            }
        }
        if let Some(sort) = &self.sort {
            let minus = if sort.descending { "-" } else { "" };
            pairs.push((
                "sort",
                format!("{minus}{}", table.columns[sort.column].name),
            ));
        }
        if let Some(cursor) = cursor {
            let name = if cursor.backwards { "before" } else { "after" };
            pairs.push((name, cursor.place.clone()));
        }
        query(pairs.iter().map(|(name, value)| (*name, value.as_str())))
    }

    /// The rows whose columns have these values.
    pub fn of_values(values: impl IntoIterator<Item = (usize, Option<String>)>) -> Selection {
        let filter = |(column, value): (usize, Option<String>)| Filter {
            column,
            operator: match value {
                Some(_) => Operator::Is,
                None => Operator::Null,
            },
            value: value.unwrap_or_default(),
            to: String::new(),
        };
        Selection {
            filters: values.into_iter().map(filter).collect(),
            ..Selection::default()
        }
    }

    /// Whether some rows may be left out.
    pub fn is_filtered(&self) -> bool {
        !self.search.is_empty() || !self.filters.is_empty()
    }
}

impl Filter {
    /// In words.
    pub fn words(&self, table: &Table) -> String {
        let column = &table.columns[self.column].name;
        let words = self.operator.words();
        match self.operator {
            Operator::Null | Operator::NotNull => format!("{column} {words}"),
            Operator::Between => format!("{column} {words} {} and {}", self.value, self.to),
            _ => format!("{column} {words} {}", self.value),
        }
    }
}

fn sort(table: &Table, text: &str) -> Result<Sort, String> {
    // A column's own name may begin with a minus.
    let found = match (table.column(text), text.strip_prefix('-')) {
        (Some(column), _) => Some((column, false)),
        (None, Some(name)) => table.column(name).map(|column| (column, true)),
        (None, None) => None,
    };
    match found {
        Some((column, descending)) if table.columns[column].sortable => {
            Ok(Sort { column, descending })
        }
        Some(_) => Err(format!("Postgres cannot sort by `{text}`.")),
        None => Err(format!(
            "{} has no column `{text}` to sort by.",
            table.title()
        )),
    }
}

fn filter(
    table: &Table,
    column: &str,
    operator: &str,
    value: String,
    to: String,
) -> Result<Option<Filter>, String> {
    if column.is_empty() || operator.is_empty() {
        return Ok(None);
    }
    let Some(column) = table.column(column) else {
        return Err(format!("{} has no column `{column}`.", table.title()));
    };
    let known = OPERATORS.iter().find(|(_, code, _)| *code == operator);
    let Some(&(operator, _, words)) = known else {
        return Err(format!("A filter cannot compare by `{operator}`."));
    };
    if !Operator::for_column(&table.columns[column]).contains(&operator) {
        let name = &table.columns[column].name;
        return Err(format!("`{name}` cannot be filtered by `{words}`."));
    }
    let empty = value.is_empty() && to.is_empty();
    Ok((!operator.takes_value() || !empty).then_some(Filter {
        column,
        operator,
        value,
        to,
    }))
}
