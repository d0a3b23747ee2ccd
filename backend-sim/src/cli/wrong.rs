//! Wrong usage: what was wrong, as clap says it, and what was expected.

use crate::cli::args;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What `error` says, with what was expected in a line of its own.
pub(crate) fn told(error: &clap::Error) -> String {
    let said = error.render().to_string();
    let Some(expected) = expected(error) else {
        return said;
    };
    match said.split_once('\n') {
        Some((what, rest)) => format!("{what}\n  expected {expected}\n{rest}"),
        None => format!("{said}\n  expected {expected}\n"),
    }
}

/// What was expected; none if clap says so itself, or nobody does anything wrong.
fn expected(error: &clap::Error) -> Option<String> {
    let option = |kind| {
        let text = match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text),
            Some(ContextValue::Strings(texts)) => texts.first(),
            _ => None,
        };
        text.and_then(|text| text.split(' ').next())
    };
    let given = option(ContextKind::InvalidArg).or(option(ContextKind::InvalidSubcommand));
    Some(match error.kind() {
        // There is no value. Of one that is wrong its parser says what it should be.
        ErrorKind::InvalidValue => args::value(given?)?,
        ErrorKind::UnknownArgument => {
            let usage = error.get(ContextKind::Usage);
            let of =
                |command: &&str| usage.is_some_and(|usage| usage.to_string().contains(command));
            let command = [" list ", " check "]
                .into_iter()
                .find(|command| of(command))
                .unwrap_or(" ");
            format!("an option that `migrate-pin{command}--help` names")
        }
        ErrorKind::InvalidUtf8 => "arguments in UTF-8".to_owned(),
        ErrorKind::InvalidSubcommand => "list, check, or the options of check".to_owned(),
        ErrorKind::TooManyValues => format!("{} without a value", given?),
        ErrorKind::ArgumentConflict => match (given?, option(ContextKind::PriorArg)) {
            (same, Some(other)) if same == other => format!("{same} once at most"),
            ("--replay", _) | (_, Some("--replay")) => {
                "--replay FILE alone: the file says what is repeated, and how".to_owned()
            }
            (command @ ("list" | "check"), _) => {
                format!("options of {command} behind it: migrate-pin {command} [its options]")
            }
            (one, Some(other)) => format!("{one} or {other}, not both"),
            (_, None) => return None,
        },
        _ => return None,
    })
}
