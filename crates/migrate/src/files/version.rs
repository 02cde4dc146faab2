//! A migration's version: how it is written, and how the versions of a directory are ordered.
//!
//! Must not know the rest of a file's name, or which versions are applied.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A version as a file's name has it: `20260131`, `0001`, `1.2`, Flyway's `1_2` for the same, and
/// diesel's `2026-01-31-120000` and `2026-01-31-120000-0000`, a date and a count. Prisma's version is
/// the whole name of the directory, because its histories have directories of the same second. The
/// version of a repeatable migration of Flyway's is `R__` and its name.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    key: Key,
}

/// The values by which versions are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    /// The numbers, part by part.
    Numbers(Vec<u128>),
    /// A text of any kind.
    Text(String),
    /// The name of a repeatable migration; these come after all others.
    Repeatable(String),
}

/// The order of a directory's versions: that of the tool whose directory it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// By numbers: most tools.
    #[default]
    Numbers,
    /// By the names of the files, as texts: dbmate and atlas.
    FileNames,
    /// By the versions without their dashes, as texts: diesel.
    Diesel,
    /// By the whole names, which are the versions, as texts: Prisma, and drizzle's directories.
    Names,
    /// By this list of whole names, which are the versions: drizzle's journal.
    Journal(Vec<String>),
}

/// What the version of a repeatable migration begins with.
const REPEATABLE: &str = "R__";

impl Order {
    /// Reads a version of a directory with this order, or of its history.
    pub(crate) fn version(&self, text: &str) -> Version {
        let key = match self {
            _ if text.starts_with(REPEATABLE) => Key::Repeatable(text.to_string()),
            Order::Numbers => match numbers(text) {
                Some(numbers) => Key::Numbers(numbers),
                None => Key::Text(text.to_string()),
            },
            // A file's name goes on after the version.
            Order::FileNames => Key::Text(format!("{text}_")),
            Order::Diesel => Key::Text(text.replace('-', "")),
            Order::Names => Key::Text(text.to_string()),
            Order::Journal(names) => match names.iter().position(|name| name == text) {
                Some(place) => Key::Text(format!("{place:06}")),
                None => Key::Text(text.to_string()),
            },
        };
        let text = text.to_string();
        Version { text, key }
    }
}

impl Version {
    /// Reads a version that consists of numbers; `None` if a part of it is not 1 to 20 digits.
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let key = Key::Numbers(numbers(text)?);
        let text = text.to_string();
        Some(Version { text, key })
    }

    /// Reads a version that consists of numbers, or that has a name: Prisma's and `R__name`.
    pub(crate) fn read(text: &str) -> Option<Version> {
        let has_name = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        Version::parse(text).or_else(|| {
            let is_version = text.starts_with(REPEATABLE) || has_name(text) && text.contains('_');
            is_version.then(|| Order::Names.version(text))
        })
    }

    /// Returns whether a text from a history is this version.
    pub(crate) fn same(&self, other: &str) -> bool {
        // diesel's history has the versions without their dashes.
        let same_numbers = || match &self.key {
            Key::Numbers(own) => numbers(other).is_some_and(|other| other == *own),
            Key::Text(own) => *own == other.replace('-', ""),
            Key::Repeatable(_) => false,
        };
        other == self.text || same_numbers()
    }

    /// Returns the version as it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether this is the version of a repeatable migration.
    pub(crate) fn is_repeatable(&self) -> bool {
        matches!(self.key, Key::Repeatable(_))
    }
}

/// Reads the numbers of a version.
fn numbers(text: &str) -> Option<Vec<u128>> {
    let mut parts = Vec::new();
    for part in text.split(['.', '_']) {
        let (date, rest) = part.split_at(date_length(part));
        parts.push(number(&date.replace('-', ""))?);
        for count in rest.split('-').skip(1) {
            parts.push(number(count)?);
        }
    }
    // `1` and `1.0` are the same version; a date and diesel's count `-0000` after it are two.
    while parts.len() > 1 && parts.last() == Some(&0) && !text.contains('-') {
        parts.pop();
    }
    Some(parts)
}

/// Reads a number of 1 to 20 digits.
fn number(digits: &str) -> Option<u128> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.len() <= 20;
    digits.parse().ok().filter(|_| is_number)
}

/// Returns the length of `2026-01-31-120000` or `2026-01-31` at the beginning of a part; else the
/// length up to the first dash.
fn date_length(part: &str) -> usize {
    let lengths: Vec<usize> = part.split('-').take(4).map(str::len).collect();
    match lengths[..] {
        [4, 2, 2, 6] => 17,
        [4, 2, 2, ..] => 10,
        [first, ..] => first,
        [] => 0,
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.key == other.key
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).expect("it is a version")
    }

    #[test]
    fn versions_are_compared_as_numbers_part_by_part() {
        for (less, more) in [
            ("9", "10"),
            ("1.2", "1.10"),
            ("1", "1.0.1"),
            ("1_9", "1.10"),
            ("122", "0122.1"),
            ("2026-01-31-120000", "20260131120001"),
            ("20260131120000", "2026-01-31-120001-0000"),
            ("2026-01-31-120001", "2026-01-31-120001-0000"),
            ("2026-01-31-120001-0000", "2026-01-31-120001-0001"),
            ("2026-01-31-120001-0001", "20260131120002"),
            ("2026-01-31-10", "2026-02-01-1"),
            ("9999999999999999999", "99999999999999999999"),
        ] {
            assert!(version(less) < version(more), "{less} {more}");
        }
    }

    #[test]
    fn two_spellings_of_a_version_are_the_same_version() {
        assert!(version("0001").same("1"));
        assert!(version("1").same("1.0"));
        assert!(version("1_2").same("1.2"));
        assert!(version("2026-01-31-120000").same("20260131120000"));
        let diesel = Order::Diesel.version("2026-01-31-120000-0001");
        assert!(diesel.same("202601311200000001"));
        assert!(!version("1").same("10"));
        assert!(version("0").same("0"));
        assert!(!version("1").same("x"));
        assert_eq!(version("0001").to_string(), "0001");
    }

    #[test]
    fn versions_are_ordered_as_the_tool_orders_them() {
        let journal = Order::Journal(vec!["0001_b".into(), "0001_a".into(), "x".into()]);
        for (order, versions) in [
            (Order::Numbers, ["7", "202601311200", "20260101000000"]),
            // The name goes on with `_`, which comes after the digits.
            (Order::FileNames, ["20260131120000", "202601311200", "7"]),
            (
                Order::Diesel,
                ["2026-01-31-120000", "2026-01-31-120000-0000", "7"],
            ),
            (Order::Diesel, ["00000000000000", "000000000000000", "01"]),
            (
                Order::Diesel,
                ["202601311200", "20260131120001", "20260131120001123"],
            ),
            (Order::Names, ["0_init", "20260131000001_b", "20260131_a"]),
            (Order::Names, ["202601311200_a", "20260131_a", "2_b"]),
            (journal, ["0001_b", "0001_a", "x"]),
            (Order::Numbers, ["99999999999999999999", "R__a", "R__b"]),
        ] {
            let read = versions.map(|text| order.version(text));
            assert!(read.is_sorted(), "{order:?} {versions:?}");
            assert!(read[0] != read[1] && read[1] != read[2], "{versions:?}");
        }
    }

    #[test]
    fn versions_with_names_are_compared_by_their_names_too() {
        let named = |text| Version::read(text).expect("it is a name");
        let (a, b) = (named("7_a"), named("7_b"));
        assert!(a < b);
        assert!(a.same("7_a") && !a.same("7_b") && !a.same("7"));
        assert_eq!(a.to_string(), "7_a");
        assert!(named("R__a").is_repeatable() && !a.is_repeatable());
    }

    #[test]
    fn texts_that_are_not_numbers_are_no_versions() {
        for text in [
            "",
            "a",
            "1a",
            "1..2",
            ".1",
            "+1",
            "-",
            "100000000000000000000",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
