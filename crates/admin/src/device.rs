//! The cookie of a browser that has signed in to an account: the attempts of such a browser are
//! counted for themselves, so that nobody else can make it wait ("Device cookies", OWASP).
//!
//! It opens nothing: the password is asked for all the same. Knows no page and no database. A load
//! balancer that sends one value of each header never sends it.

use crate::secrets::{Secrets, random_token};
use crate::session::{cookie_attributes, seal, unsealed_cookie};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use web::Request;

/// Seconds that a browser keeps the cookie: 400 days, the longest that browsers accept.
const KEPT: u32 = 400 * 24 * 60 * 60;

/// Returns the random text that names the browser, if it has signed in to the account of an address.
pub(crate) fn read(secrets: &Secrets, request: &Request, email: &str) -> Option<String> {
    unsealed_cookie(secrets, request, &cookie_name(secrets, email))
}

/// Returns the value of `Set-Cookie` for a browser that signed in to the account of an address.
pub(crate) fn cookie(secrets: &Secrets, email: &str) -> String {
    let name = cookie_name(secrets, email);
    let sealed = seal(secrets.current(), &name, random_token().into_bytes());
    let attributes = cookie_attributes(secrets);
    format!("{name}={sealed}; Max-Age={KEPT}; {attributes}")
}

/// Returns the cookie's name. It has a part for the account, so that a browser keeps the cookies of
/// several; the name is authenticated, so that the cookie of one account is none of another.
fn cookie_name(secrets: &Secrets, email: &str) -> String {
    let digest = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(email.to_lowercase()));
    let prefix = match secrets.is_local {
        true => "device-",
        false => "__Host-device-",
    };
    format!("{prefix}{}", &digest[..12])
}
