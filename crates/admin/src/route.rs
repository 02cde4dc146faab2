//! Routes: the path of a page, its function for each method, the role that may call it, and its
//! entry in the navigation.
//!
//! The tool's own pages and those of a program are slices of the same type. Knows no page.

use crate::layout::Entry;
use crate::request::{PublicRequest, SignedInRequest};
use crate::{PageError, Role};
use database::Connection;
use std::borrow::Cow;
use web::{Captures, Response, match_path};

/// Answers a request of a signed-in user.
pub type Page = fn(&SignedInRequest, &mut Connection) -> Result<Response, PageError>;

/// Answers a request of anybody, without a session.
pub type PublicPage = fn(&PublicRequest) -> Result<Response, PageError>;

/// The route to a page.
///
/// ```
/// use admin::{PageError, Role, Route, SignedInRequest};
/// use database::Connection;
/// use web::Response;
///
/// fn show(request: &SignedInRequest, _: &mut Connection) -> Result<Response, PageError> {
///     let id: i64 = request.capture("id")?;
///     Ok(Response::html(200, format!("part {id}")))
/// }
///
/// const ROUTES: &[Route] = &[Route::get("/parts/{id}", Role::Viewer, show)];
/// # assert_eq!(ROUTES.len(), 1);
/// ```
#[derive(Clone, Copy)]
pub struct Route {
    /// The path; `{name}` captures one segment, `{name...}` at the end one or more.
    pub(crate) pattern: &'static str,
    /// The function for each method, and the role that it needs.
    pub(crate) methods: Methods,
    /// The text of the entry in the navigation, if the page has one.
    navigation: Option<&'static str>,
    /// The pattern of the page whose entry in the navigation is marked while this page is shown.
    pub(crate) section: &'static str,
}

/// Slices of routes, which are searched one after the other.
pub(crate) type Routes = [&'static [Route]; 3];

/// The functions for the methods of a route, and the role that they need. HEAD is answered as GET.
#[derive(Clone, Copy)]
pub(crate) enum Methods {
    /// For anybody, without a session.
    Public {
        /// Answers GET.
        get: Option<PublicPage>,
        /// Answers POST.
        post: Option<PublicPage>,
    },
    /// For signed-in users who have this role or a higher one.
    SignedIn {
        /// The lowest role.
        role: Role,
        /// Answers GET.
        get: Option<Page>,
        /// Answers POST.
        post: Option<Page>,
    },
}

impl Route {
    /// A page that GET shows. `pattern` is the path, in which `{name}` captures one segment, and
    /// `{name...}` at the end one or more; `role` is the lowest that may see the page.
    pub const fn get(pattern: &'static str, role: Role, page: Page) -> Route {
        let (get, post) = (Some(page), None);
        Route::at(pattern, Methods::SignedIn { role, get, post })
    }

    /// A change that POST makes.
    pub const fn post(pattern: &'static str, role: Role, page: Page) -> Route {
        let (get, post) = (None, Some(page));
        Route::at(pattern, Methods::SignedIn { role, get, post })
    }

    /// A form: GET shows it, POST sends it.
    pub const fn form(pattern: &'static str, role: Role, show: Page, send: Page) -> Route {
        let (get, post) = (Some(show), Some(send));
        Route::at(pattern, Methods::SignedIn { role, get, post })
    }

    /// A page that GET shows to anybody, without a session.
    pub const fn public(pattern: &'static str, page: PublicPage) -> Route {
        let (get, post) = (Some(page), None);
        Route::at(pattern, Methods::Public { get, post })
    }

    /// What POST sends, from anybody, such as a webhook.
    pub const fn public_post(pattern: &'static str, page: PublicPage) -> Route {
        let (get, post) = (None, Some(page));
        Route::at(pattern, Methods::Public { get, post })
    }

    /// A form for anybody: GET shows it, POST sends it.
    pub const fn public_form(pattern: &'static str, show: PublicPage, send: PublicPage) -> Route {
        let (get, post) = (Some(show), Some(send));
        Route::at(pattern, Methods::Public { get, post })
    }

    /// Adds an entry to the navigation, for the users who may see the page.
    #[must_use]
    pub const fn in_navigation(self, name: &'static str) -> Route {
        Route {
            navigation: Some(name),
            ..self
        }
    }

    /// Marks the entry of another route in the navigation while this page is shown.
    #[must_use]
    pub const fn under(self, section: &'static str) -> Route {
        Route { section, ..self }
    }

    const fn at(pattern: &'static str, methods: Methods) -> Route {
        Route {
            pattern,
            methods,
            navigation: None,
            section: pattern,
        }
    }
}

impl Methods {
    /// Returns the value of the header `Allow`.
    pub(crate) fn allowed(&self) -> &'static str {
        let (get, post) = match self {
            Methods::Public { get, post } => (get.is_some(), post.is_some()),
            Methods::SignedIn { get, post, .. } => (get.is_some(), post.is_some()),
        };
        match (get, post) {
            (true, true) => "GET, HEAD, POST",
            (true, false) => "GET, HEAD",
            (false, _) => "POST",
        }
    }
}

/// Returns the entries of the navigation whose pages a user of this role may see.
pub(crate) fn navigation(routes: Routes, role: Role) -> Vec<Entry> {
    let routes = routes.into_iter().flatten();
    let entry = |route: &'static Route| {
        let may_see = match route.methods {
            Methods::Public { .. } => true,
            Methods::SignedIn { role: lowest, .. } => role >= lowest,
        };
        let name = route.navigation.filter(|_| may_see)?;
        Some(Entry {
            path: route.pattern,
            name,
        })
    };
    routes.filter_map(entry).collect()
}

/// Returns the function for a method; `None` when the route has none.
pub(crate) fn for_method<T>(method: &str, get: Option<T>, post: Option<T>) -> Option<T> {
    match method {
        "GET" | "HEAD" => get,
        "POST" => post,
        _ => None,
    }
}

/// Returns the first route whose pattern matches a path, and what the pattern captures.
pub(crate) fn find<'a>(
    routes: Routes,
    path: &'a [Cow<'a, str>],
) -> Option<(&'static Route, Captures<'a>)> {
    let mut routes = routes.into_iter().flatten();
    routes.find_map(|route| Some((route, match_path(route.pattern, path)?)))
}
