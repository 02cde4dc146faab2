//! Sessions: an encrypted, authenticated cookie in the browser, which holds a random token.
//!
//! A cookie that was altered, has expired, or was made with another key is no session, and no
//! error. Independent of the database: `users/sessions` says whose session a token is, and whether
//! it has ended. AES-256-GCM (NIST SP 800-38D), with a key that HKDF (RFC 5869) derives
//! from SECRET_KEY_BASE; prefixes of cookie names: RFC 6265bis.

use crate::secrets::{Secrets, random_token};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use std::time::{SystemTime, UNIX_EPOCH};
use web::Request;

/// Seconds until a session ends, from the last time that its cookie was written.
const IDLE: i64 = 12 * 60 * 60;

/// Seconds until a session ends, from the sign-in.
pub(crate) const LONGEST: i64 = 14 * 24 * 60 * 60;

/// A session's cookie is written again when this many seconds of `IDLE` are over, not by every
/// page.
const RENEWED_AFTER: i64 = 60 * 60;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The random text that identifies the session. The database knows its SHA-256.
    pub token: String,
    /// The time of the sign-in, in seconds since 1970.
    signed_in_at: i64,
    /// The message that the next page shows once.
    pub notice: Option<String>,
    /// The time when the cookie expires, in seconds since 1970.
    expires_at: i64,
}

impl Session {
    /// Begins a session. It is one from when the database knows its token.
    pub(crate) fn begin() -> Session {
        Session {
            token: random_token(),
            signed_in_at: now(),
            notice: None,
            expires_at: now() + IDLE,
        }
    }

    /// Returns the same session with another notice, or none.
    #[must_use]
    pub(crate) fn with_notice(&self, notice: Option<String>) -> Session {
        Session {
            notice,
            ..self.clone()
        }
    }

    /// Returns the request's session, if it has a valid one.
    // Few starts run it: inlined, it would be paged in by all of them.
    #[inline(never)]
    pub(crate) fn read(secrets: &Secrets, request: &Request) -> Option<Session> {
        let name = cookie_name(secrets);
        parse_unexpired(&unsealed_cookie(secrets, request, name)?, now())
    }

    /// Returns whether the cookie should be written again.
    pub(crate) fn is_renewal_due(&self) -> bool {
        self.expires_at() - self.expires_at > RENEWED_AFTER
    }

    /// Returns the value of `Set-Cookie` that gives the browser this session.
    pub(crate) fn cookie(&self, secrets: &Secrets) -> String {
        let name = cookie_name(secrets);
        let expires_at = self.expires_at();
        let notice = self.notice.as_deref().unwrap_or_default();
        let text = format!("{} {} {expires_at} {notice}", self.token, self.signed_in_at);
        let sealed = seal(secrets.current(), name, text.into_bytes());
        format!("{name}={sealed}; {}", cookie_attributes(secrets))
    }

    /// Returns the time when the session ends if its cookie is written now.
    fn expires_at(&self) -> i64 {
        (now() + IDLE).min(self.signed_in_at + LONGEST)
    }

    /// Returns the value of `Set-Cookie` that removes any session from the browser.
    pub(crate) fn end(secrets: &Secrets) -> String {
        format!(
            "{}=; Max-Age=0; {}",
            cookie_name(secrets),
            cookie_attributes(secrets)
        )
    }
}

/// Returns the cookie's name. The prefix `__Host-` needs `Secure`, and Safari drops such a cookie
/// on plain HTTP, which a developer's machine uses.
fn cookie_name(secrets: &Secrets) -> &'static str {
    match secrets.is_local {
        true => "session",
        false => "__Host-session",
    }
}

/// Returns the attributes of a cookie, which ends with the browser unless `Max-Age` is added.
pub(crate) fn cookie_attributes(secrets: &Secrets) -> &'static str {
    match secrets.is_local {
        true => "Path=/; HttpOnly; SameSite=Lax",
        false => "Path=/; HttpOnly; SameSite=Lax; Secure",
    }
}

/// Reads the decrypted text of a cookie; `None` when the session has expired.
fn parse_unexpired(text: &str, now: i64) -> Option<Session> {
    parse(text).filter(|session| session.expires_at > now)
}

fn parse(text: &str) -> Option<Session> {
    let mut parts = text.splitn(4, ' ');
    let token = parts.next()?.to_string();
    let mut number = || parts.next()?.parse().ok();
    let (signed_in_at, expires_at) = (number()?, number()?);
    let notice = parts.next().filter(|notice| !notice.is_empty());
    Some(Session {
        token,
        signed_in_at,
        expires_at,
        notice: notice.map(str::to_string),
    })
}

/// Returns the decrypted text of a request's cookie; `None` without one that [`seal`] made with one
/// of the secrets.
pub(crate) fn unsealed_cookie(secrets: &Secrets, request: &Request, name: &str) -> Option<String> {
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(request.cookie(name)?).ok()?;
    let mut all = secrets.all();
    all.find_map(|secret| open(secret, name, sealed.clone()))
}

/// Encrypts the text of a cookie: a nonce, then the ciphertext, in base64. The cookie's name is
/// authenticated with it, so that the value of one cookie cannot be used in another.
pub(crate) fn seal(secret: &str, name: &str, mut text: Vec<u8>) -> String {
    let mut nonce = [0; NONCE_LEN];
    let filled = SystemRandom::new().fill(&mut nonce);
    filled.expect("the kernel gives random bytes");
    let aad = Aad::from(name.as_bytes());
    let sealed =
        key(secret).seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text);
    sealed.expect("a cookie is far below the limit of AES-GCM");
    BASE64_URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat())
}

/// Decrypts what [`seal`] made; `None` when it was altered, or the secret or the name is another.
fn open(secret: &str, name: &str, mut sealed: Vec<u8>) -> Option<String> {
    let nonce = Nonce::try_assume_unique_for_key(sealed.get(..NONCE_LEN)?).ok()?;
    let aad = Aad::from(name.as_bytes());
    let text = key(secret)
        .open_within(nonce, aad, &mut sealed, NONCE_LEN..)
        .ok()?;
    String::from_utf8(text.to_vec()).ok()
}

fn key(secret: &str) -> LessSafeKey {
    let material = Salt::new(HKDF_SHA256, b"plain-lambda").extract(secret.as_bytes());
    let okm = material.expand(&[b"session cookie"], &AES_256_GCM);
    LessSafeKey::new(UnboundKey::from(
        okm.expect("one key is within the limit of HKDF"),
    ))
}

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of thirty-two bytes and more";

    #[test]
    fn a_cookie_is_decrypted_with_its_own_key_and_name_only() {
        let sealed = seal(SECRET, "session", b"1 2 3 saved".to_vec());
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).expect("it is base64");
        let opened = |secret, name, sealed: &[u8]| open(secret, name, sealed.to_vec());
        assert_eq!(
            opened(SECRET, "session", &sealed).as_deref(),
            Some("1 2 3 saved")
        );
        assert_eq!(opened("another secret", "session", &sealed), None);
        assert_eq!(opened(SECRET, "other", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(opened(SECRET, "session", &changed), None, "byte {at}");
            assert_eq!(opened(SECRET, "session", &sealed[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn the_same_session_is_encrypted_differently_each_time() {
        let sealed = || seal(SECRET, "session", b"1 2 3 ".to_vec());
        assert_ne!(sealed(), sealed());
    }

    #[test]
    fn a_session_ends_when_its_cookie_expires_and_two_weeks_after_the_sign_in() {
        assert!(parse_unexpired("a 10 20 ", 19).is_some());
        assert!(parse_unexpired("a 10 20 ", 20).is_none());
        let since = now() - LONGEST + 60;
        let text = format!("a {since} {} ", now() + 30);
        let session = parse_unexpired(&text, now()).expect("it has not expired");
        assert!(session.expires_at() <= since + LONGEST);
        assert!(
            !session.is_renewal_due(),
            "a new cookie would not last longer"
        );
        assert!(
            parse_unexpired(&format!("a {since} {} ", now() + 60), now())
                .is_some_and(|session| !session.is_renewal_due())
        );
        let fresh = format!("a {} {} ", now() - 7200, now() + IDLE - 7200);
        assert!(parse_unexpired(&fresh, now()).is_some_and(|session| session.is_renewal_due()));
    }

    #[test]
    fn the_text_of_a_cookie_has_four_parts() {
        let session = Session {
            token: "a".to_string(),
            signed_in_at: 10,
            expires_at: 20,
            notice: Some("Saved: a b".to_string()),
        };
        assert_eq!(parse("a 10 20 Saved: a b"), Some(session.clone()));
        let notice = None;
        assert_eq!(parse("a 10 20 "), Some(Session { notice, ..session }));
        for text in ["", "a", "a 10", "a x 20 ", "a 10 x "] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
