//! `${VARIABLE:-default}` and the like, as Compose has them.

/// Where variables are: the environment, as a rule.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// More than anybody nests.
const DEEPEST: usize = 8;

/// This text with the variables' values in it, and the names of those that are not set and have no default: Compose takes
/// them for empty, and says so.
pub(super) fn fill_in(text: &str, variables: Variables<'_>, unset: &mut Vec<String>) -> Result<String, String> {
    fill(text, variables, unset, DEEPEST)
}

fn fill(text: &str, variables: Variables<'_>, unset: &mut Vec<String>, depth: usize) -> Result<String, String> {
    if depth == 0 {
        return Err(format!("${{…}} is nested more than {DEEPEST} deep"));
    }
    let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        let first = after.chars().next();
        if first == Some('$') {
            filled.push('$');
            rest = &after[1..];
        } else if first == Some('{') {
            let end = closing(after).ok_or("${ without }")?;
            filled.push_str(&braced(&after[1..end], variables, unset, depth)?);
            rest = &after[end + 1..];
        } else {
            let (name, after) = name(after).ok_or("a lone $: write $$ for the sign itself")?;
            filled.push_str(&value(name, variables, unset));
            rest = after;
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Where the brace that the text begins with is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut last = ' ';
    for (at, next) in text.char_indices() {
        match next {
            '{' if at == 0 || last == '$' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        last = next;
    }
    None
}

/// What stands between braces.
fn braced(text: &str, variables: Variables<'_>, unset: &mut Vec<String>, depth: usize) -> Result<String, String> {
    let (name, after) = name(text).ok_or("${…}: a variable has a name")?;
    if after.is_empty() {
        return Ok(value(name, variables, unset));
    }
    let (empty_too, after) = after.strip_prefix(':').map_or((false, after), |after| (true, after));
    let set = variables(name).filter(|value| !(empty_too && value.is_empty()));
    let mut operand = |text: &str| fill(text, variables, unset, depth - 1);
    match (after.chars().next(), set) {
        (Some('-' | '?'), Some(value)) => Ok(value),
        (Some('-'), None) | (Some('+'), Some(_)) => operand(&after[1..]),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), None) => {
            let why = operand(&after[1..])?;
            Err(format!("{name} must be set{}{why}", if why.is_empty() { "" } else { ": " }))
        }
        _ => Err(format!("${{{name}…}}: write ${{{name}}} or ${{{name}:-default}}")),
    }
}

fn name(text: &str) -> Option<(&str, &str)> {
    let ends = |next: char| !(next.is_ascii_alphanumeric() || next == '_');
    let end = text.find(ends).unwrap_or(text.len());
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins.then(|| text.split_at(end))
}

fn value(name: &str, variables: Variables<'_>, unset: &mut Vec<String>) -> String {
    variables(name).unwrap_or_else(|| {
        unset.push(name.to_owned());
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> (Result<String, String>, Vec<String>) {
        let variables = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let mut unset = Vec::new();
        (fill_in(text, &variables, &mut unset), unset)
    }

    #[test]
    fn variables_are_filled_in_as_compose_does() {
        for (text, value) in [
            ("plain", "plain"),
            ("$A${A}x", "11x"),
            ("a$$A $${A}", "a$A ${A}"),
            ("${A:-2}${A-2}", "11"),
            ("${NO:-2}${NO-3}", "23"),
            ("[${EMPTY:-2}${EMPTY-3}]", "[2]"),
            ("${NO:-${A}}${NO:-${NO:-x}y}", "1xy"),
            ("${A:+yes}${NO:+yes}${EMPTY:+yes}${EMPTY+set}", "yesset"),
            ("${NO:-a{b}c}", "a{bc}"),
            ("${A:?why}", "1"),
            ("${NO:-http://x:80/$$}", "http://x:80/$"),
        ] {
            assert_eq!(filled(text), (Ok(value.to_owned()), Vec::new()), "{text}");
        }
        assert_eq!(filled("<$NO${B}>"), (Ok("<>".to_owned()), vec!["NO".to_owned(), "B".to_owned()]));
    }

    #[test]
    fn what_is_no_variable_is_refused_with_what_would_do() {
        let deep = format!("{}{}", "${NO:-".repeat(20), "}".repeat(20));
        for (text, why) in [
            ("100$", "$$"),
            ("$1", "$$"),
            ("${A", "without }"),
            ("${}", "name"),
            ("${1:-hunter2}", "name"),
            ("${A=hunter2}", "${A:-default}"),
            ("${NO:-hunter2", "without }"),
            ("${A!}", "${A:-default}"),
            ("${A:}", "${A:-default}"),
            ("${NO:?for the $A}", "NO must be set: for the 1"),
            ("${EMPTY:?}", "EMPTY must be set"),
            (&deep, "nested"),
        ] {
            let error = filled(text).0.unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
