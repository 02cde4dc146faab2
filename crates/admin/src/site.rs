//! The site: reads the request from an event, finds the route, calls the route's page, and makes
//! the reply from the response. Also passes the events of the `migrate` handler to the engine.
//!
//! Knows the order of these steps, and nothing of what a page shows.

use crate::error_pages::{self, Rejection};
use crate::request::PublicRequest;
use crate::route::{self, Methods, Route};
use crate::shared::Shared;
use crate::{PageError, access_log, auth, doctor, pages, user_action};
use database::Database;
use handler::{Failure, Invocation, Kind, Reply, Variables};
use migrate::{Fields, FurtherAction};
use std::borrow::Cow;
use std::cell::Cell;
use web::{Request, Response, is_cross_site};

/// The admin tool, with a program's own pages.
///
/// ```
/// use admin::Site;
/// use handler::{Invocation, Variables};
///
/// let variables = Variables::from_iter([("APP_ENV", "development")]);
/// let site = Site::new(&variables, 1, &[])?;
/// let event = br#"{
///     "version": "2.0", "rawPath": "/sign-in", "headers": {"host": "localhost"},
///     "requestContext": {"http": {"method": "GET"}}
/// }"#;
/// let reply = site.http(&Invocation { event: event.to_vec(), ..Default::default() })?;
/// assert!(String::from_utf8_lossy(&reply.body).starts_with(r#"{"statusCode":200,"#));
/// # Ok::<(), handler::Failure>(())
/// ```
pub struct Site {
    shared: Shared,
    routes: &'static [Route],
}

impl Site {
    /// Reads the settings, and opens no connection. `concurrency` is the number of invocations that
    /// are handled at the same time; `routes` are the program's own pages. Where a route of the
    /// tool matches the same path, the tool's page answers.
    ///
    /// # Errors
    /// `Function.InvalidSettings`, with the name of the variable and the values that it may have.
    pub fn new(
        variables: &Variables,
        concurrency: usize,
        routes: &'static [Route],
    ) -> Result<Site, Failure> {
        let shared = Shared::new(variables, concurrency)?;
        Ok(Site { shared, routes })
    }

    /// Refuses a secret with which sessions would not be safe. A developer's machine needs none.
    /// Only a function that answers requests needs a secret.
    ///
    /// # Errors
    /// `Function.InvalidSettings`: SECRET_KEY_BASE is missing, short, or a placeholder.
    pub fn check_secret(&self) -> Result<(), Failure> {
        self.shared.secrets.check()
    }

    /// Returns the database that the settings name, for handlers of your own.
    pub fn database(&self) -> &Database {
        &self.shared.database
    }

    /// Closes the connections that no invocation is using. The next invocation opens new ones.
    pub fn disconnect(&self) {
        self.shared.database.disconnect();
    }

    /// Answers a request. An error of a page becomes an error page, because a browser shows a
    /// failed invocation as a bare "Internal Server Error".
    ///
    /// # Errors
    /// `Function.InvalidEvent` and `Function.UnknownEvent` when the event is no request.
    pub fn http(&self, invocation: &Invocation) -> Result<Reply, Failure> {
        let request = Request::from_event(invocation)?;
        // The health check needs no header.
        if request.path != access_log::UP {
            request.check_headers()?;
        }
        let user = Cell::new(None);
        let response = match self.rejection(&request) {
            None => self.answer(invocation, &request, &user),
            Some(rejection) => error_pages::rejected(&request, rejection),
        };
        let response = prepare(response, &request, invocation);
        let (mut status, limit) = (response.status, request.reply_limit());
        // The reply is larger than the body, and is not made where the body is too large.
        let reply = (response.body.len() <= limit).then(|| response.into_reply(request.shape));
        let reply = reply.filter(|reply| reply.body.len() <= limit);
        let reply = reply.unwrap_or_else(|| {
            let line = access_log::loggable(&request);
            log::error!("failed to answer {line}: the page is too large");
            let response = prepare(error_pages::too_large(&request), &request, invocation);
            status = response.status;
            response.into_reply(request.shape)
        });
        access_log::write(&request, status, user.get());
        Ok(reply)
    }

    /// Runs the action that an event names: an action of the migration engine, `user` or `doctor`.
    ///
    /// # Errors
    /// `Function.InvalidEvent`, `Function.UnknownAction`, and those of the action.
    pub fn migrate(&self, invocation: &Invocation) -> Result<Reply, Failure> {
        let user = |fields: &mut Fields| user_action::user(&self.shared, invocation, fields);
        let doctor = |fields: &mut Fields| {
            fields.end()?;
            doctor::doctor(&self.shared, invocation)
        };
        let further = [
            FurtherAction {
                name: "user",
                run: &user,
            },
            FurtherAction {
                name: "doctor",
                run: &doctor,
            },
        ];
        migrate::handle(&self.shared.migrator(), invocation, &further)
    }

    /// Returns the help for the events of [`Site::migrate`].
    pub fn migrate_help() -> String {
        migrate::help(&[
            (
                "user",
                "let \"email\":\"ADDRESS\" in by a one-time link; \"role\":\"viewer\", editor or admin",
            ),
            (
                "doctor",
                "check settings, database, TLS, clock, hosts and migrations",
            ),
        ])
    }

    /// Returns why a request must not be answered, if it must not.
    fn rejection(&self, request: &Request) -> Option<Rejection> {
        // A health check may name the process by its IP address, whatever the site's hosts are.
        if request.path != access_log::UP && !self.shared.hosts.allow(request) {
            return Some(Rejection::Host);
        }
        is_cross_site(request).then_some(Rejection::CrossSite)
    }

    /// Answers a request; one that changes nothing once more, if the connection to the database was
    /// lost meanwhile. Sets `user` to the id of the user who is signed in.
    fn answer(
        &self,
        invocation: &Invocation,
        http: &Request,
        user: &Cell<Option<i64>>,
    ) -> Response {
        let Some(path) = http.segments() else {
            return error_pages::malformed_path(http);
        };
        let mut response = self.try_answer(invocation, http, &path, user);
        if matches!(http.method.as_ref(), "GET" | "HEAD")
            && let Err(PageError::Failed(failure)) = &response
            && failure.kind() == Kind::ConnectionLost
        {
            log::warn!("answering once more: {failure}");
            response = self.try_answer(invocation, http, &path, user);
        }
        response
            .unwrap_or_else(|error| error_pages::for_error(&self.shared, invocation, http, error))
    }

    fn try_answer(
        &self,
        invocation: &Invocation,
        http: &Request,
        path: &[Cow<str>],
        user: &Cell<Option<i64>>,
    ) -> Result<Response, PageError> {
        let found = route::find([pages::BROWSING, pages::MANAGING, self.routes], path);
        let navigation = [pages::BROWSING, self.routes, pages::MANAGING];
        match found {
            Some((
                Route {
                    methods: methods @ Methods::Public { get, post },
                    ..
                },
                captures,
            )) => match route::for_method(&http.method, *get, *post) {
                Some(page) => page(&PublicRequest {
                    invocation,
                    http,
                    shared: &self.shared,
                    captures,
                }),
                None => Ok(error_pages::method_not_allowed(http, methods.allowed())),
            },
            // Also without a route: without a session, all paths that are not public are answered
            // alike, so that the answer does not tell which pages exist.
            found => auth::answer(&self.shared, navigation, invocation, http, found, user),
        }
    }
}

/// Prepares a response for the browser.
fn prepare(response: Response, request: &Request, invocation: &Invocation) -> Response {
    let response = response.with("x-request-id", invocation.request_id.clone());
    web::prepare(response, request)
}
