//! Authentication and authorisation: a page is shown only to a user with a session, and only when
//! the user's role suffices. Knows no particular page.

use crate::request::SignedInRequest;
use crate::route::{self, Methods, Route, Routes};
use crate::session::Session;
use crate::shared::Shared;
use crate::{PageError, error_pages, users};
use database::Purpose;
use handler::Invocation;
use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Instant;
use web::{Captures, Request, Response, escape};

/// Answers a request that needs a session: for a page of a signed-in user, or for no page at all.
/// `navigation` holds the routes in the order of their entries in the navigation; `signed_in` is
/// given the user's id, for the access log.
///
/// # Errors
/// Those of connecting to the database, and those of the page.
pub(crate) fn answer<'a>(
    shared: &'a Shared,
    navigation: Routes,
    invocation: &'a Invocation,
    http: &'a Request,
    found: Option<(&'static Route, Captures<'a>)>,
    signed_in: &Cell<Option<i64>>,
) -> Result<Response, PageError> {
    let started = Instant::now();
    let Some(session) = Session::read(&shared.secrets, http) else {
        return Ok(sign_in_first(http));
    };
    let mut connection = shared.database.connection(invocation, Purpose::Pages)?;
    let found_user = users::find_by_session(&mut connection, invocation, &session.token)?;
    let Some((user, is_confirmed)) = found_user else {
        return Ok(sign_in_first(http));
    };
    signed_in.set(Some(user.id));
    let (route, captures) = found.ok_or(PageError::NotFound)?;
    let Methods::SignedIn { role, get, post } = route.methods else {
        return Err(PageError::NotFound);
    };
    let Some(page) = route::for_method(&http.method, get, post) else {
        let allowed = route.methods.allowed();
        return Ok(error_pages::method_not_allowed(http, allowed));
    };
    if user.role < role {
        let name = role.name();
        let text = format!("This page is for {name}s. An admin can make you one.");
        return Ok(error_pages::notice(http, 403, "Not allowed", &text, ""));
    }
    let request = SignedInRequest {
        invocation,
        http,
        navigation: route::navigation(navigation, user.role),
        section: route.section,
        user,
        shared,
        captures,
        session,
        is_confirmed,
        started,
        is_first: !shared.has_served_a_user.swap(true, Ordering::Relaxed),
    };
    let response = page(&request, &mut connection)?;
    Ok(request.keep_session(response))
}

/// Redirects a browser to the sign-in page, which leads back to this request afterwards. Answers
/// 401 to a program, and to a form, which a redirect would lose.
fn sign_in_first(http: &Request) -> Response {
    if error_pages::wants_json(http) {
        let text = "Sign in at /sign-in first.";
        return error_pages::notice(http, 401, "Not signed in", text, "");
    }
    if !matches!(http.method.as_ref(), "GET" | "HEAD") {
        let text =
            "Your session is over. Nothing was saved: sign in in another tab, and send this again.";
        return error_pages::notice(http, 401, "Not signed in", text, "");
    }
    match (http.path.as_ref(), http.query.as_ref()) {
        ("/", "") => Response::redirect("/sign-in"),
        (path, "") => Response::redirect(format!("/sign-in?to={}", escape(path))),
        (path, query) => {
            let to = escape(&format!("{path}?{query}"));
            Response::redirect(format!("/sign-in?to={to}"))
        }
    }
}
