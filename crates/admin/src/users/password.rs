//! Hashes passwords and compares them with their hashes: argon2id in the PHC string format, with
//! those parameters of the OWASP Password Storage Cheat Sheet for which a function of 128 MB has
//! the memory. Knows no user and no database.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

/// Memory in KiB, passes over the memory, lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// Bytes of the salt and of the hash.
const SALT: usize = 16;
const OUTPUT: usize = 32;

/// Characters of a password at least. NIST SP 800-63B asks for length, not for kinds of characters.
const SHORTEST: usize = 12;

/// Characters of a password at most. More of them only cost time.
const LONGEST: usize = 1000;

/// The most common passwords of 12 characters and more: those of Django's list of 20,000 that the
/// rules of [`is_monotonous`] do not find. Shorter ones are refused for their length.
/// (`common-passwords.txt.gz`, Django 5.2, BSD licence; made by Royce Williams.)
const COMMON: &str = include_str!("common_passwords.txt");

/// Returns what is wrong with a new password, if anything is.
pub(crate) fn weakness(password: &str, email: &str) -> Option<&'static str> {
    if password.chars().count() < SHORTEST {
        return Some("Choose a password of at least 12 characters.");
    }
    if password.chars().count() > LONGEST {
        return Some("Choose a password of at most 1000 characters.");
    }
    if password.eq_ignore_ascii_case(email) {
        return Some("Choose a password that is not your address.");
    }
    let lower = password.to_ascii_lowercase();
    if COMMON.lines().any(|common| common == lower) || is_monotonous(&lower) {
        return Some("Many people choose this password, so it is guessed first. Choose another.");
    }
    None
}

/// Returns whether a password has less than 5 different characters, repeats a shorter text, or
/// counts up or down, as `123456789012` does.
fn is_monotonous(password: &str) -> bool {
    let characters: Vec<char> = password.chars().collect();
    let mut different = characters.clone();
    different.sort_unstable();
    different.dedup();
    let repeats = |length: usize| {
        characters
            .iter()
            .eq(characters[..length].iter().cycle().take(characters.len()))
    };
    let counts = |from: usize, to: usize| {
        characters.windows(2).all(|pair| {
            let (first, second) = (pair[from], pair[to]);
            u32::from(first) + 1 == u32::from(second) || (first, second) == ('9', '0')
        })
    };
    different.len() < 5 || (1..=characters.len() / 2).any(repeats) || counts(0, 1) || counts(1, 0)
}

/// Hashes a password with a new salt.
pub(crate) fn hash(password: &str) -> String {
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

/// Returns whether a password has this hash. Takes as long when there is no hash, so that the time
/// does not tell whether an address has a user.
pub(crate) fn verify(password: &str, hash: Option<&str>) -> bool {
    let known = hash.and_then(parse);
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
    // The time of `==` depends on the digests, whose bytes an attacker cannot choose.
    let same = Sha256::digest(derived) == Sha256::digest(&output);
    same && known.is_some() && !password.is_empty()
}

/// The cost, the salt and the output of a hash.
type Parts = ((u32, u32, u32), Vec<u8>, Vec<u8>);

/// Reads a hash in the PHC string format; `None` when it is not of the form that [`hash`] makes.
fn parse(hash: &str) -> Option<Parts> {
    let mut parts = hash.strip_prefix("$argon2id$v=19$")?.split('$');
    let mut costs = parts.next()?.split(',');
    let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse().ok();
    let cost = (cost("m=")?, cost("t=")?, cost("p=")?);
    let mut bytes = || BASE64_STANDARD_NO_PAD.decode(parts.next()?).ok();
    let (salt, output) = (bytes()?, bytes()?);
    (output.len() == OUTPUT).then_some((cost, salt, output))
}

/// Computes argon2id; `None` when the cost or the salt is not one that it accepts.
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
    fn a_password_matches_its_hash_and_no_other_does() {
        let stored = hash("correct horse battery");
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert_ne!(
            stored,
            hash("correct horse battery"),
            "each has a salt of its own"
        );
        assert!(verify("correct horse battery", Some(&stored)));
        assert!(!verify("correct horse batterx", Some(&stored)));
        assert!(!verify("", Some(&stored)));
        assert!(!verify("", None));
        assert!(!verify("anything at all", Some("$argon2id$v=19$m=1$$")));
    }

    #[test]
    fn a_password_matches_the_hash_of_the_reference_implementation() {
        // Made by argon2-cffi, which calls the reference implementation in C.
        let stored = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                    /HetJC6LZ4lnwgLB+wJSS2a9bFu2Kq4HxwNWzoJq2qU";
        assert!(verify("correct horse battery", Some(stored)));
        assert!(!verify("correct horse batterx", Some(stored)));
    }

    #[test]
    fn a_new_password_has_12_to_1000_characters_and_is_not_the_address() {
        assert!(weakness("short", "a@b").is_some());
        assert!(weakness(&"x".repeat(1001), "a@b").is_some());
        assert!(weakness("Somebody@north.example", "somebody@north.example").is_some());
        assert_eq!(weakness("twelve chars", "a@b"), None);
    }

    #[test]
    fn a_password_that_many_choose_is_refused() {
        for common in [
            "aaaaaaaaaaaa",
            "123456789012",
            "098765432109",
            "abcdefghijklm",
            "121212121212",
            "passwordpassword",
            "1234512345123",
            "Password1234",
            "Qwerty123456",
            "1q2w3e4r5t6y",
            "motherfucker",
        ] {
            assert!(weakness(common, "a@b").is_some(), "{common}");
        }
        for own in [
            "correct horse battery",
            "a brand new password",
            "another password",
        ] {
            assert_eq!(weakness(own, "a@b"), None, "{own}");
        }
    }
}
