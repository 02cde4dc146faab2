//! Shows a reply to a person: a list of objects as a table, all other fields as lines below.
//!
//! Takes any JSON, and knows of its fields only which come first and which are good or bad news.
//! Nothing of a reply is left out, but the end of a word that is longer than its column. Plain loops:
//! what is shown to people is in every function's executable, and has to be small.

use crate::terminal::{Ink, Screen, columns, columns_of, plain};
use serde_json::{Map, Value};

/// The fields that say what a thing is, in the order in which they are read; others follow by name.
const FIRST: [&str; 10] = [
    "status", "check", "ok", "version", "name", "file", "line", "found", "table", "mode",
];

/// The spaces before a table and between its columns.
const GAP: usize = 2;

/// The least width of a column that is made narrower.
const NARROWEST: usize = 8;

/// Returns the text of a reply, with a line break at its end.
pub(super) fn show(reply: &Value, screen: Screen) -> String {
    let mut shown = Shown {
        screen,
        text: String::new(),
        lines: Vec::new(),
    };
    shown.add(String::new(), reply);
    shown.end()
}

/// A reply that is being shown.
struct Shown<'a> {
    screen: Screen,
    text: String,
    /// The fields that are no tables, with their names.
    lines: Vec<(String, &'a Value)>,
}

impl<'a> Shown<'a> {
    /// Adds the value of this name. The name of a field in an object begins with the object's name.
    fn add(&mut self, name: String, value: &'a Value) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let mut keys = Vec::new();
                add_keys(&mut keys, fields);
                for key in keys {
                    let mut field = name.clone();
                    if !field.is_empty() {
                        field.push(' ');
                    }
                    plain(key, &mut field);
                    self.add(field, &fields[key]);
                }
            }
            Value::Array(rows) if rows.iter().any(Value::is_object) => self.table(name, rows),
            _ => self.lines.push((name, value)),
        }
    }

    fn table(&mut self, mut heading: String, rows: &[Value]) {
        if !heading.is_empty() {
            heading.push_str(": ");
        }
        heading.push_str(&rows.len().to_string());
        self.screen.paint(Some(Ink::Bold), &heading, &mut self.text);
        self.text.push('\n');
        let mut keys = Vec::new();
        for row in rows {
            if let Value::Object(fields) = row {
                add_keys(&mut keys, fields);
            }
        }
        // The cells, row by row, the names of the columns first.
        let mut cells = Vec::new();
        for key in &keys {
            cells.push(String::new());
            plain(key, cells.last_mut().expect("it was just added"));
        }
        for row in rows {
            for key in &keys {
                let mut cell = String::new();
                match row {
                    Value::Object(fields) => {
                        if let Some(value) = fields.get(*key) {
                            inline(value, &mut cell);
                        }
                    }
                    other => inline(other, &mut cell),
                }
                cells.push(cell);
            }
        }
        let widths = self.widths(&cells, keys.len());
        for (at, row) in cells.chunks(keys.len()).enumerate() {
            self.row(row, &widths, &keys, rows, at.checked_sub(1));
        }
    }

    /// Returns the widths of the columns, of which the widest are made narrower until all fit.
    fn widths(&self, cells: &[String], count: usize) -> Vec<usize> {
        let mut widths = vec![0; count];
        for (at, cell) in cells.iter().enumerate() {
            for line in cell.split('\n') {
                let width = &mut widths[at % count];
                *width = columns(line).max(*width);
            }
        }
        let room = self.screen.width.saturating_sub(GAP * count);
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }

    /// Adds a row of the table of `rows`: the one at `at`, or that of the columns' names.
    fn row(
        &mut self,
        cells: &[String],
        widths: &[usize],
        keys: &[&str],
        rows: &[Value],
        at: Option<usize>,
    ) {
        let mut wrapped = Vec::new();
        let mut height = 0;
        for (cell, width) in cells.iter().zip(widths) {
            let lines = wrap(cell, *width, true);
            height = height.max(lines.len());
            wrapped.push(lines);
        }
        for line in 0..height {
            let mut pad = 0;
            for (column, lines) in wrapped.iter().enumerate() {
                let Some(part) = lines.get(line).filter(|part| !part.is_empty()) else {
                    pad += GAP + widths[column];
                    continue;
                };
                let rest = widths[column].saturating_sub(columns(part));
                let key = keys[column];
                let is_right = rows.iter().all(|row| row[key].is_number());
                let ink = match at {
                    Some(at) => ink(key, &rows[at][key]),
                    None => Some(Ink::Dim),
                };
                self.pad(pad + GAP + if is_right { rest } else { 0 });
                self.screen.paint(ink, part, &mut self.text);
                pad = if is_right { 0 } else { rest };
            }
            self.text.push('\n');
        }
    }

    fn end(mut self) -> String {
        let lines = std::mem::take(&mut self.lines);
        let mut width = 0;
        for (name, _) in &lines {
            width = width.max(columns(name));
        }
        for (name, value) in lines {
            // A reply that is no object has no name.
            let indent = if name.is_empty() { 0 } else { width + GAP };
            let mut value_text = String::new();
            inline(value, &mut value_text);
            let room = self.screen.width.saturating_sub(indent).max(NARROWEST);
            for (at, line) in wrap(&value_text, room, false).iter().enumerate() {
                let named = at == 0 && indent > 0;
                if named {
                    self.text.push_str(&name);
                    self.text.push(':');
                }
                if !line.is_empty() {
                    self.pad(indent - if named { columns(&name) + 1 } else { 0 });
                    self.screen.paint(ink(&name, value), line, &mut self.text);
                }
                self.text.push('\n');
            }
        }
        self.text
    }

    fn pad(&mut self, spaces: usize) {
        for _ in 0..spaces {
            self.text.push(' ');
        }
    }
}

/// Adds the keys of an object that are not there yet, in the order in which they are read.
fn add_keys<'a>(keys: &mut Vec<&'a str>, fields: &'a Map<String, Value>) {
    let rank = |key: &str| {
        FIRST
            .iter()
            .position(|first| *first == key)
            .unwrap_or(FIRST.len())
    };
    for key in fields.keys() {
        let mut at = 0;
        while at < keys.len() && (rank(keys[at]), keys[at]) < (rank(key), key.as_str()) {
            at += 1;
        }
        if keys.get(at) != Some(&key.as_str()) {
            keys.insert(at, key);
        }
    }
}

/// Adds a value to a text, on one line unless it is a text of several.
fn inline(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("none"),
        Value::String(text) => plain(text, out),
        Value::Array(values) if values.is_empty() => out.push_str("none"),
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                inline(value, out);
            }
        }
        Value::Object(fields) => {
            let mut keys = Vec::new();
            add_keys(&mut keys, fields);
            for (at, key) in keys.into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { " " });
                inline(&fields[key], out);
            }
        }
        other => out.push_str(&other.to_string()),
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
            let fits =
                columns(&line) + 1 + columns(word).min(if cuts { width } else { usize::MAX - 1 })
                    <= width;
            match (line.is_empty(), fits) {
                (true, _) => {}
                (false, true) => line.push(' '),
                (false, false) => lines.push(std::mem::take(&mut line)),
            }
            add_word(word, if cuts { width } else { usize::MAX }, &mut line);
        }
        lines.push(line);
    }
    lines
}

/// Adds a word to a line; of a word that is wider than this, the beginning with an ellipsis.
fn add_word(word: &str, width: usize, line: &mut String) {
    if columns(word) <= width {
        line.push_str(word);
        return;
    }
    let mut left = width - 1;
    for letter in word.chars() {
        let needed = columns_of(letter);
        if needed > left {
            break;
        }
        left -= needed;
        line.push(letter);
    }
    line.push('…');
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
