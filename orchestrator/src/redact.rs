//! What is not for everybody's eyes.
//!
//! Of the environment, only names are ever shown. Labels and commands are shown, but for what looks like a secret: the
//! value after a name that sounds like one, and the password in a URL.

use std::sync::LazyLock;

use regex::Regex;

/// What is put in its place.
pub const REDACTED: &str = "***";

/// A name that sounds like a secret's, and what is assigned to it; or the user information of a URL.
#[expect(clippy::unwrap_used, reason = "a constant, which every test of this file compiles")]
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    let name = r#"(?i)([a-z0-9_.\-]*(?:password|passwd|passphrase|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key|auth)[a-z0-9_.\-]*["']?(?:\s*[=:]\s*|\s+))(?:bearer\s+|basic\s+)?("[^"]*"|'[^']*'|[^\s,;&"']+)"#;
    Regex::new(name).unwrap()
});

#[expect(clippy::unwrap_used, reason = "a constant, which every test of this file compiles")]
static URL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(://[^/\s:@]*:)[^/\s@]+@").unwrap());

/// A text without what looks like a secret.
#[must_use]
pub fn text(text: &str) -> String {
    let text = URL.replace_all(text, format!("${{1}}{REDACTED}@"));
    SECRET.replace_all(&text, format!("${{1}}{REDACTED}")).into_owned()
}

/// The value of something of this name.
#[must_use]
pub fn value(name: &str, value: &str) -> String {
    if SECRET.is_match(&format!("{name}=x")) { REDACTED.to_owned() } else { text(value) }
}

/// A command line: a value may be the word after its name.
#[must_use]
pub fn command(words: &[String]) -> String {
    text(&words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_taken_out_and_the_rest_stays() {
        for (told, shown) in [
            ("run --password=hunter2 --port 80", "run --password=*** --port 80"),
            ("run --password hunter2 --port 80", "run --password *** --port 80"),
            ("DB_PASSWORD='a b' x", "DB_PASSWORD=*** x"),
            ("postgres://user:hunter2@db/x", "postgres://user:***@db/x"),
            ("Authorization: Bearer abc.def", "Authorization: ***"),
            (r#"{"api_key": "hunter2", "n": 1}"#, r#"{"api_key": ***, "n": 1}"#),
            ("sh -c 'sleep 10'", "sh -c 'sleep 10'"),
        ] {
            assert_eq!(text(told), shown);
        }
        assert_eq!(value("traefik.basicauth", "admin:x"), REDACTED);
        assert_eq!(value("com.example.role", "web"), "web");
        assert_eq!(command(&["x".into(), "--token".into(), "hunter2".into()]), "x --token ***");
    }
}
