//! The allow list of enforce mode: names and image patterns.

use std::fmt;
use std::str::FromStr;

use globset::{Glob, GlobMatcher};

use crate::container::Container;

/// One entry: a name or an image, in which `*` stands for anything. An image without a tag means any tag of it.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

/// What may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Pattern>);

/// The most characters of an entry: image references have a few hundred.
const LONGEST: usize = 512;

impl Pattern {
    /// Whether a container of this name and image is meant.
    #[must_use]
    pub fn matches(&self, name: &str, image: &str) -> bool {
        self.matcher.is_match(name) || self.matcher.is_match(image) || self.matcher.is_match(repository(image))
    }
}

/// An image without its tag and its digest. A colon before a slash is a registry's port.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let fits = !text.is_empty()
            && text.len() <= LONGEST
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*?._-/:@".contains(&byte));
        let why =
            || format!("{text:?} is no name or image pattern; write one such as web, redis:7-* or example.com/team/*");
        let glob = fits.then(|| Glob::new(text).ok()).flatten().ok_or_else(why)?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl AllowList {
    /// Of these entries.
    #[must_use]
    pub const fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns)
    }

    /// Reads entries; the error names the one that is none.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        entries.into_iter().map(str::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this container may run.
    #[must_use]
    pub fn allows(&self, container: &Container) -> bool {
        self.0.iter().any(|pattern| pattern.matches(&container.name, &container.image))
    }

    /// The entries as they were written.
    #[must_use]
    pub fn entries(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_means_a_name_or_an_image_and_without_a_tag_any_tag() {
        let matches = |pattern: &str, name: &str, image: &str| pattern.parse::<Pattern>().unwrap().matches(name, image);
        assert!(matches("web", "web", "nginx:1"));
        assert!(!matches("web", "web-2", "nginx:1"));
        assert!(matches("web-*", "web-2", "nginx:1"));
        assert!(matches("redis", "cache", "redis:7-bookworm"));
        assert!(matches("redis:7-*", "cache", "redis:7-bookworm"));
        assert!(!matches("redis:6-*", "cache", "redis:7-bookworm"));
        assert!(matches("example.com:5000/team/*", "x", "example.com:5000/team/app:1"));
        assert!(matches("example.com:5000/app", "x", "example.com:5000/app"));
        assert!(matches("redis", "cache", "redis:7@sha256:abc"));
        assert!(!matches("redis", "cache", "evil/redis:7"));
    }

    #[test]
    fn what_can_be_no_name_is_refused_with_what_would_do() {
        for bad in ["", " ", "a b", "{a", "[z", "a,b", &"x".repeat(600)] {
            assert!(bad.parse::<Pattern>().is_err_and(|why| why.contains("redis:7-*")), "{bad}");
        }
    }
}
