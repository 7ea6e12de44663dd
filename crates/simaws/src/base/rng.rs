//! Seeded randomness: the same seed and the same calls give the same ids and the same faults.

/// SplitMix64 (public domain algorithm by Sebastiano Vigna).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        (self.bits() >> 11) as f64 / ((1u64 << 53) as f64) < probability
    }

    /// `n` hex digits.
    pub fn hex(&mut self, n: usize) -> String {
        let mut s = String::with_capacity(n + 16);
        while s.len() < n {
            s.push_str(&hex::encode(self.bits().to_be_bytes()));
        }
        s.truncate(n);
        s
    }

    /// `n` characters of `alphabet`.
    pub fn pick(&mut self, n: usize, alphabet: &str) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..n).map(|_| letters[(self.bits() % letters.len() as u64) as usize]).collect()
    }

    /// A version 4 UUID.
    pub fn uuid(&mut self) -> String {
        let hi = u128::from(self.bits()) << 64;
        uuid::Builder::from_random_bytes((hi | u128::from(self.bits())).to_be_bytes()).into_uuid().to_string()
    }
}
