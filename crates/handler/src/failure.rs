//! Why an invocation failed: a kind for the platform, a text for a person.
//!
//! Knows nothing of how a failure is reported.

use crate::Kind;
use std::error::Error;
use std::fmt;

/// A failed invocation, or a failed initialisation.
///
/// Displays as `<message>: <cause>: <its cause>`.
///
/// ```
/// use handler::{Failure, Kind};
///
/// let full = std::io::Error::other("the disk is full");
/// let failure = Failure::new(Kind::QueryFailed, "failed to write `x`").with_source(full);
/// assert_eq!(failure.to_string(), "failed to write `x`: the disk is full");
/// ```
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// Creates a failure. The message says what failed and what to do about it, in the form
    /// ``failed to <verb> <noun> `<value>`: <cause>``.
    pub fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
            cause: None,
        }
    }

    /// Sets the cause, whose text follows the message.
    #[must_use]
    pub fn with_source(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        self.cause = Some(cause.into());
        self
    }

    /// Adds `more` to the end of the cause, or of the message if there is no cause. The cause then
    /// has no cause of its own.
    #[must_use]
    pub fn append(self, more: &str) -> Failure {
        match self.cause {
            Some(cause) => Failure {
                cause: Some(format!("{cause}{more}").into()),
                ..self
            },
            None => Failure {
                message: self.message + more,
                ..self
            },
        }
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the texts of the causes, the nearest cause first.
    pub fn causes(&self) -> Vec<String> {
        std::iter::successors(self.source(), |&cause| cause.source())
            .map(ToString::to_string)
            .collect()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.message)?;
        self.causes()
            .iter()
            .try_for_each(|cause| write!(out, ": {cause}"))
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause
            .as_deref()
            .map(|cause| cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_failed_and_then_why() {
        let failure = Failure::new(Kind::Own("Function.Example"), "failed to read `x`")
            .with_source(std::io::Error::other("the disk is full"));
        assert_eq!(failure.to_string(), "failed to read `x`: the disk is full");
        assert_eq!(failure.causes(), ["the disk is full"]);
    }
}
