//! Splits a file at the marks that other tools write into comments: the section that goes up, the
//! one that goes down, and whether each runs in a transaction.
//!
//! The tools look for marks line by line. Here a mark is a comment with a line of its own, as the lexer
//! sees comments: a line of a string, of a function's body or of COPY's data is none. A part that goes
//! down needs the same tool's mark of the part that goes up. Must not know what a statement does.

use crate::sql::comments;
use std::ops::Range;

/// The sections of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sections {
    /// The section that applies the migration; the whole file if it has no marks.
    pub up: Section,
    /// The section that rolls the migration back.
    pub down: Option<Section>,
    /// Whether the marks are dbmate's, which sorts files by their names.
    pub is_dbmate: bool,
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// The bytes of the section.
    pub span: Range<usize>,
    /// Whether the section may run in a transaction.
    pub transaction: bool,
}

/// A mark in a comment.
#[derive(Debug, PartialEq, Eq)]
enum Mark {
    /// The section that goes up begins. Holds the mark's own words.
    Up(&'static str, Transaction),
    /// The section that goes down begins. Holds the mark of the section that goes up, which must
    /// come first; none if the file's beginning is that section.
    Down(Option<&'static str>, Transaction),
    /// Words that no known tool reads, and that say that a section goes down.
    UnknownDown,
    /// The whole file runs without a transaction.
    NoTransaction,
    /// The section that holds the mark runs without a transaction.
    NoTransactionHere,
    /// The whole file runs without a transaction, if only comments are before the mark.
    NoTransactionAtTop,
    /// The mark changes how the file runs in a way that is not supported. Holds the reason.
    Refused(&'static str),
}

/// Whether a section may run in a transaction.
type Transaction = bool;

/// The byte at which a mark is refused, and the reason.
type Refusal = (usize, String);

/// The words of marks that can also be prose: they are marks only where both are there, and no other
/// tool's.
const PLAIN: [&str; 2] = ["Up", "!Ups"];

/// Splits a file into its sections. A down file's own marks of a section that goes down are prose.
///
/// # Errors
/// The byte at which a mark is refused, and the reason.
pub(super) fn read(text: &str, is_down_file: bool) -> Result<Sections, Refusal> {
    let is_play = |line: &&str| line.starts_with('#') && line.ends_with("!Ups");
    if let Some(line) = text.lines().map(str::trim).find(is_play) {
        let reason = format!("`{line}` is a mark of Play: write `-- !Ups` and `-- !Downs`");
        return Err((text.find(line).unwrap_or_default(), reason));
    }
    let mut parts = Parts {
        text,
        is_down_file,
        statements: text.len()..0,
        whole: Section {
            span: 0..text.len(),
            transaction: true,
        },
        up: None,
        down: None,
    };
    let has_mark = |line: &str| line.trim().strip_prefix("--").and_then(mark).is_some();
    if text.lines().any(has_mark) {
        let comments = comments(text);
        parts.statements = comments.statements.unwrap_or(parts.statements);
        for begin in comments.starts {
            let line = text[begin..].lines().next().unwrap_or_default();
            if let Some(mark) = mark(&line[2..]) {
                let after = text.len().min(begin + line.len() + 1);
                parts
                    .add(mark, begin..after)
                    .map_err(|reason| (begin, reason))?;
            }
        }
    }
    Ok(parts.into_sections())
}

/// The sections of a file, as far as its marks are read.
struct Parts<'a> {
    text: &'a str,
    is_down_file: bool,
    /// The bytes from the first statement to the last one.
    statements: Range<usize>,
    /// The whole file, with what its marks say of it.
    whole: Section,
    /// The section that goes up, and its mark's words.
    up: Option<(Section, &'static str)>,
    down: Option<Section>,
}

impl Parts<'_> {
    /// Adds a mark; `line` are the bytes of its line.
    fn add(&mut self, mark: Mark, line: Range<usize>) -> Result<(), String> {
        let is_top = line.start < self.statements.start;
        match mark {
            Mark::Refused(reason) => return Err(reason.to_string()),
            Mark::Up(words, transaction) => return self.begin_up(words, transaction, &line),
            Mark::Down(needed, transaction) => return self.begin_down(needed, transaction, &line),
            Mark::UnknownDown if self.down.is_none() && self.may_go_down(&line) => {
                let reason = "a part seems to go down, by the mark of an unknown tool: write \
                              `-- migrate:up` and `-- migrate:down`, or put that part into \
                              <version>_<name>.down.sql";
                return Err(reason.to_string());
            }
            Mark::UnknownDown => {}
            Mark::NoTransactionAtTop if !is_top => {}
            Mark::NoTransaction | Mark::NoTransactionAtTop => self.whole.transaction = false,
            Mark::NoTransactionHere => {
                let up = self.up.as_mut().map(|(section, _)| section);
                let section = self.down.as_mut().or(up).unwrap_or(&mut self.whole);
                section.transaction = false;
            }
        }
        Ok(())
    }

    fn begin_up(
        &mut self,
        words: &'static str,
        transaction: bool,
        line: &Range<usize>,
    ) -> Result<(), String> {
        let is_top = line.start < self.statements.start;
        let is_prose = PLAIN.contains(&words) && (!is_top || self.up.is_some());
        let refused = match (&self.up, &self.down) {
            _ if is_prose => return Ok(()),
            (_, Some(_)) => "the part that goes up must come first",
            (Some(_), _) => "a second part goes up",
            _ if !is_top => "statements before it belong to no part: move them after it",
            _ => {
                self.up = Some((self.section(line, transaction), words));
                return Ok(());
            }
        };
        Err(refused.to_string())
    }

    fn begin_down(
        &mut self,
        needed: Option<&'static str>,
        transaction: bool,
        line: &Range<usize>,
    ) -> Result<(), String> {
        let found = self.up.as_ref().map(|(_, words)| *words);
        let is_plain = needed.is_some_and(|needed| PLAIN.contains(&needed));
        let is_prose = is_plain && found.is_some() && found != needed;
        match needed {
            _ if is_prose => return Ok(()),
            _ if self.down.is_some() => return Err("a second part goes down".to_string()),
            _ if needed == found => {}
            _ if !self.may_go_down(line) => return Ok(()),
            None => return Err("a part goes down after a mark of another tool".to_string()),
            Some(needed) => {
                return Err(format!(
                    "a part goes down, and none goes up: write `-- {needed}` before the part that \
                     goes up"
                ));
            }
        }
        let down = self.section(line, transaction);
        let (up, _) = self.up.get_or_insert_with(|| (self.whole.clone(), ""));
        up.span.end = line.start;
        self.down = Some(down);
        Ok(())
    }

    /// Returns whether what follows a line may be a part that goes down: statements follow, and the
    /// file does not go down as a whole.
    fn may_go_down(&self, line: &Range<usize>) -> bool {
        !self.is_down_file && line.start < self.statements.end
    }

    /// Returns the section that begins after a line.
    fn section(&self, line: &Range<usize>, transaction: bool) -> Section {
        Section {
            span: line.end..self.text.len(),
            transaction,
        }
    }

    fn into_sections(self) -> Sections {
        let Parts { whole, down, .. } = self;
        // Without a part that goes down, plain words are prose.
        let up = self
            .up
            .filter(|(_, words)| down.is_some() || !PLAIN.contains(words));
        // A mark for the whole file may come after the sections' marks.
        let with_mark_of_file = |section: Section| Section {
            transaction: section.transaction && whole.transaction,
            ..section
        };
        Sections {
            is_dbmate: up.as_ref().is_some_and(|(_, words)| *words == DBMATE),
            up: match up {
                Some((section, _)) => with_mark_of_file(section),
                None => whole.clone(),
            },
            down: down.map(with_mark_of_file),
        }
    }
}

/// Reads the mark in a comment, if there is one; `comment` begins after the first two dashes.
fn mark(comment: &str) -> Option<Mark> {
    let comment = comment.trim_matches([' ', '\t', '\r', '-', '!']);
    // A longer comment is prose.
    if comment.len() > 100 {
        return None;
    }
    let comment = comment.to_ascii_lowercase();
    let mut words = comment.split_ascii_whitespace();
    let first = words.next()?;
    let second = words.next().unwrap_or("");
    let has = |option: &str| comment.split_ascii_whitespace().any(|word| word == option);
    let in_transaction = !has("notransaction") && !has("transaction:false");
    Some(match (first, second) {
        ("+goose", "up") => Mark::Up("+goose Up", in_transaction),
        ("+goose", "down") => Mark::Down(Some("+goose Up"), in_transaction),
        ("+migrate", "up") => Mark::Up("+migrate Up", in_transaction),
        ("+migrate", "down") => Mark::Down(Some("+migrate Up"), in_transaction),
        ("+micrate", "up") => Mark::Up("+micrate Up", in_transaction),
        ("+micrate", "down") => Mark::Down(Some("+micrate Up"), in_transaction),
        ("+goose", "no") => Mark::NoTransaction,
        ("+goose", "envsub") if has("on") => {
            Mark::Refused("variables of the environment are not put into SQL: write their values")
        }
        ("migrate:up", _) => Mark::Up(DBMATE, in_transaction),
        ("migrate:down", _) => Mark::Down(Some(DBMATE), in_transaction),
        ("up", "migration") if words.next().is_none() => Mark::Up("Up Migration", true),
        ("down", "migration") if words.next().is_none() => Mark::Down(Some("Up Migration"), true),
        ("rambler", "up") => Mark::Up("rambler up", true),
        ("rambler", "down") => Mark::Down(Some("rambler up"), true),
        ("+duckup", "") => Mark::Up("+duckUp", true),
        ("+duckdown", "") => Mark::Down(Some("+duckUp"), true),
        ("ups", "") => Mark::Up("!Ups", true),
        ("downs", "") => Mark::Down(Some("!Ups"), true),
        ("up", "") => Mark::Up("Up", true),
        ("down", "") => Mark::Down(Some("Up"), true),
        ("create", "above") if comment == "create above / drop below" => Mark::Down(None, true),
        ("//@undo" | "@undo", "") => Mark::Down(None, true),
        ("migrate" | "migration" | "@migrate" | "+migration", "down") if words.next().is_none() => {
            Mark::UnknownDown
        }
        (word, "") if word.starts_with(['+', '@', '#', ':']) && word.ends_with("down") => {
            Mark::UnknownDown
        }
        (word, "down") if word.starts_with(['+', '@', '#', ':']) => Mark::UnknownDown,
        ("tern:", "disable-tx") => Mark::NoTransactionHere,
        ("no-transaction", _) => Mark::NoTransactionAtTop,
        ("atlas:txmode", "none") => Mark::NoTransaction,
        // A delimiter that is a comment does not change how the statements are split.
        ("atlas:delimiter", delimiter) if !delimiter.is_empty() && !delimiter.starts_with("--") => {
            Mark::Refused("delimiters of atlas are not read: end each statement with a semicolon")
        }
        ("atlas:checkpoint", _) => Mark::Refused(
            "a checkpoint of atlas repeats the migrations before it: remove one or the other",
        ),
        ("changeset", author) if author.contains(':') => return liquibase(&comment),
        _ => return None,
    })
}

/// dbmate's mark of the section that goes up.
const DBMATE: &str = "migrate:up";

/// Reads the attributes of a changeset of Liquibase's.
fn liquibase(comment: &str) -> Option<Mark> {
    let mut attributes = comment.split_ascii_whitespace().skip(2);
    let is_refused = |attribute: &str| match attribute.split_once(':') {
        Some(("dbms", value)) => !value.contains("postgres"),
        Some(("runonchange" | "runalways", value)) => value == "true",
        Some(("enddelimiter" | "context" | "contextfilter" | "labels" | "ignore", _)) => true,
        _ => false,
    };
    match comment.contains("runintransaction:false") {
        _ if attributes.any(is_refused) => Some(Mark::Refused(
            "an attribute of this changeset of Liquibase decides whether or how it runs: write a \
             plain file",
        )),
        true => Some(Mark::NoTransaction),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the text of each section, with `!` before it if it has no transaction.
    #[track_caller]
    fn check(text: &str, up: &str, down: Option<&str>) {
        let show = |section: &Section| {
            let mark = if section.transaction { "" } else { "!" };
            format!("{mark}{}", text[section.span.clone()].trim())
        };
        let sections = read(text, false).expect("nothing is wrong");
        assert_eq!(show(&sections.up), up, "{text}");
        assert_eq!(sections.down.as_ref().map(show).as_deref(), down, "{text}");
    }

    #[test]
    fn a_file_without_marks_goes_up() {
        check(
            "select 1;\n-- +goosey up\n-- migrate\n",
            "select 1;\n-- +goosey up\n-- migrate",
            None,
        );
        check("", "", None);
    }

    #[test]
    fn marks_of_goose_and_sql_migrate_are_read() {
        check("-- +goose Up\na;\n-- +goose Down\nb;\n", "a;", Some("b;"));
        check(
            "\r\n-- so\r\n--+goose up\r\na;\r\n--  +goose DOWN\r\n",
            "a;",
            Some(""),
        );
        check(
            "-- +goose NO TRANSACTION\n-- +goose Up\na;\n-- +goose Down\nb;",
            "!a;",
            Some("!b;"),
        );
        check(
            "-- +goose Up\na;\n-- +goose NO TRANSACTION\nb;",
            "!a;\n-- +goose NO TRANSACTION\nb;",
            None,
        );
        check(
            "-- +goose Up\n-- +goose StatementBegin\na;\n-- +goose StatementEnd\n",
            "-- +goose StatementBegin\na;\n-- +goose StatementEnd",
            None,
        );
        check(
            "-- +migrate Up notransaction\na;\n-- +migrate Down\nb;",
            "!a;",
            Some("b;"),
        );
    }

    #[test]
    fn marks_of_dbmate_are_read() {
        check("-- migrate:up\na;\n-- migrate:down\nb;", "a;", Some("b;"));
        check(
            "-- migrate:up transaction:false\na;\n\n--migrate:down  transaction:false",
            "!a;",
            Some("!"),
        );
    }

    #[test]
    fn marks_of_tern_node_pg_migrate_and_mybatis_are_read() {
        check(
            "a;\n---- create above / drop below ----\nb;",
            "a;",
            Some("b;"),
        );
        check(
            "---- tern: disable-tx ----\na;\n---- create above / drop below ----\nb;",
            "!---- tern: disable-tx ----\na;",
            Some("!b;"),
        );
        check(
            "a;\n---- create above / drop below ----\n---- tern: disable-tx ----\nb;",
            "a;",
            Some("!---- tern: disable-tx ----\nb;"),
        );
        check(
            "-- Up Migration\na;\n-- Down Migration\nb;",
            "a;",
            Some("b;"),
        );
        check("-- // x\na;\n-- //@UNDO\nb;", "-- // x\na;", Some("b;"));
    }

    #[test]
    fn marks_for_the_whole_file_are_read() {
        for text in [
            "-- no-transaction\na;",
            "-- about\n\n--no-transaction so\na;",
            "--! no-transaction\na;",
            "-- atlas:txmode none\na;",
        ] {
            assert!(
                !read(text, false).expect("nothing is wrong").up.transaction,
                "{text}"
            );
        }
        for text in [
            "a;\n-- no-transaction\n",
            "-- atlas:txmode file\na;",
            "-- no transaction",
        ] {
            assert!(
                read(text, false).expect("nothing is wrong").up.transaction,
                "{text}"
            );
        }
        assert!(read("-- atlas:delimiter -- end\na;\n-- end", false).is_ok());
    }

    #[test]
    fn a_mark_in_the_wrong_place_or_without_support_is_refused() {
        for (text, at, says) in [
            ("a;\n-- +goose Up\nb;", 3, "before it"),
            ("-- +goose Up\n-- +goose Up\n", 13, "second"),
            (
                "-- +goose Up\n-- +goose Down\n-- +goose Down\n",
                28,
                "second",
            ),
            ("-- +goose Up\n-- +goose Down\n-- +goose Up\n", 28, "first"),
            ("-- +goose ENVSUB ON\n", 0, "environment"),
            ("-- atlas:delimiter \\n\\n\n", 0, "semicolon"),
            ("-- atlas:checkpoint\n", 0, "checkpoint"),
        ] {
            let (found, reason) = read(text, false).expect_err("it is refused");
            assert_eq!(found, at, "{text}");
            assert!(reason.contains(says), "{reason}");
        }
    }

    #[test]
    fn a_mark_in_a_string_a_body_a_comment_or_data_is_none() {
        for text in [
            "-- +goose Up\nselect '\n-- +goose Down\n';",
            "-- +goose Up\ndo $$\n-- +goose Down\n$$;",
            "-- +goose Up\n/*\n-- +goose Down\n*/ a;",
            "-- +goose Up\ncopy t from stdin;\n-- +goose Down\n\\.\na;",
        ] {
            check(text, &text[13..], None);
        }
    }

    #[test]
    fn a_part_that_goes_down_needs_the_mark_of_one_that_goes_up() {
        for (text, says) in [
            ("-- Down migration\ncreate table z();", "`-- Up Migration`"),
            ("-- migrate:down\na;", "`-- migrate:up`"),
            ("-- +goose Down\na;", "`-- +goose Up`"),
            ("a;\n-- Down\nb;", "`-- Up`"),
            ("a;\n-- !Downs\nb;", "`-- !Ups`"),
            ("a;\n-- rambler down\nb;", "`-- rambler up`"),
            ("a;\n-- +duckDown\nb;", "`-- +duckUp`"),
            ("-- +goose Up\na;\n-- migrate:down\nb;", "`-- migrate:up`"),
            ("a;\n-- @down\nb;", "unknown tool"),
            ("a;\n-- migration down\nb;", "unknown tool"),
            ("# --- !Ups\na;\n# --- !Downs\nb;", "Play"),
        ] {
            let (_, reason) = read(text, false).expect_err("it is refused");
            assert!(reason.contains(says), "{reason}");
        }
        // In a file that goes down as a whole, and where no statement follows, it is prose.
        for text in ["-- Down migration\na;", "-- @down\na;"] {
            assert_eq!(read(text, true).expect("it is read").down, None);
        }
        check("a;\n-- @down\n-- b;", "a;\n-- @down\n-- b;", None);
    }

    #[test]
    fn marks_of_rambler_duck_play_and_plain_ones_are_read_in_pairs() {
        check("-- rambler up\na;\n-- rambler down\nb;", "a;", Some("b;"));
        check("-- +duckUp\na;\n-- +duckDown\nb;", "a;", Some("b;"));
        check("-- !Ups\na;\n-- !Downs\nb;", "a;", Some("b;"));
        check("-- Up\na\n-- Down\nb", "a", Some("b"));
        check("a;\n-- up\nb;", "a;\n-- up\nb;", None);
        check("-- Up\na;", "-- Up\na;", None);
        // Beside another tool's marks, they are prose.
        check(
            "-- +goose Up\n-- Up\na;\n-- +goose Down\n-- Down\nb;",
            "-- Up\na;",
            Some("-- Down\nb;"),
        );
    }

    #[test]
    fn a_changeset_of_liquibase_is_read_unless_an_attribute_says_how_it_runs() {
        let text = "--liquibase formatted sql\n--changeset me:1 splitStatements:false\na;";
        assert!(read(text, false).expect("it is read").up.transaction);
        let read = |attribute| read(&format!("--changeset me:1 {attribute}\na;"), false);
        assert!(
            !read("runInTransaction:false")
                .expect("it is read")
                .up
                .transaction
        );
        assert!(read("dbms:postgresql").is_ok());
        assert!(read("dbms:mysql").is_err() && read("runOnChange:true").is_err());
    }
}
