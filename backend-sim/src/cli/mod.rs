//! The command, a room for each part of it.
//!
//! [`args`] says what may be asked, [`select`] which scenarios are meant, [`plan`] what is to be explored with which
//! engine; [`work`] does it on threads and hands the [`row`]s on in order; [`table`] and [`jsonl`] print them, with
//! [`interleaving`]s; [`family`] makes one row of the races that were generated together, [`defects`] one finding of those
//! that break alike; [`record`] keeps a schedule in a file, from which [`replay`] repeats it; [`wrong`] says of wrong
//! usage what was expected.

mod args;
mod check;
mod defects;
mod family;
mod interleaving;
mod interrupt;
mod jsonl;
mod list;
mod output;
mod plan;
mod progress;
mod record;
mod replay;
mod row;
mod select;
mod table;
mod work;
mod wrong;

use args::{Cli, Command};
use clap::Parser;
use std::io;
use std::process::ExitCode;

/// Nothing broke under `Hardened`, and `AsPosted` broke what it should.
const FINE: u8 = 0;

/// Something broke that may not, something else came than was expected, or nothing could be written.
const FAILED: u8 = 1;

/// Wrong usage; the message says what was expected.
const USAGE: u8 = 2;

/// Nothing broke, but something was not explored to its end.
const INCOMPLETE: u8 = 3;

/// Wrong usage, in words.
fn usage(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Do what the command line asks for.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            eprint!("{}", wrong::told(&error));
            return ExitCode::from(USAGE);
        }
        // Help, or the version: what was asked for.
        Err(error) => error.exit(),
    };
    let result = match cli.command {
        Some(Command::List(options)) => list::run(&options),
        Some(Command::Check(options)) => check::run(&options),
        None => check::run(&cli.check),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("migrate-pin: {error}");
            let usage = error.kind() == io::ErrorKind::InvalidInput;
            ExitCode::from(if usage { USAGE } else { FAILED })
        }
    }
}
