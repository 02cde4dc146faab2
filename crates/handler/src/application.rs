//! What the runtime calls in the program that it runs: a trait and a type of function.
//!
//! Knows neither the runtime nor any application.

use crate::{Failure, Invocation, Reply, Variables};

/// A function that answers one invocation.
///
/// # Errors
/// The invocation fails with the [`Failure`]; the process goes on with the next invocation.
pub type Handler<A> = fn(&A, &Invocation) -> Result<Reply, Failure>;

/// The state that the handlers of one process share: settings, connections, caches.
///
/// ```
/// use handler::{Application, Failure, Handler, Invocation, Reply, Variables};
///
/// struct Greeter {
///     greeting: String,
/// }
///
/// impl Application for Greeter {
///     fn new(variables: &Variables, _: &str, _: usize) -> Result<Greeter, Failure> {
///         let greeting = variables.get("GREETING")?.unwrap_or("Hello");
///         Ok(Greeter { greeting: greeting.to_string() })
///     }
///
///     fn disconnect(&self) {}
/// }
///
/// fn greet(app: &Greeter, _: &Invocation) -> Result<Reply, Failure> {
///     Ok(serde_json::json!({ "says": app.greeting }).into())
/// }
///
/// const HANDLERS: &[(&str, Handler<Greeter>)] = &[("greet", greet)];
/// # assert_eq!(HANDLERS.len(), 1);
/// ```
pub trait Application: Sized + Send + Sync + 'static {
    /// Creates the application, once in a process. Opens no file and no connection: the first event
    /// may not need it, and would wait for it. `handler` is the name of the handler that will be
    /// called; `concurrency` is the number of invocations that run at the same time, 1 or more.
    ///
    /// # Errors
    /// A [`Failure`] when a setting cannot be used: the initialisation fails, and the process ends.
    fn new(variables: &Variables, handler: &str, concurrency: usize) -> Result<Self, Failure>;

    /// Closes the connections that no invocation uses. The next invocation opens new ones.
    fn disconnect(&self);

    /// Returns the help for a person who runs a handler from the command line: which events it takes,
    /// with examples, and no line break at the end. `None`, the default, if there is nothing to say.
    fn help(_handler: &str) -> Option<String> {
        None
    }
}
