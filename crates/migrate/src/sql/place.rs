//! Byte offset → 1-based line and column.
//!
//! Must not know what the text is.

use std::fmt;

/// A line and a column of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
}

impl Place {
    /// Returns the place of a byte offset. Reads the text from its beginning, so it is for error
    /// messages, not for every statement.
    ///
    /// # Panics
    /// If the offset is beyond the text, or not at the beginning of a character.
    ///
    /// ```
    /// use migrate::sql::Place;
    ///
    /// assert_eq!(Place::of("a\nbc", 3), Place { line: 2, column: 2 });
    /// ```
    pub fn of(text: &str, offset: usize) -> Place {
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        assert_eq!(Place::of("ab", 0).to_string(), "1:1");
        assert_eq!(Place::of("a\nöx", 4).to_string(), "2:2");
    }
}
