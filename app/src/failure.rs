//! Why an invocation failed, in a form that both the platform and a person can act on.

use std::error::Error;
use std::fmt;

/// A failed invocation, or a failed initialisation.
///
/// Displays as `<message>: <cause>: <its cause>`.
#[derive(Debug)]
pub struct Failure {
    kind: &'static str,
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure of a stable `kind` that matches `(Function|Runtime)\.[A-Z][a-zA-Z]+`: the platform
    /// replaces others by `Unknown`. The message says what failed and what to do.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            kind,
            message: message.into(),
            cause: None,
        }
    }

    /// Adds the cause, whose text follows the message.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        self.cause = Some(cause.into());
        self
    }

    /// Adds to the end of what it says.
    #[must_use]
    pub fn and(self, more: &str) -> Failure {
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

    /// The stable kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The causes' texts, nearest first.
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
        let failure = Failure::new("Function.Example", "failed to read `x`")
            .because(std::io::Error::other("the disk is full"));
        assert_eq!(failure.to_string(), "failed to read `x`: the disk is full");
        assert_eq!(failure.causes(), ["the disk is full"]);
    }
}
