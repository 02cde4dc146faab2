//! A migration's version: how it is written, and how versions are ordered.
//!
//! Must not know the rest of a file's name, or which versions are applied.

use std::cmp::Ordering;
use std::fmt;

/// A version as a file's name has it: `20260131`, `0001`, `1.2`, Flyway's `1_2` for the same, and
/// diesel's `2026-01-31-120000` and `2026-01-31-120000-0000`, a date and a count. Prisma's version is
/// the whole name of the directory, because its histories have directories of the same second.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    parts: Vec<u128>,
    /// The length of the text if the version is 0, else 0: a history of diesel's can begin with
    /// several such versions, which differ only in their length.
    zeros: usize,
    /// Prisma's name after the numbers; else empty.
    name: String,
}

impl Version {
    /// Reads a version that consists of numbers; `None` if a part of it is not 1 to 20 digits.
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let mut parts = Vec::new();
        for part in text.split(['.', '_']) {
            let (date, rest) = part.split_at(date_length(part));
            parts.push(number(&date.replace('-', ""))?);
            for count in rest.split('-').skip(1) {
                parts.push(number(count)?);
            }
        }
        // `1` and `1.0` are the same version.
        while parts.len() > 1 && parts.last() == Some(&0) {
            parts.pop();
        }
        let zeros = match parts[..] {
            [0] => text.len(),
            _ => 0,
        };
        Some(Version {
            text: text.to_string(),
            parts,
            zeros,
            name: String::new(),
        })
    }

    /// Reads a version as a history has it: numbers, or the name of a directory of Prisma's.
    pub(crate) fn read(text: &str) -> Option<Version> {
        Version::parse(text).or_else(|| {
            let (numbers, name) = text.split_once('_')?;
            let mut version = Version::parse(numbers)?;
            // Prisma sorts names as text, where `20260131_` comes after `20260131235959_`.
            if numbers.len() == 8 && version.parts.len() == 1 {
                version.parts[0] = version.parts[0] * 1_000_000 + 999_999;
            }
            version.text = text.to_string();
            version.name = name.to_string();
            Some(version)
        })
    }

    /// Returns whether a text from a history is this version.
    pub(crate) fn same(&self, other: &str) -> bool {
        // diesel's history has the versions without their dashes.
        other == self.text.replace('-', "")
            || Version::parse(other).is_some_and(|other| other == *self)
    }

    /// Returns the values by which versions are compared.
    fn key(&self) -> (&[u128], usize, &str) {
        (&self.parts, self.zeros, &self.name)
    }
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
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Version {}

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
            ("2026-01-31-120000", "20260131120001"),
            ("20260131120000", "2026-01-31-120001-0000"),
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
        assert!(version("2026-01-31-120000-0001").same("202601311200000001"));
        assert!(!version("1").same("10"));
        assert!(version("0").same("0"));
        assert!(version("00") < version("000") && version("000") < version("1"));
        assert!(!version("1").same("x"));
        assert_eq!(version("0001").to_string(), "0001");
    }

    #[test]
    fn versions_with_names_are_compared_by_their_names_too() {
        let named = |text| Version::read(text).expect("it is a name");
        let (a, b) = (named("7_a"), named("7_b"));
        assert!(version("6") < a && a < b && b < version("8"));
        assert!(a.same("7_a") && !a.same("7_b") && !a.same("7"));
        assert_eq!(a.to_string(), "7_a");
        let names = [
            "0_init",
            "20251231235959_c",
            "20260131000001_b",
            "20260131_a",
            "20260201000000_a",
        ];
        assert!(names.map(named).is_sorted());
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
