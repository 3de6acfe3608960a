//! A span's place in its trace, as W3C's Trace Context writes it.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::str::FromStr;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The name of the header, and of the message attribute, that says which span came before.
pub const TRACEPARENT: &str = "traceparent";

/// The name of the one that carries what tracing systems want carried.
pub const TRACESTATE: &str = "tracestate";

/// Which trace, which span of it, and whether it is exported.
///
/// ```
/// use upbeat_service::traces::TraceContext;
/// let written = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context = TraceContext::parse(written, Some("vendor=value")).unwrap();
/// assert_eq!(context.traceparent(), written);
/// assert_eq!(context.tracestate().as_deref(), Some("vendor=value"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext(SpanContext);

impl TraceContext {
    /// From the values of `traceparent` and `tracestate`; `None` if the first is not as it must be. A state that is not is
    /// left out.
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.trim().split('-');
        let mut part = |length: usize| parts.next().filter(|part| part.len() == length && is_lower_hex(part));
        let (version, trace_id, span_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // Later versions may have more parts; this one has not, and the last is none.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & TraceFlags::SAMPLED.to_u8());
        let state = tracestate.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
        let (trace_id, span_id) = (TraceId::from_hex(trace_id).ok()?, SpanId::from_hex(span_id).ok()?);
        let context = SpanContext::new(trace_id, span_id, flags, true, state);
        context.is_valid().then_some(Self(context))
    }

    /// The first span of a trace.
    pub(super) fn root(trace_id: TraceId, sampled: bool) -> Self {
        let flags = TraceFlags::default().with_sampled(sampled);
        Self(SpanContext::new(trace_id, new_span_id(), flags, false, TraceState::default()))
    }

    /// Another span of the same trace.
    pub(super) fn child(&self, sampled: bool) -> Self {
        let flags = TraceFlags::default().with_sampled(sampled);
        Self(SpanContext::new(self.0.trace_id(), new_span_id(), flags, false, self.0.trace_state().clone()))
    }

    /// The value of `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.0.trace_id(), self.0.span_id(), self.0.trace_flags().to_u8())
    }

    /// The value of `tracestate`, if there is any.
    #[must_use]
    pub fn tracestate(&self) -> Option<String> {
        Some(self.0.trace_state().header()).filter(|state| !state.is_empty())
    }

    /// The trace, for log lines.
    #[must_use]
    pub fn trace_id(&self) -> impl fmt::Display + fmt::Debug + use<> {
        self.0.trace_id()
    }

    /// Whether it is exported.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }

    pub(super) fn span_id(&self) -> SpanId {
        self.0.span_id()
    }

    pub(super) fn is_remote(&self) -> bool {
        self.0.is_remote()
    }

    pub(super) fn into_inner(self) -> SpanContext {
        self.0
    }
}

/// A new trace.
pub(super) fn any_trace() -> TraceId {
    TraceId::from_bytes(fastrand::u128(1..).to_be_bytes())
}

/// The trace that begins with a message: the same whoever begins it.
pub(super) fn trace_of(message: &str) -> TraceId {
    let mut hasher = DefaultHasher::new();
    hasher.write(message.as_bytes());
    let high = hasher.finish();
    hasher.write_u8(0);
    TraceId::from_bytes((u128::from(high) << 64 | u128::from(hasher.finish())).to_be_bytes())
}

fn new_span_id() -> SpanId {
    SpanId::from_bytes(fastrand::u64(1..).to_be_bytes())
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_traceparent_is_none() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(TraceContext::parse(good, None).is_some_and(|context| context.is_sampled()));
        assert!(TraceContext::parse(&good.replace("-01", "-00"), None).is_some_and(|context| !context.is_sampled()));
        let later = format!("{}-more", good.replacen("00", "cc", 1));
        assert!(TraceContext::parse(&later, None).is_some(), "a later version may say more");
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        ] {
            assert_eq!(TraceContext::parse(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn a_message_is_in_the_same_trace_whoever_begins_it() {
        assert_eq!(trace_of("1"), trace_of("1"));
        assert_ne!(trace_of("1"), trace_of("2"));
    }

    #[test]
    fn a_child_is_of_the_same_trace_and_another_span() {
        let parent = TraceContext::root(any_trace(), true);
        let child = parent.child(true);
        assert_eq!(parent.0.trace_id(), child.0.trace_id());
        assert_ne!(parent.0.span_id(), child.0.span_id());
        assert_eq!(TraceContext::parse(&child.traceparent(), None).unwrap().traceparent(), child.traceparent());
    }
}
