//! Whether a queue's policy lets SNS deliver from a topic.
//!
//! Not IAM's whole logic, but what policies of queues behind topics consist of; what is not understood is told.

use serde_json::Value;
use upbeat_service::doctor::Check;

const WHAT: &str = "policy";

/// The topics that the policy names in conditions on the source, without wildcards.
pub(super) fn topics(policy: Option<&str>) -> Vec<String> {
    let statements = policy.and_then(|policy| serde_json::from_str(policy).ok()).unwrap_or(Value::Null);
    let conditions = list(&statements["Statement"]).iter().flat_map(conditions);
    let sources = conditions.filter(|(_, key, _)| key.eq_ignore_ascii_case("aws:SourceArn"));
    let arns = sources.flat_map(|(_, _, values)| values);
    arns.filter(|arn| arn.split(':').nth(2) == Some("sns") && !arn.contains(['*', '?'])).collect()
}

/// Whether SNS may deliver from the topic to the queue.
pub(super) fn check(policy: Option<&str>, queue: &str, topic: &str) -> Check {
    let advice = || {
        format!(
            "allow sqs:SendMessage to the service sns.amazonaws.com in the queue's policy, with the condition \
             ArnEquals aws:SourceArn {topic}"
        )
    };
    let Some(policy) = policy else {
        return Check::fail(WHAT, "the queue has none, so SNS may not deliver", advice());
    };
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return Check::fail(WHAT, "can't be read as JSON", advice());
    };
    let mut best = Check::fail(WHAT, format!("does not let SNS deliver from {topic}"), advice());
    for statement in list(&policy["Statement"]) {
        let concerns = matches_any(&statement["Action"], "sqs:SendMessage", true)
            && (statement["Resource"].is_null() || matches_any(&statement["Resource"], queue, false));
        let everybody = is_everybody(&statement["Principal"]);
        let is_for_sns = everybody || list(&statement["Principal"]["Service"]).iter().any(is_sns);
        if !concerns || !is_for_sns {
            continue;
        }
        let fit = fit(statement, topic);
        match (statement["Effect"].as_str(), fit) {
            // A denial with conditions that are not understood is mostly about unencrypted transport.
            (Some("Deny"), Fit::Yes) => {
                let advice = "remove or narrow the statement with the effect Deny in the queue's policy";
                return Check::fail(WHAT, format!("denies SNS to deliver from {topic}"), advice);
            }
            (Some("Allow"), Fit::Yes) if everybody && conditions(statement).is_empty() => {
                let advice = format!("add the condition ArnEquals aws:SourceArn {topic}");
                better(&mut best, Check::warn(WHAT, "lets everybody send to the queue", advice));
            }
            (Some("Allow"), Fit::Yes) if conditions(statement).is_empty() => {
                let advice = format!("add the condition ArnEquals aws:SourceArn {topic}");
                better(&mut best, Check::warn(WHAT, "lets any topic of any account deliver", advice));
            }
            (Some("Allow"), Fit::Yes) => better(&mut best, Check::ok(WHAT, format!("lets {topic} deliver"))),
            (Some("Allow"), Fit::Unknown(key)) => {
                let detail = format!("has a condition on {key} that is not understood here");
                better(&mut best, Check::warn(WHAT, detail, "see that it lets SNS deliver, by publishing a message"));
            }
            _ => {}
        }
    }
    best
}

/// The better of two answers counts, since one statement that allows is enough. A wide-open one counts most: it holds whatever else is there.
fn better(best: &mut Check, found: Check) {
    use upbeat_service::doctor::Level;
    let open = |check: &Check| check.detail.starts_with("lets everybody") || check.detail.starts_with("lets any topic");
    let rank = |check: &Check| match check.level {
        _ if open(check) => 3,
        Level::Ok => 2,
        Level::Warn => 1,
        Level::Fail => 0,
    };
    if rank(&found) > rank(best) {
        *best = found;
    }
}

/// Whether a statement's conditions hold for a delivery from the topic.
enum Fit {
    Yes,
    No,
    Unknown(String),
}

fn fit(statement: &Value, topic: &str) -> Fit {
    let account = topic.split(':').nth(4).unwrap_or_default();
    let mut unknown = None;
    for (operator, key, values) in conditions(statement) {
        let operator = operator.strip_suffix("IfExists").unwrap_or(&operator).to_owned();
        let actual = match key.to_ascii_lowercase().as_str() {
            "aws:sourcearn" => topic,
            "aws:sourceaccount" => account,
            _ => {
                unknown = Some(key);
                continue;
            }
        };
        let holds = |expected: &String| match operator.as_str() {
            "ArnEquals" | "ArnLike" | "StringLike" => Some(is_like(expected, actual)),
            "StringEquals" => Some(expected == actual),
            "StringEqualsIgnoreCase" => Some(expected.eq_ignore_ascii_case(actual)),
            _ => None,
        };
        let results: Option<Vec<_>> = values.iter().map(holds).collect();
        match results {
            Some(results) if results.contains(&true) => {}
            Some(_) => return Fit::No,
            None => unknown = Some(format!("{key} ({operator})")),
        }
    }
    unknown.map_or(Fit::Yes, Fit::Unknown)
}

/// Operator, key and values of each condition.
fn conditions(statement: &Value) -> Vec<(String, String, Vec<String>)> {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    let keys = operators.flat_map(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        keys.map(move |(key, values)| (operator.clone(), key.clone(), strings(values)))
    });
    keys.collect()
}

fn is_everybody(principal: &Value) -> bool {
    principal == "*" || list(&principal["AWS"]).iter().any(|who| who == "*")
}

fn is_sns(service: &Value) -> bool {
    let service = service.as_str().unwrap_or_default();
    // SNS has names of its own in regions that are opted into.
    service.starts_with("sns.") && service.contains(".amazonaws.com")
}

/// IAM takes one or several wherever it takes several.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(values) => values,
        one => std::slice::from_ref(one),
    }
}

fn strings(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list(value).iter().map(text).collect()
}

fn matches_any(patterns: &Value, text: &str, ignore_case: bool) -> bool {
    let case = |text: &str| if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
    strings(patterns).iter().any(|pattern| is_like(&case(pattern), &case(text)))
}

/// `*` stands for anything, `?` for one character.
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
    // Whether what was read of the pattern so far matches the first n characters of the text.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for wanted in pattern {
        let mut next = vec![false; text.len() + 1];
        for n in 0..=text.len() {
            next[n] = match wanted {
                '*' => reached[n] || n > 0 && next[n - 1],
                '?' => n > 0 && reached[n - 1],
                plain => n > 0 && reached[n - 1] && text[n - 1] == plain,
            };
        }
        reached = next;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use upbeat_service::doctor::Level;

    use super::*;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:messages";
    const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:messages";

    fn statement() -> Value {
        json!({
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": "*",
            "Condition": {"ArnEquals": {"aws:SourceArn": TOPIC}},
        })
    }

    fn checked(statements: &Value) -> Check {
        check(Some(&json!({ "Statement": statements }).to_string()), QUEUE, TOPIC)
    }

    fn level_with(field: &str, value: Value) -> Level {
        let mut statement = statement();
        statement[field] = value;
        checked(&statement).level
    }

    #[test]
    fn the_usual_policy_is_fine_alone_or_among_others() {
        assert_eq!(checked(&statement()).level, Level::Ok);
        assert_eq!(checked(&json!([{"Effect": "Allow", "Principal": {"AWS": "x"}}, statement()])).level, Level::Ok);
        assert_eq!(level_with("Action", json!(["sqs:ReceiveMessage", "SQS:Send*"])), Level::Ok);
        assert_eq!(level_with("Resource", json!(QUEUE)), Level::Ok);
        assert_eq!(level_with("Principal", json!("*")), Level::Ok);
        assert_eq!(
            level_with("Condition", json!({"ArnLike": {"AWS:SourceArn": ["x", "arn:aws:sns:*:*:messages"]}})),
            Level::Ok
        );
        assert_eq!(level_with("Condition", json!({"StringEquals": {"aws:SourceAccount": "000000000000"}})), Level::Ok);
    }

    #[test]
    fn no_policy_or_one_for_others_is_a_fault_that_says_what_to_allow() {
        let none = check(None, QUEUE, TOPIC);
        assert_eq!(none.level, Level::Fail);
        assert!(none.advice.unwrap().contains(TOPIC));
        assert_eq!(check(Some("{"), QUEUE, TOPIC).level, Level::Fail);
        assert_eq!(level_with("Action", json!("sqs:ReceiveMessage")), Level::Fail);
        assert_eq!(level_with("Resource", json!(format!("{QUEUE}-other"))), Level::Fail);
        assert_eq!(level_with("Principal", json!({"Service": "s3.amazonaws.com"})), Level::Fail);
        assert_eq!(
            level_with("Condition", json!({"ArnEquals": {"aws:SourceArn": format!("{TOPIC}-other")}})),
            Level::Fail
        );
        assert_eq!(level_with("Condition", json!({"StringEquals": {"aws:SourceAccount": "1"}})), Level::Fail);
    }

    #[test]
    fn a_policy_open_to_everybody_or_to_every_topic_is_a_warning() {
        let mut open = statement();
        open["Condition"] = Value::Null;
        assert!(checked(&open).detail.contains("any topic"));
        open["Principal"] = json!("*");
        assert!(checked(&open).detail.contains("everybody"));
        open["Principal"] = json!({"AWS": ["*"]});
        let both = checked(&json!([statement(), open]));
        assert_eq!((both.level, both.detail.as_str()), (Level::Warn, "lets everybody send to the queue"));
    }

    #[test]
    fn a_denial_counts_unless_it_is_about_something_else() {
        let mut deny = statement();
        deny["Effect"] = json!("Deny");
        assert_eq!(checked(&json!([statement(), deny])).level, Level::Fail);
        deny["Condition"] = json!({"Bool": {"aws:SecureTransport": "false"}});
        deny["Principal"] = json!("*");
        assert_eq!(checked(&json!([deny, statement()])).level, Level::Ok);
    }

    #[test]
    fn a_condition_that_is_not_understood_is_told() {
        let check = level_with("Condition", json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}));
        assert_eq!(check, Level::Warn);
        assert_eq!(level_with("Condition", json!({"ArnNotEquals": {"aws:SourceArn": "x"}})), Level::Warn);
    }

    #[test]
    fn wildcards_match_as_in_iam() {
        for (pattern, text, matches) in
            [("*", "", true), ("a*c", "abbc", true), ("a?c", "ac", false), ("a*", "ba", false)]
        {
            assert_eq!(is_like(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn topics_are_those_in_conditions_without_wildcards() {
        let condition = json!({"ArnLike": {"aws:SourceArn": [TOPIC, "arn:aws:sns:*:*:*", "arn:aws:s3:::bucket"]}});
        let policy = json!({"Statement": [{"Condition": condition}]}).to_string();
        assert_eq!(topics(Some(&policy)), [TOPIC]);
        assert!(topics(None).is_empty());
    }
}
