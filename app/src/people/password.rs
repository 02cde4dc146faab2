//! What is kept of a password: argon2id with the parameters of the OWASP Password Storage Cheat
//! Sheet that a function of 128 MB bears, in the PHC string format.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

/// KiB of memory, passes over it, lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);

const SALT: usize = 16;
const OUTPUT: usize = 32;

/// Characters that a password has at least; NIST SP 800-63B wants length, not kinds of characters.
const SHORTEST: usize = 12;

/// Characters that a password has at most: longer ones only cost time.
const LONGEST: usize = 1000;

/// What is wrong with a new password, if anything is.
pub fn weakness(password: &str, email: &str) -> Option<&'static str> {
    if password.chars().count() < SHORTEST {
        return Some("Choose a password of at least 12 characters.");
    }
    if password.chars().count() > LONGEST {
        return Some("Choose a password of at most 1000 characters.");
    }
    let same = password.eq_ignore_ascii_case(email);
    same.then_some("Choose a password that is not your address.")
}

/// What is to be kept of a password.
pub fn hash(password: &str) -> String {
    let mut salt = [0; SALT];
    let filled = SystemRandom::new().fill(&mut salt);
    filled.expect("the kernel gives random bytes");
    let (memory, passes, lanes) = COST;
    let output = derive(password, &salt, COST).expect("the parameters are argon2's");
    format!(
        "$argon2id$v=19$m={memory},t={passes},p={lanes}${}${}",
        BASE64_STANDARD_NO_PAD.encode(salt),
        BASE64_STANDARD_NO_PAD.encode(output)
    )
}

/// Whether a password is the one that this was kept of. Takes as long when nothing was: nobody
/// learns by waiting who is known here.
pub fn verify(password: &str, kept: Option<&str>) -> bool {
    let known = kept.and_then(parse);
    let (cost, salt, output) = known
        .clone()
        .unwrap_or((COST, vec![0; SALT], vec![0; OUTPUT]));
    let password = if password.chars().count() > LONGEST {
        ""
    } else {
        password
    };
    let Some(derived) = derive(password, &salt, cost) else {
        return false;
    };
    // What `==` takes tells of the digests, which nobody chooses.
    let same = Sha256::digest(derived) == Sha256::digest(&output);
    same && known.is_some() && !password.is_empty()
}

type Kept = ((u32, u32, u32), Vec<u8>, Vec<u8>);

fn parse(kept: &str) -> Option<Kept> {
    let mut parts = kept.strip_prefix("$argon2id$v=19$")?.split('$');
    let mut costs = parts.next()?.split(',');
    let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse().ok();
    let cost = (cost("m=")?, cost("t=")?, cost("p=")?);
    let mut bytes = || BASE64_STANDARD_NO_PAD.decode(parts.next()?).ok();
    let (salt, output) = (bytes()?, bytes()?);
    (output.len() == OUTPUT).then_some((cost, salt, output))
}

fn derive(password: &str, salt: &[u8], cost: (u32, u32, u32)) -> Option<[u8; OUTPUT]> {
    let params = Params::new(cost.0, cost.1, cost.2, Some(OUTPUT)).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut output = [0; OUTPUT];
    let derived = argon2.hash_password_into(password.as_bytes(), salt, &mut output);
    derived.ok().map(|()| output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_what_was_kept_of_it_and_no_other_is() {
        let kept = hash("correct horse battery");
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        assert_ne!(
            kept,
            hash("correct horse battery"),
            "each has a salt of its own"
        );
        assert!(verify("correct horse battery", Some(&kept)));
        assert!(!verify("correct horse batterx", Some(&kept)));
        assert!(!verify("", Some(&kept)));
        assert!(!verify("", None));
        assert!(!verify("anything at all", Some("$argon2id$v=19$m=1$$")));
    }

    #[test]
    fn what_the_reference_implementation_keeps_is_known() {
        // By argon2-cffi, which is the reference implementation in C.
        let kept = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                    /HetJC6LZ4lnwgLB+wJSS2a9bFu2Kq4HxwNWzoJq2qU";
        assert!(verify("correct horse battery", Some(kept)));
        assert!(!verify("correct horse batterx", Some(kept)));
    }

    #[test]
    fn a_password_is_long_and_not_the_address() {
        assert!(weakness("short", "a@b").is_some());
        assert!(weakness(&"x".repeat(1001), "a@b").is_some());
        assert!(weakness("Somebody@north.example", "somebody@north.example").is_some());
        assert_eq!(weakness("twelve chars", "a@b"), None);
    }
}
