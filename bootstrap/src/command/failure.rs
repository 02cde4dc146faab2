//! Shows a failure to a person: its kind, what failed, and each reason and remedy on a line of its
//! own.
//!
//! Knows the form of the project's errors (ARCHITECTURE.md, "Errors"), and none of them.

use crate::terminal::{Ink, Screen, plain};

/// Returns the text of a failure of this kind, with a line break at its end. The first colon of a
/// message ends what failed, and a semicolon ends a reason; what is quoted has neither. The lines
/// after the first, such as an excerpt from a file, stay as they are.
pub(super) fn show(kind: &str, message: &str, screen: Screen) -> String {
    let mut safe = String::new();
    plain(message, &mut safe);
    let (first, rest) = safe.split_once('\n').unwrap_or((&safe, ""));
    let mut text = String::new();
    screen.paint(Some(Ink::Red), kind, &mut text);
    let (mut quote, mut said_what) = (None, false);
    text.push('\n');
    let mut letters = first.chars().peekable();
    while let Some(letter) = letters.next() {
        quote = match (quote, letter) {
            (None, '`' | '"') => Some(letter),
            (Some(open), _) if open == letter => None,
            _ => quote,
        };
        let ends = match letter {
            ':' => !said_what,
            ';' => true,
            _ => false,
        };
        let ends = ends && quote.is_none() && letters.peek() == Some(&' ');
        if letter != ';' || !ends {
            text.push(letter);
        }
        if ends {
            said_what = true;
            letters.next();
            text.push_str("\n  ");
        }
    }
    text.push('\n');
    for line in rest.lines() {
        for part in ["  ", line, "\n"] {
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_its_kind_what_failed_and_each_reason_on_a_line() {
        let message = "failed to apply `a; b.sql:2:9`, and rolled it back: ERROR: column \"a; b\" \
                       does not exist (SQLSTATE 42703); hint: mend it; send {\"allow\":[\"late\"]}\n\
                       2 |  select \x1b\n           ^";
        let screen = Screen {
            width: 80,
            colour: false,
        };
        let expected = [
            "Function.MigrationFailed",
            "failed to apply `a; b.sql:2:9`, and rolled it back:",
            "  ERROR: column \"a; b\" does not exist (SQLSTATE 42703)",
            "  hint: mend it",
            "  send {\"allow\":[\"late\"]}",
            "  2 |  select \\u{1b}",
            "             ^",
        ];
        let shown = show("Function.MigrationFailed", message, screen);
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    }
}
