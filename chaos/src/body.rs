//! The messages' bodies: each can be told from all others, and whoever has its number and the seed knows all of it.

use fastrand::Rng;
use serde_json::{Value, json};

/// What JSON, XML, SNS and logs each have trouble with.
const AWKWARD: [&str; 8] = ["\"", "\\", "\n", "\r\t", "<a>&amp;", "é😀", "\u{2028}", "}{"];

/// The longest text beside the number, roughly.
const LONGEST: usize = 2000;

/// The body of the message of this number. A poison one says so.
#[must_use]
pub fn body(seed: u64, number: u64, poison: bool) -> String {
    let mut rng = Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    // Most are short.
    let length = rng.usize(..LONGEST) / rng.usize(1..40);
    let mut text = String::new();
    while text.len() < length {
        if rng.u8(..10) == 0 {
            text.push_str(AWKWARD[rng.usize(..AWKWARD.len())]);
        } else {
            text.push(rng.alphanumeric());
        }
    }
    let mut body = json!({"number": number, "text": text});
    if poison {
        body["poison"] = true.into();
    }
    body.to_string()
}

/// Which message it is, and whether a poison one; `None` if it is none of this seed's, or not as it was sent.
#[must_use]
pub fn recognise(seed: u64, text: &str) -> Option<(u64, bool)> {
    let value: Value = serde_json::from_str(text).ok()?;
    let (number, poison) = (value["number"].as_u64()?, value["poison"].as_bool().unwrap_or_default());
    (body(seed, number, poison) == text).then_some((number, poison))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_recognised_as_it_was_sent_and_not_otherwise() {
        for number in 0..500 {
            let poison = number % 3 == 0;
            let sent = body(1, number, poison);
            assert_eq!(recognise(1, &sent), Some((number, poison)));
            assert_eq!(recognise(2, &sent), None);
            assert_eq!(recognise(1, &sent.replacen("text", "next", 1)), None);
        }
        assert_eq!(recognise(1, "{\"number\":1"), None);
    }
}
