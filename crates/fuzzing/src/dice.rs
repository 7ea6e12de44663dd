//! Decisions out of bytes: whoever gives the bytes, a generator of random ones or a fuzzer that watches what they lead to,
//! gives the decisions. It never fails: after the last byte every decision is the first of its choices.

/// Decisions out of bytes.
#[derive(Debug)]
pub struct Dice<'a> {
    bytes: &'a [u8],
}

impl<'a> Dice<'a> {
    /// Out of these.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `limit`; 0 where there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        let drawn = if limit <= 256 {
            usize::from(self.byte())
        } else {
            usize::from(self.byte()) << 16 | usize::from(self.byte()) << 8 | usize::from(self.byte())
        };
        drawn.checked_rem(limit).unwrap_or(0)
    }

    /// One of these, if there is any.
    pub fn one_of<'b, T>(&mut self, choices: &'b [T]) -> Option<&'b T> {
        choices.get(self.below(choices.len()))
    }

    /// Some bytes as they are, at most `limit`.
    pub fn raw(&mut self, limit: usize) -> Vec<u8> {
        (0..self.below(limit.saturating_add(1))).map(|_| self.byte()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_stay_within_their_choices_and_end() {
        let mut dice = Dice::new(&[7, 255, 1, 2, 3]);
        assert_eq!((dice.below(4), dice.below(10)), (3, 5));
        assert!(dice.below(100_000) < 100_000);
        assert_eq!((dice.below(10), dice.below(0)), (0, 0), "nothing is left");
        assert_eq!(dice.one_of::<u8>(&[]), None);
    }
}
