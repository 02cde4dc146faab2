//! The terminal that a person reads: its width, its colours, and text that is safe to show on it.
//!
//! Asks nothing before a command has an outcome to print, and nothing at all on Lambda. Knows no
//! reply and no failure.

use handler::Variables;
use std::sync::atomic::{AtomicBool, Ordering};

/// The width where `COLUMNS` is not set: few terminals are narrower. The terminal's own is known only to
/// an unsafe call, or to `stty`, whose start is 18 KB of code in every function.
const USUAL_WIDTH: usize = 80;

/// Whether a person reads the log on a terminal, where a line of progress may stand.
static SHOWS_LOG: AtomicBool = AtomicBool::new(false);

/// How to print for a person.
#[derive(Clone, Copy)]
pub(crate) struct Screen {
    /// The number of columns.
    pub width: usize,
    /// Whether text may have a colour.
    pub colour: bool,
}

/// A colour, or another way to make text stand out.
#[derive(Clone, Copy)]
pub(crate) enum Ink {
    /// For headings.
    Bold,
    /// For the names of columns.
    Dim,
    /// For what is wrong.
    Red,
    /// For what is well.
    Green,
    /// For what is not done yet.
    Yellow,
}

impl Screen {
    /// Returns the screen of this process's terminal. `NO_COLOR` and `TERM=dumb` take the colour away
    /// (<https://no-color.org>), `COLUMNS` sets the width.
    pub(crate) fn of_terminal(variables: &Variables) -> Screen {
        let is_dumb = matches!(variables.get("TERM"), Ok(Some("dumb")));
        let columns = variables.get("COLUMNS").ok().flatten();
        let columns = columns.and_then(|text| text.parse().ok());
        Screen {
            width: columns.filter(|width| *width > 0).unwrap_or(USUAL_WIDTH),
            colour: matches!(variables.get("NO_COLOR"), Ok(None)) && !is_dumb,
        }
    }

    /// Adds a text, in a colour if there is one and the screen has colours.
    pub(crate) fn paint(self, ink: Option<Ink>, text: &str, out: &mut String) {
        let code = match ink.filter(|_| self.colour) {
            None => return out.push_str(text),
            Some(Ink::Bold) => "\x1b[1m",
            Some(Ink::Dim) => "\x1b[2m",
            Some(Ink::Red) => "\x1b[31m",
            Some(Ink::Green) => "\x1b[32m",
            Some(Ink::Yellow) => "\x1b[33m",
        };
        for part in [code, text, "\x1b[0m"] {
            out.push_str(part);
        }
    }
}

/// Says that a person reads the log on a terminal.
pub(crate) fn show_log() {
    SHOWS_LOG.store(true, Ordering::Relaxed);
}

/// Returns whether a person reads the log on a terminal.
pub(crate) fn shows_log() -> bool {
    SHOWS_LOG.load(Ordering::Relaxed)
}

/// Adds a text with every character escaped that a terminal would obey: control characters, and those
/// that turn the direction of the text. Keeps line breaks.
pub(crate) fn plain(text: &str, out: &mut String) {
    for letter in text.chars() {
        let turns = matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match letter {
            '\n' => out.push('\n'),
            _ if turns || letter.is_control() => out.extend(letter.escape_default()),
            _ => out.push(letter),
        }
    }
}

/// Returns the number of columns that a text takes. Counts marks that combine as none, and the wide
/// scripts and pictures of East Asia as two; a rare letter may be counted wrongly.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// Returns the number of columns that a character takes.
pub(crate) fn columns_of(letter: char) -> usize {
    match u32::from(letter) {
        0x300..=0x36f | 0x200b..=0x200d | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 => 2,
        0x1f300..=0x1f64f | 0x1f680..=0x1f6ff | 0x1f900..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let check = |text, expected| {
            let mut shown = String::new();
            plain(text, &mut shown);
            assert_eq!(shown, expected);
        };
        check("a\x1b[2Jb\r\u{9b}31m", "a\\u{1b}[2Jb\\r\\u{9b}31m");
        check("\u{202e}evil", "\\u{202e}evil");
        check("täglich 日本\nzwei", "täglich 日本\nzwei");
    }

    #[test]
    fn columns_are_those_of_a_terminal() {
        assert_eq!(columns("täglich"), 7);
        assert_eq!(columns("ta\u{308}glich"), 7);
        assert_eq!(columns("日本"), 4);
    }

    #[test]
    fn no_color_and_a_dumb_terminal_have_no_colours() {
        let painted = |variables: &[(&str, &str)]| {
            let variables = variables.iter().copied().chain([("COLUMNS", "40")]);
            let screen = Screen::of_terminal(&Variables::from_iter(variables));
            assert_eq!(screen.width, 40);
            let mut text = String::new();
            screen.paint(Some(Ink::Red), "x", &mut text);
            text
        };
        assert_eq!(painted(&[]), "\x1b[31mx\x1b[0m");
        assert_eq!(painted(&[("NO_COLOR", "")]), "\x1b[31mx\x1b[0m");
        assert_eq!(painted(&[("NO_COLOR", "1")]), "x");
        assert_eq!(painted(&[("TERM", "dumb")]), "x");
    }
}
