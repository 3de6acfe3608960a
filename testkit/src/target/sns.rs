//! SNS by its Query protocol: a form as request, XML as answer.

use bytes::Bytes;

use super::state::State;

/// There is one topic, whatever its name.
const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:messages";

/// Any id does.
const MESSAGE_ID: &str = "01234567-0123-0123-0123-0123456789ab";

/// The answer to a request; `None` to what no benchmark asks for.
pub(super) fn answer(state: &State, request: &[u8]) -> Option<Bytes> {
    let action = request.strip_prefix(b"Action=")?;
    let action = action.split(|byte| *byte == b'&').next()?;
    let (action, result) = match action {
        b"ListTopics" => ("ListTopics", format!("<Topics><member><TopicArn>{TOPIC}</TopicArn></member></Topics>")),
        b"GetTopicAttributes" => (
            "GetTopicAttributes",
            format!("<Attributes><entry><key>TopicArn</key><value>{TOPIC}</value></entry></Attributes>"),
        ),
        b"Publish" => {
            state.publish(1);
            ("Publish", format!("<MessageId>{MESSAGE_ID}</MessageId>"))
        }
        b"PublishBatch" => ("PublishBatch", publish_batch(state, request)),
        _ => return None,
    };
    let answer = format!(
        r#"<{action}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>{MESSAGE_ID}</RequestId></ResponseMetadata></{action}Response>"#
    );
    Some(answer.into())
}

fn publish_batch(state: &State, request: &[u8]) -> String {
    // In a form, no value holds a plain `=`.
    let ids = memchr::memmem::find_iter(request, ".Id=").map(|at| {
        let id = request[at + 4..].split(|byte| *byte == b'&').next().unwrap_or_default();
        String::from_utf8_lossy(id)
    });
    let members: Vec<_> =
        ids.map(|id| format!("<member><Id>{id}</Id><MessageId>{MESSAGE_ID}</MessageId></member>")).collect();
    state.publish(members.len());
    format!("<Failed/><Successful>{}</Successful>", members.concat())
}
