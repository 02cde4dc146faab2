//! Collects what is wrong with a directory, and says it in few words: files with the same problem are
//! named together, and the names of many are cut.
//!
//! Must not know what a problem is.

use crate::listing::list;
use std::fmt;
use std::path::Path;

/// What is wrong with one file.
#[derive(Debug)]
pub(super) struct Problem {
    /// The file, with the place in it.
    pub place: String,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// What is wrong with a directory.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<(String, Vec<String>)>);

/// The number of reasons that are given.
const REASONS: usize = 12;

impl Problem {
    /// Makes a problem of a file.
    pub(super) fn of(path: &Path, reason: impl Into<String>) -> Problem {
        Problem {
            place: path.display().to_string(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "`{}`: {}", self.place, self.reason)
    }
}

impl Problems {
    /// Adds a problem.
    pub(super) fn add(&mut self, problem: Problem) {
        let reasons = &mut self.0;
        match reasons
            .iter_mut()
            .find(|(known, _)| *known == problem.reason)
        {
            Some((_, places)) => places.push(problem.place),
            None => reasons.push((problem.reason, vec![problem.place])),
        }
    }

    /// Returns whether there is no problem.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        for (at, (reason, places)) in self.0.iter().take(REASONS).enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            let named: Vec<String> = places.iter().map(|one| format!("`{one}`")).collect();
            write!(out, "{separator}{}: {reason}", list(&named))?;
        }
        match self.0.len().saturating_sub(REASONS) {
            0 => Ok(()),
            more => write!(out, "; and {more} more reasons"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_the_same_problem_are_named_together_and_cut() {
        let mut problems = Problems::default();
        for number in 1..=25 {
            problems.add(Problem::of(Path::new(&format!("{number}.sql")), "wrong"));
        }
        problems.add(Problem::of(Path::new("x.sql"), "odd"));
        let expected = "`1.sql`, `2.sql`, `3.sql`, `4.sql`, `5.sql`, `6.sql`, `7.sql`, `8.sql` \
                        and 17 more: wrong; `x.sql`: odd";
        assert_eq!(problems.to_string(), expected);
    }

    #[test]
    fn many_reasons_are_cut() {
        let mut problems = Problems::default();
        for number in 1..=14 {
            problems.add(Problem::of(Path::new("x"), format!("reason {number}")));
        }
        assert!(
            problems
                .to_string()
                .ends_with("reason 12; and 2 more reasons")
        );
    }
}
