//! Lists names in a message, the first of them where there are many.
//!
//! Must not know what the names are of.

/// The number of names that a message has at most.
const LIMIT: usize = 8;

/// Joins names with commas; says how many there are beyond the first.
pub(crate) fn list(names: &[String]) -> String {
    match names.len().checked_sub(LIMIT) {
        None | Some(0 | 1) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..LIMIT].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_cut_and_counted() {
        let names = |count: usize| -> Vec<String> { (0..count).map(|n| n.to_string()).collect() };
        assert_eq!(list(&names(2)), "0, 1");
        assert_eq!(list(&names(9)), "0, 1, 2, 3, 4, 5, 6, 7, 8");
        assert_eq!(list(&names(10)), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }
}
