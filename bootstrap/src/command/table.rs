//! Shows a reply to a person: a list of objects as a table, all other fields as lines below.
//!
//! Takes any JSON, and knows of its fields only which come first and which are good or bad news.
//! Nothing of a reply is left out, but the end of a word that is longer than its column.

use crate::terminal::{Ink, Screen, columns, columns_of, plain};
use serde_json::{Map, Value};
use std::{iter, mem};

/// The fields that say what a thing is, in the order in which they are read; others follow by name.
const FIRST: [&str; 10] = [
    "status", "check", "ok", "version", "name", "file", "line", "found", "table", "mode",
];

/// The spaces before a table and between its columns.
const GAP: &str = "  ";

/// The least width of a column that is made narrower.
const NARROWEST: usize = 8;

/// Returns the text of a reply, with a line break at its end.
pub(super) fn show(reply: &Value, screen: Screen) -> String {
    let mut shown = Shown {
        screen,
        text: String::new(),
        lines: Vec::new(),
    };
    shown.add("", reply);
    shown.end()
}

/// A reply that is being shown.
struct Shown {
    screen: Screen,
    text: String,
    /// The fields that are no tables, with their names.
    lines: Vec<(String, Value)>,
}

impl Shown {
    /// Adds the value of this name. The name of a field in an object begins with the object's name.
    fn add(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for key in keys([fields].into_iter()) {
                    let field = format!("{name} {}", plain(key));
                    self.add(field.trim_start(), &fields[key]);
                }
            }
            Value::Array(rows) if rows.iter().any(Value::is_object) => self.table(name, rows),
            _ => self.lines.push((name.to_string(), value.clone())),
        }
    }

    fn table(&mut self, name: &str, rows: &[Value]) {
        let heading = format!("{name}: {}", rows.len());
        let heading = heading.trim_start_matches(": ");
        self.text.push_str(&self.screen.paint(Ink::Bold, heading));
        self.text.push('\n');
        let names = keys(rows.iter().filter_map(Value::as_object));
        let head = names.iter().map(|name| plain(name)).collect();
        let cells = rows
            .iter()
            .map(|row| names.iter().map(|name| cell(row, name)).collect());
        let lines: Vec<Vec<String>> = iter::once(head).chain(cells).collect();
        let widths = self.widths(&lines);
        let right = names
            .iter()
            .map(|name| rows.iter().all(|row| row[*name].is_number()));
        let columns: Vec<(usize, bool)> = widths.into_iter().zip(right).collect();
        let dim = vec![Some(Ink::Dim); names.len()];
        let inks = rows
            .iter()
            .map(|row| names.iter().map(|name| ink(name, &row[*name])).collect());
        for (line, inks) in lines.iter().zip(iter::once(dim).chain(inks)) {
            self.row(line, &columns, &inks);
        }
    }

    /// Returns the widths of the columns, of which the widest are made narrower until all fit.
    fn widths(&self, rows: &[Vec<String>]) -> Vec<usize> {
        let width = |cell: &String| cell.lines().map(columns).max().unwrap_or_default();
        let mut widths = vec![0; rows[0].len()];
        for row in rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(cell).max(*widest);
            }
        }
        let room = self.screen.width.saturating_sub(GAP.len() * widths.len());
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }

    /// Adds a row: its cells, the width of each column and whether it is set to the right, the colours.
    fn row(&mut self, cells: &[String], widths: &[(usize, bool)], inks: &[Option<Ink>]) {
        let cells: Vec<Vec<String>> = (cells.iter().zip(widths))
            .map(|(cell, (width, _))| wrap(cell, *width, true))
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or_default();
        for at in 0..height {
            let mut line = String::new();
            for ((cell, (width, right)), ink) in cells.iter().zip(widths).zip(inks) {
                let part = cell.get(at).map_or("", String::as_str);
                let pad = " ".repeat(width.saturating_sub(columns(part)));
                let part = match ink {
                    Some(ink) if !part.is_empty() => self.screen.paint(*ink, part),
                    _ => part.to_string(),
                };
                line.push_str(GAP);
                line.extend(match right {
                    true => [pad, part],
                    false => [part, pad],
                });
            }
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }

    fn end(mut self) -> String {
        let width = self.lines.iter().map(|(name, _)| columns(name)).max();
        let width = width.unwrap_or_default();
        for (name, value) in mem::take(&mut self.lines) {
            let mut before = match name.is_empty() {
                true => String::new(),
                false => format!("{name}: {}", " ".repeat(width - columns(&name))),
            };
            let indent = columns(&before);
            let room = self.screen.width.saturating_sub(indent).max(NARROWEST);
            for line in wrap(&inline(&value), room, false) {
                let ink = ink(&name, &value);
                let line = ink.map_or(line.clone(), |ink| self.screen.paint(ink, &line));
                self.text.push_str(format!("{before}{line}").trim_end());
                self.text.push('\n');
                before = " ".repeat(indent);
            }
        }
        self.text
    }
}

/// Returns the keys of objects, each once, in the order in which they are read.
fn keys<'a>(objects: impl Iterator<Item = &'a Map<String, Value>>) -> Vec<&'a str> {
    let mut keys: Vec<&str> = objects
        .flat_map(|fields| fields.keys())
        .map(String::as_str)
        .collect();
    keys.sort_by_key(|key| {
        (
            FIRST
                .iter()
                .position(|first| first == key)
                .unwrap_or(FIRST.len()),
            *key,
        )
    });
    keys.dedup();
    keys
}

/// Returns the text of a row's cell; the row itself where it is no object.
fn cell(row: &Value, name: &str) -> String {
    match row.as_object() {
        Some(fields) => fields.get(name).map_or(String::new(), inline),
        None => inline(row),
    }
}

/// Returns a value on one line, unless it is a text of several.
fn inline(value: &Value) -> String {
    match value {
        Value::Null => "none".to_string(),
        Value::String(text) => plain(text),
        Value::Array(values) if values.is_empty() => "none".to_string(),
        Value::Array(values) => values.iter().map(inline).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let values = keys([fields].into_iter())
                .into_iter()
                .map(|key| inline(&fields[key]));
            values.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// Returns the colour of a field, if it is good or bad news.
fn ink(name: &str, value: &Value) -> Option<Ink> {
    match (name, value) {
        ("ok", Value::Bool(false)) => Some(Ink::Red),
        ("ok", Value::Bool(true)) => Some(Ink::Green),
        ("status", Value::String(text)) if text == "done" => Some(Ink::Green),
        ("status", Value::String(_)) => Some(Ink::Yellow),
        _ => None,
    }
}

/// Breaks a text at spaces into lines of this width; keeps its own line breaks. Cuts a word that is
/// wider, if it may.
fn wrap(text: &str, width: usize, cuts: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let word = match cuts {
                true => cut(word, width),
                false => word.to_string(),
            };
            if !line.is_empty() && columns(&line) + 1 + columns(&word) > width {
                lines.push(mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        lines.push(line);
    }
    lines
}

/// Cuts a word that is wider than this, with an ellipsis for what is missing.
fn cut(word: &str, width: usize) -> String {
    if columns(word) <= width {
        return word.to_string();
    }
    let mut left = width.saturating_sub(1);
    let mut kept: String = word
        .chars()
        .take_while(|letter| {
            let fits = columns_of(*letter) <= left;
            left = left.saturating_sub(columns_of(*letter));
            fits
        })
        .collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(reply: &Value, width: usize, expected: &[&str]) {
        let colour = false;
        let shown = show(reply, Screen { width, colour });
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_list_of_objects_is_a_table_and_every_other_field_a_line() {
        let reply = json!({
            "status": "done",
            "applied": [{"version": "1", "name": "a", "ms": 5}, {"version": "20", "name": "bb", "ms": 120}],
            "pending": [],
            "edited": ["1", "20"],
            "built_in": {"applied": [{"version": "x", "name": "y"}], "pending": []},
            "seeded": null,
        });
        check(
            &reply,
            80,
            &[
                "applied: 2",
                "  version  name   ms",
                "  1        a       5",
                "  20       bb    120",
                "built_in applied: 1",
                "  version  name",
                "  x        y",
                "status:           done",
                "built_in pending: none",
                "edited:           1, 20",
                "pending:          none",
                "seeded:           none",
            ],
        );
    }

    #[test]
    fn a_table_fits_the_screen_by_lines_in_a_cell_and_only_a_long_word_is_cut() {
        let rows = json!([
            {"check": "hosts", "ok": false, "found": "any host is served", "fix": "set ALLOWED_HOSTS or LAMBDA_FUNCTION_URL"},
            {"check": "a_name_without_a_space", "ok": true},
        ]);
        check(
            &rows,
            40,
            &[
                "2",
                "  check      ok     found      fix",
                "  hosts      false  any host   set",
                "                    is served  ALLOWED_…",
                "                               or",
                "                               LAMBDA_F…",
                "  a_name_w…  true",
            ],
        );
    }

    #[test]
    fn a_link_is_whole_however_narrow_the_screen() {
        let link = "https://example.com/links/0123456789012345678901234567890123456789";
        check(&json!({"link": link}), 20, &[&format!("link: {link}")]);
    }

    #[test]
    fn any_json_can_be_shown_and_none_drives_the_terminal() {
        check(&json!("a\x1b[2J"), 80, &["a\\u{1b}[2J"]);
        check(&json!([]), 80, &["none"]);
        check(&json!({}), 80, &[""]);
        check(
            &json!([1, {"a\x07": [{"table": "t", "mode": "X"}]}]),
            80,
            &["2", "  a\\u{7}", "  1", "  t X"],
        );
        check(
            &json!({"body": "one\ntwo"}),
            80,
            &["body: one", "      two"],
        );
        check(
            &json!([{"名": "日本", "b": 1}, {"名": "x", "b": 22}]),
            80,
            &["2", "   b  名", "   1  日本", "  22  x"],
        );
    }

    #[test]
    fn good_and_bad_news_have_a_colour() {
        let screen = Screen {
            width: 80,
            colour: true,
        };
        let shown = show(&json!({"ok": false, "status": "partial"}), screen);
        assert_eq!(
            shown,
            "status: \x1b[33mpartial\x1b[0m\nok:     \x1b[31mfalse\x1b[0m\n"
        );
    }
}
