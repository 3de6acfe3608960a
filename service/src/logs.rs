//! Logs: one event a line on standard output, as text for people or JSON for machines.

use std::fmt::{self, Debug, Write};
use std::io::IsTerminal;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::{LogFormat, refuse};

/// The target of access events, whose text form is a line of its own without time or level before it.
pub const ACCESS: &str = "access";

/// The SDK tells of its own doings at `info`; here these are details. What openraft tells, the orchestrator says itself.
const DEFAULT_FILTER: &str = "info,aws_config=warn,aws_runtime=warn,aws_smithy_runtime=warn,openraft=off";

/// Starts logging, filtered by `RUST_LOG`, for the rest of the process. A second call changes nothing.
pub fn start(format: LogFormat) {
    let filter = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = EnvFilter::try_new(filter.as_deref().unwrap_or(DEFAULT_FILTER));
    let filter = filter.unwrap_or_else(|error| {
        refuse(format!("RUST_LOG: {error}; write a level or target=level,…, such as info or consumer=debug"))
    });
    let logs = tracing_subscriber::fmt().with_env_filter(filter);
    let started = match format {
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        LogFormat::Text => {
            let colour =
                std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            logs.with_ansi(colour)
                .fmt_fields(debug_fn(write_field))
                .event_format(Text(tracing_subscriber::fmt::format().with_target(false)))
                .try_init()
        }
    };
    // The first call in a process wins; tests in one process share it.
    drop(started);
}

/// `name=value`, or the bare message, with control characters escaped, so that no message body can
/// forge a line or drive a terminal.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(EscapeControl(writer), "{value:?}"),
        name => write!(EscapeControl(writer), " {name}={value:?}"),
    }
}

/// Writes control characters as `\n`, `\u{1b}` and so on.
struct EscapeControl<W>(W);

impl<W: Write> Write for EscapeControl<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, control)) = rest.char_indices().find(|(_, character)| character.is_control()) {
            self.0.write_str(&rest[..at])?;
            write!(self.0, "{}", control.escape_default())?;
            rest = &rest[at + control.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// The usual text form, but for access events.
struct Text(Format);

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if event.metadata().target() != ACCESS {
            return self.0.format_event(context, writer, event);
        }
        let mut line = AccessLine { writer: &mut writer, written: Ok(()) };
        event.record(&mut line);
        line.written
    }
}

/// Writes the fields of an access event as they come, which is in the order of the line; each is free of control
/// characters: none can be in what hyper parsed.
struct AccessLine<'a, 'w> {
    writer: &'a mut Writer<'w>,
    written: fmt::Result,
}

impl Visit for AccessLine<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let writer = &mut *self.writer;
        let written = match field.name() {
            "remote" => write!(writer, "{value:?} - - ["),
            "time" => write!(writer, "{value:?}] \""),
            "method" | "path" => write!(writer, "{value:?} "),
            "version" => write!(writer, "{value:?}\" "),
            "status" => writeln!(writer, "{value:?} -"),
            _ => Ok(()),
        };
        self.written = self.written.and(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_all_else_is_left_as_it_is() {
        let mut text = String::new();
        EscapeControl(&mut text).write_str("{\"a\": \"ä\"}\n\u{1b}[31m\r\u{85}end").unwrap();
        assert_eq!(text, "{\"a\": \"ä\"}\\n\\u{1b}[31m\\r\\u{85}end");
    }
}
