//! What is in a spool.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use upbeat_service::settings::refuse;

use crate::message::Attribute;
use crate::settings::Settings;
use crate::spool;

/// Say what is in the spool: how many messages, their bytes, how old the oldest is
///
/// Works beside a producer that has the spool open. Dead letters are messages that were accepted and that SNS refused
/// all the same, or did not take within --retry-for.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Print the dead letters instead, one JSON object a line, and remove them; the producer must not run
    #[arg(long)]
    take_dead_letters: bool,
}

/// A dead letter, in the shape of `application/vnd.upbeat.message+json` with the reason beside.
#[derive(Serialize)]
struct Letter<'a> {
    reason: &'a str,
    message: serde_json::Value,
}

/// Exit code 0, 1 with one line on standard error where there is no spool, 2 where none is named.
#[must_use]
pub fn run(arguments: Arguments, settings: &Settings) -> ExitCode {
    let Some(folder) = &settings.spool else { refuse("--spool (SPOOL) is missing; give the spool's folder") };
    let done = if arguments.take_dead_letters { take_dead_letters(folder) } else { stats(folder) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn stats(folder: &Path) -> anyhow::Result<()> {
    let stats = spool::stats(folder)?;
    writeln!(io::stdout(), "{stats}").context("cannot write to standard output")
}

/// Each is removed after all were written out.
fn take_dead_letters(folder: &Path) -> anyhow::Result<()> {
    spool::take_dead_letters(folder, |letters| {
        let mut out = io::stdout().lock();
        for (reason, message) in letters {
            let mut attributes = serde_json::Map::new();
            attributes.insert("id".to_owned(), message.id.clone().into());
            for (name, value) in &message.attributes {
                let data_type = value.data_type();
                let value = match value {
                    Attribute::Binary(bytes) => aws_smithy_types::base64::encode(bytes),
                    Attribute::String(text) | Attribute::Number(text) | Attribute::StringArray(text) => text.clone(),
                };
                attributes.insert(name.clone(), serde_json::json!({"type": data_type, "value": value}));
            }
            let message = serde_json::json!({
                "body": message.body,
                "attributes": attributes,
                "subject": message.subject,
                "group_id": message.group_id,
                "deduplication_id": message.deduplication_id,
            });
            serde_json::to_writer(&mut out, &Letter { reason, message })?;
            writeln!(out)?;
        }
        out.flush()
    })
    .context("cannot take the dead letters")
}
