//! The argument of a page: the request of anybody, or of a signed-in user, with functions to answer
//! it. Knows no page and no route.

use crate::audit::{By, Deed};
use crate::layout::{Entry, Layout};
use crate::session::Session;
use crate::shared::Shared;
use crate::users::{Role, User};
use crate::{Action, PageError, audit};
use askama::Template;
use database::{Access, Connection, Purpose, Transaction};
use handler::{Failure, Invocation};
use records::catalog::{Catalog, Table};
use records::write::Change;
use std::sync::Arc;
use std::time::Instant;
use web::{Captures, FromCapture, Request, Response};

/// A request for a page that needs no session.
pub struct PublicRequest<'a, 'event> {
    /// The invocation, with its id and its deadline.
    pub invocation: &'a Invocation,
    /// The request as the client sent it.
    pub http: &'a Request<'event>,
    pub(crate) shared: &'a Shared,
    pub(crate) captures: Captures<'a>,
}

/// A request of a user who is signed in, and whose role is high enough for the page.
///
/// ```
/// use admin::{PageError, SignedInRequest};
/// use database::{Access, Connection};
/// use web::{Response, field};
///
/// fn add(request: &SignedInRequest, connection: &mut Connection) -> Result<Response, PageError> {
///     let fields = request.http.form()?;
///     let name = field(&fields, "name");
///     let mut transaction = connection.transaction(request.invocation, Access::ReadWrite)?;
///     transaction.rows("INSERT INTO parts (name) VALUES ($1)", &[Some(name)])?;
///     transaction.commit()?;
///     Ok(request.redirect("/parts".to_string(), &format!("{name} was added.")))
/// }
/// ```
pub struct SignedInRequest<'a, 'event> {
    /// The invocation, with its id and its deadline.
    pub invocation: &'a Invocation,
    /// The request as the client sent it.
    pub http: &'a Request<'event>,
    /// The user who is signed in.
    pub user: User,
    pub(crate) shared: &'a Shared,
    pub(crate) captures: Captures<'a>,
    pub(crate) session: Session,
    /// Whether the user has given the password in the last quarter of an hour.
    pub(crate) is_confirmed: bool,
    /// The time when `auth` received the request.
    pub(crate) started: Instant,
    /// Whether it is the process's first request of a signed-in user.
    pub(crate) is_first: bool,
    /// The entries of the navigation that the user may follow.
    pub(crate) navigation: Vec<Entry>,
    /// The path of the entry that is marked.
    pub(crate) section: &'static str,
}

impl PublicRequest<'_, '_> {
    /// Returns what the path has in the place of the capture `name` of the route's pattern.
    ///
    /// # Errors
    /// [`PageError::NotFound`] when it cannot be read as a `T`.
    pub fn capture<T: FromCapture>(&self, name: &str) -> Result<T, PageError> {
        self.captures.get(name).ok_or(PageError::NotFound)
    }

    /// Returns a connection to the database.
    ///
    /// # Errors
    /// `Function.InvalidSettings`, `Function.DatabaseUnavailable`.
    pub fn connection(&self) -> Result<Connection, Failure> {
        let database = &self.shared.database;
        database.connection(self.invocation, Purpose::Pages)
    }
}

impl SignedInRequest<'_, '_> {
    /// Returns what the path has in the place of the capture `name` of the route's pattern.
    ///
    /// # Errors
    /// [`PageError::NotFound`] when it cannot be read as a `T`.
    pub fn capture<T: FromCapture>(&self, name: &str) -> Result<T, PageError> {
        self.captures.get(name).ok_or(PageError::NotFound)
    }

    /// Returns a page in the tool's layout.
    pub fn page(&self, title: &str, main: &impl Template) -> Response {
        self.page_with(200, title, main)
    }

    /// Returns a page in the tool's layout with another status than 200, such as 422 for a form
    /// whose values are refused.
    pub fn page_with(&self, status: u16, title: &str, main: &impl Template) -> Response {
        let layout = Layout {
            navigation: &self.navigation,
            section: self.section,
            user: Some(&self.user),
            notice: self.session.notice.as_deref(),
        };
        layout.around(status, title, main)
    }

    /// Redirects the browser to another page, which shows `notice` once: its first 200 characters.
    pub fn redirect(&self, to: String, notice: &str) -> Response {
        let notice = notice.chars().take(200).collect();
        let session = self.session.with_notice(Some(notice));
        let mut response = Response::redirect(to);
        response.cookies.push(session.cookie(&self.shared.secrets));
        response
    }

    /// Begins the transaction of a page about tables; also returns the tables.
    ///
    /// # Errors
    /// Those of both.
    pub(crate) fn begin<'c>(
        &self,
        connection: &'c mut Connection,
        access: Access,
    ) -> Result<(Transaction<'c>, Arc<Catalog>), PageError> {
        let mut transaction = connection.transaction(self.invocation, access)?;
        let catalog = self.catalog(&mut transaction)?;
        Ok((transaction, catalog))
    }

    /// Returns the tables that the database role may read, as they were at most a minute ago.
    ///
    /// # Errors
    /// `Function.QueryFailed`, `Function.OutOfTime`.
    pub fn catalog(&self, transaction: &mut Transaction) -> Result<Arc<Catalog>, Failure> {
        self.shared.catalog.get(transaction)
    }

    /// Adds a change of a row to the audit, in the transaction that makes the change.
    ///
    /// # Errors
    /// `Function.QueryFailed`, `Function.OutOfTime`, `Function.MigrationsPending`; the change must
    /// not be committed then.
    pub fn audit(
        &self,
        transaction: &mut Transaction,
        action: Action,
        table: &Table,
        change: &Change,
    ) -> Result<(), Failure> {
        let request_id = &self.invocation.request_id;
        audit::write(transaction, &self.user, request_id, action, table, change)
    }

    /// Returns whether the user may change rows.
    pub fn may_edit(&self) -> bool {
        self.user.role >= Role::Editor
    }

    /// Renews the session's cookie when that is due, or when `response` shows the session's notice.
    pub(crate) fn keep_session(&self, mut response: Response) -> Response {
        let shown = self.session.notice.is_some() && response.status == 200;
        if response.cookies.is_empty() && (shown || self.session.is_renewal_due()) {
            let notice = self.session.notice.clone().filter(|_| !shown);
            let session = self.session.with_notice(notice);
            response.cookies.push(session.cookie(&self.shared.secrets));
        }
        response.with("vary", "cookie")
    }

    /// Adds to the audit what the user did, other than a change of a row, in the transaction that
    /// does it.
    ///
    /// # Errors
    /// As of [`audit`](SignedInRequest::audit).
    pub(crate) fn record(&self, transaction: &mut Transaction, deed: &Deed) -> Result<(), Failure> {
        let request_id = &self.invocation.request_id;
        audit::record(transaction, By::User(&self.user), request_id, deed)
    }
}
