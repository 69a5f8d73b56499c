//! CRC-32 (gzip, lzip, xz) and CRC-64 (xz): reflected, eight bits at a time.

macro_rules! crc {
    ($name:ident, $number:ty, $polynomial:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $name($number);

        impl $name {
            #[expect(
                clippy::indexing_slicing,
                reason = "runs at compile time, where an out-of-range index is a build error"
            )]
            const TABLE: [$number; 256] = {
                let mut table = [0; 256];
                let mut index = 0;
                while index < 256 {
                    let mut value = index as $number;
                    let mut bit = 0;
                    while bit < 8 {
                        value = if value & 1 == 1 {
                            value >> 1 ^ $polynomial
                        } else {
                            value >> 1
                        };
                        bit += 1;
                    }
                    table[index] = value;
                    index += 1;
                }
                table
            };

            pub(super) fn new() -> Self {
                Self(<$number>::MAX)
            }

            pub(super) fn update(&mut self, bytes: &[u8]) {
                static TABLE: [$number; 256] = $name::TABLE;
                for byte in bytes {
                    let index = usize::from(self.0 as u8 ^ byte);
                    self.0 = self.0 >> 8 ^ TABLE.get(index).copied().unwrap_or_default();
                }
            }

            pub(super) fn value(self) -> $number {
                !self.0
            }
        }
    };
}

crc!(Crc32, u32, 0xedb8_8320, "Computes a CRC-32 incrementally.");
crc!(
    Crc64,
    u64,
    0xc96c_5795_d787_0f42,
    "Computes a CRC-64 incrementally."
);

impl Crc32 {
    /// Computes the CRC of all bytes at once.
    pub(super) fn of(bytes: &[u8]) -> u32 {
        let mut crc = Self::new();
        crc.update(bytes);
        crc.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crcs_equal_the_published_check_values() {
        assert_eq!(Crc32::of(b"123456789"), 0xcbf4_3926);
        let mut crc = Crc64::new();
        crc.update(b"123456789");
        assert_eq!(crc.value(), 0x995d_c9bb_df19_39fa);
    }
}
