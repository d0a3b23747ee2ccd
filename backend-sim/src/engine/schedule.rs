//! Schedules as text: `0x12 1x3 0` is twelve decisions for the first actor, three for the second, one for the first.

use crate::config::MAX_ACTORS;
use crate::engine::board::MAX_OPERATIONS;
use std::fmt::Write as _;

/// A schedule in words.
#[must_use]
pub fn encode(schedule: &[u8]) -> String {
    let mut text = String::new();
    for run in schedule.chunk_by(|a, b| a == b) {
        let separator = if text.is_empty() { "" } else { " " };
        let _ = match run.len() {
            1 => write!(text, "{separator}{}", run[0]),
            times => write!(text, "{separator}{}x{times}", run[0]),
        };
    }
    text
}

/// A schedule from words.
///
/// # Errors
/// Which word is wrong, and what was expected.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut schedule = Vec::new();
    for word in text.split_whitespace() {
        let wrong = || {
            format!(
                "'{word}' in the schedule is wrong; expected ACTOR or ACTORxTIMES, with an actor below {MAX_ACTORS} and at most \
                 {MAX_OPERATIONS} decisions in all"
            )
        };
        let (actor, times) = word.split_once('x').unwrap_or((word, "1"));
        let actor: u8 = actor.parse().map_err(|_| wrong())?;
        let times: usize = times.parse().map_err(|_| wrong())?;
        let room = MAX_OPERATIONS.saturating_sub(schedule.len());
        if usize::from(actor) >= MAX_ACTORS || times > room || times == 0 {
            return Err(wrong());
        }
        schedule.extend(std::iter::repeat_n(actor, times));
    }
    Ok(schedule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_survives_the_way_to_text_and_back() {
        for schedule in [&[][..], &[0], &[0, 0, 1, 0], &[7, 7, 7, 1, 2, 2]] {
            assert_eq!(decode(&encode(schedule)).unwrap(), schedule);
        }
        assert_eq!(encode(&[0, 0, 1, 0]), "0x2 1 0");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for text in ["a", "0x", "8", "0x0", "0x4000000", "1x2x3", "-1"] {
            let message = decode(&format!("0x3 {text} 1")).unwrap_err();
            assert!(message.starts_with(&format!("'{text}'")), "{message}");
        }
    }
}
