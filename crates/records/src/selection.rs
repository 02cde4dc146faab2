//! Which rows of a table a list shows, in which order, and from which place: reads a query string
//! as a selection, and writes a selection as a query string.
//!
//! `q` is a text to search for. Each filter is a column `c`, an operator `o`, a value `v` and, for
//! `between`, a second value `w`, in this order. `sort` is a column, with a minus before it for
//! descending order. `after` and `before` are places. Knows no SQL.

use crate::catalog::{Column, Kind, Table};
use web::query;

/// The number of characters of a text that is searched for: LIKE takes time in proportion to it.
pub const MAX_SEARCH: usize = 200;

/// The number of filters, and of the characters of all their values: each heading of a list links to
/// all of them.
const MAX_FILTERS: usize = 20;
const MAX_VALUES: usize = 2000;

/// The rows that a list shows, and their order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The text that at least one text column contains; empty for no search.
    pub search: String,
    /// The filters, all of which a row fulfils.
    pub filters: Vec<Filter>,
    /// The sort order; `None` for the order of the key.
    pub sort: Option<Sort>,
    /// The place where the page begins; `None` for the beginning of the list.
    pub cursor: Option<Cursor>,
}

/// A condition for the value of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The index of the column.
    pub column: usize,
    /// The comparison.
    pub operator: Operator,
    /// The value that the column is compared with.
    pub value: String,
    /// The upper end for [`Operator::Between`]; else empty.
    pub to: String,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Is,
    /// Not equal, or NULL.
    IsNot,
    /// Contains a text, compared without regard to case.
    Contains,
    /// Begins with a text, compared without regard to case.
    Begins,
    /// Less.
    Below,
    /// Greater.
    Above,
    /// Between two values, including both.
    Between,
    /// NULL.
    Null,
    /// Not NULL.
    NotNull,
}

/// The column that rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// The index of the column.
    pub column: usize,
    /// Whether the largest value comes first.
    pub descending: bool,
}

/// A place in a list, where a page begins or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Whether the page is before the place.
    pub backwards: bool,
    /// The values of the sort columns in the row at the place, as [`values`](crate::values) writes
    /// them.
    pub place: String,
}

/// Each operator, its name in a query, and its name for a person.
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
    /// Returns the name in a query.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// Returns the name for a person.
    pub fn words(self) -> &'static str {
        self.row().2
    }

    /// Returns `true` if the operator searches in a text.
    pub fn searches(self) -> bool {
        matches!(self, Operator::Contains | Operator::Begins)
    }

    /// Returns the operators for the values of a column, the most useful first.
    pub fn for_column(column: &Column) -> Vec<Operator> {
        use Operator::*;
        let mut operators = match &column.kind {
            Kind::Bytes => vec![],
            // An answer to "begins with a" is a part of the secret.
            _ if column.is_secret => vec![],
            Kind::Boolean | Kind::Enum(_) => vec![Is, IsNot],
            Kind::Text => vec![Contains, Is, IsNot, Begins, Below, Above, Between],
            Kind::Json => vec![Contains],
            _ if column.sortable => vec![Is, IsNot, Above, Below, Between, Contains],
            _ => vec![Contains],
        };
        operators.extend([Null, NotNull]);
        operators
    }

    /// Returns `true` if the operator compares with a value.
    pub(crate) fn takes_value(self) -> bool {
        !matches!(self, Operator::Null | Operator::NotNull)
    }

    fn row(self) -> &'static (Operator, &'static str, &'static str) {
        let mut rows = OPERATORS.iter();
        let row = rows.find(|(operator, ..)| *operator == self);
        row.expect("every operator has its row")
    }
}

impl Selection {
    /// Reads the parameters of a query. Leaves out empty filters: a form sends one for each column.
    ///
    /// ```
    /// use records::Selection;
    /// use records::catalog::{Column, Kind, Table};
    ///
    /// let city = Column { name: "city".to_string(), kind: Kind::Text, ..Default::default() };
    /// let table = Table { columns: vec![city], ..Default::default() };
    /// let parameters = [("c", "city"), ("o", "begins"), ("v", "Ber")];
    /// let parameters = parameters.map(|(name, value)| (name.to_string(), value.to_string()));
    /// let selection = Selection::read(&table, &parameters)?;
    /// assert_eq!(selection.filters[0].words(&table), "city begins with Ber");
    /// assert_eq!(selection.query(&table, None), "c=city&o=begins&v=Ber");
    /// # Ok::<(), String>(())
    /// ```
    ///
    /// # Errors
    /// A sentence about the parameter, column or operator that does not exist or does not fit.
    pub fn read(table: &Table, parameters: &[(String, String)]) -> Result<Selection, String> {
        let mut selection = Selection::default();
        let mut pairs = parameters.iter().peekable();
        while let Some((name, value)) = pairs.next() {
            match name.as_str() {
                "q" => {
                    selection.search = value.trim().to_string();
                    limit("A search", &selection.search, MAX_SEARCH)?;
                }
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
                    selection.check_filters()?;
                }
                _ => return Err(format!("A list has no parameter `{name}`.")),
            }
        }
        Ok(selection)
    }

    fn check_filters(&self) -> Result<(), String> {
        if self.filters.len() > MAX_FILTERS {
            return Err(format!("A list has at most {MAX_FILTERS} filters."));
        }
        let values = self
            .filters
            .iter()
            .flat_map(|filter| [&filter.value, &filter.to]);
        match values.map(|value| value.chars().count()).sum::<usize>() {
            ..=MAX_VALUES => Ok(()),
            length => Err(format!(
                "The filters of a list have at most {MAX_VALUES} characters; these have {length}."
            )),
        }
    }

    /// Writes the query of the selection, without a question mark, with `cursor` in place of its
    /// own cursor.
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

    /// Selects the rows whose columns have these values.
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

    /// Returns `true` if there is a search or a filter.
    pub fn is_filtered(&self) -> bool {
        !self.search.is_empty() || !self.filters.is_empty()
    }
}

impl Filter {
    /// Returns the filter in words.
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
    // The name of a column may begin with a minus.
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
    if operator.searches() {
        limit("A search", &value, MAX_SEARCH)?;
    }
    let is_empty = value.is_empty() && to.is_empty();
    Ok((!operator.takes_value() || !is_empty).then_some(Filter {
        column,
        operator,
        value,
        to,
    }))
}

/// Refuses a text that is longer than `most` characters.
fn limit(what: &str, text: &str, most: usize) -> Result<(), String> {
    let length = text.chars().count();
    match length > most {
        true => Err(format!(
            "{what} has at most {most} characters; this one has {length}."
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_a_value_and_the_number_of_filters_have_a_limit() {
        let text = |name: &str| Column {
            name: name.to_string(),
            kind: Kind::Text,
            ..Column::default()
        };
        let table = Table {
            columns: vec![text("city")],
            ..Table::default()
        };
        let read = |pairs: &[(&str, String)]| {
            let pairs: Vec<(String, String)> = pairs
                .iter()
                .map(|(name, value)| (name.to_string(), value.clone()))
                .collect();
            Selection::read(&table, &pairs)
        };
        let filter = |operator: &str, value: String| {
            [
                ("c", "city".to_string()),
                ("o", operator.to_string()),
                ("v", value),
            ]
        };
        assert!(read(&[("q", "ü".repeat(200))]).is_ok());
        assert_eq!(
            read(&[("q", "ü".repeat(201))]).expect_err("it is too long"),
            "A search has at most 200 characters; this one has 201."
        );
        assert!(read(&filter("has", "a".repeat(201))).is_err());
        assert!(read(&filter("is", "a".repeat(2000))).is_ok());
        assert_eq!(
            read(&filter("is", "a".repeat(2001))).expect_err("it is too long"),
            "The filters of a list have at most 2000 characters; these have 2001."
        );
        let many = |count: usize, value: &str| {
            let filters: Vec<_> = (0..count)
                .flat_map(|_| filter("is", value.to_string()))
                .collect();
            read(&filters)
        };
        assert!(many(20, "a").is_ok());
        assert!(many(700, "").is_ok(), "empty filters are none");
        assert_eq!(
            many(21, "a").expect_err("there are too many"),
            "A list has at most 20 filters."
        );
    }
}
