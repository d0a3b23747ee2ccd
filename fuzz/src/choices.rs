//! Choices out of bytes.

use arbitrary::Unstructured;
use migrate_pin_sim::grammar::Choices;

/// The bytes of an input, as far as they are not used up.
#[derive(Debug)]
pub struct Input<'a>(Unstructured<'a>);

impl<'a> Input<'a> {
    /// All of them.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Any number; 0 if there is nothing left.
    pub fn word(&mut self) -> usize {
        self.0.arbitrary().unwrap_or(0)
    }

    /// What is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0.take_rest()
    }
}

impl Choices for Input<'_> {
    fn below(&mut self, n: usize) -> usize {
        // By a byte where one will do: a mutation of one byte changes one choice.
        match n {
            0 | 1 => 0,
            2..=256 => self.0.int_in_range(0..=(n - 1) as u8).unwrap_or(0).into(),
            _ => self.0.int_in_range(0..=n - 1).unwrap_or(0),
        }
    }

    fn more(&mut self) -> bool {
        !self.0.is_empty()
    }
}

/// Random numbers, the same for the same seed (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// So many bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let number = self.number().to_le_bytes();
            part.copy_from_slice(&number[..part.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_a_byte_and_nothing_left_is_zero() {
        let mut input = Input::new(&[7, 3, 250]);
        assert_eq!((input.below(8), input.below(1), input.below(4)), (7, 0, 3));
        assert_eq!((input.below(256), input.more()), (250, false));
        assert_eq!((input.below(9), input.chance(99)), (0, false));
    }
}
