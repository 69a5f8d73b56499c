//! Reads the system of a derivation from its `.drv` file.
//!
//! ```text
//! derivation = "Derive(" outputs "," inputs "," sources "," system "," builder ","
//!              arguments "," environment ")"
//! outputs, inputs, sources = "[" … "]"       lists of strings, tuples and lists
//! system = string                            `"x86_64-linux"`
//! string = '"' (character | "\" character)* '"'
//! ```
//! The file is read only up to its fourth field, and at most [`MAX_PREFIX`] bytes of it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::SourceError;

/// Most bytes of a `.drv` before its system. The largest derivations known have some thousand
/// inputs of about 100 bytes.
pub(super) const MAX_PREFIX: u64 = 4 << 20;
/// Most bytes of a system's name; real ones have up to 20.
pub(super) const MAX_SYSTEM: usize = 64;

/// Returns the system that a derivation builds for; `None` if the file doesn't exist or is
/// malformed.
pub(super) fn system(drv: &Path) -> Result<Option<String>, SourceError> {
    let file = match File::open(drv) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SourceError::io(drv, &error)),
    };
    let mut scanner = DerivationScanner::default();
    let mut file = file.take(MAX_PREFIX);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(SourceError::io(drv, &error)),
        };
        for &byte in buffer.iter().take(read) {
            match scanner.push(byte) {
                ScanStep::More => {}
                ScanStep::System(system) => return Ok(Some(system)),
                ScanStep::Malformed => return Ok(None),
            }
        }
    }
}

enum ScanStep {
    More,
    System(String),
    Malformed,
}

/// Tracks nesting and strings; stores only the head and the fourth field.
#[derive(Default)]
struct DerivationScanner {
    head: Vec<u8>,
    depth: u32,
    field: u32,
    in_string: bool,
    escaped: bool,
    system: Vec<u8>,
}

const HEAD: &[u8] = b"Derive(";

impl DerivationScanner {
    fn push(&mut self, byte: u8) -> ScanStep {
        if self.head.len() < HEAD.len() {
            self.head.push(byte);
            if !HEAD.starts_with(&self.head) {
                return ScanStep::Malformed;
            }
            self.depth = u32::from(self.head.len() == HEAD.len());
            return ScanStep::More;
        }
        if self.in_string {
            return self.in_string(byte);
        }
        match byte {
            b'"' => self.in_string = true,
            b'[' | b'(' => self.depth = self.depth.saturating_add(1),
            b']' | b')' => self.depth = self.depth.saturating_sub(1),
            b',' if self.depth == 1 => self.field += 1,
            _ => {}
        }
        let is_past = self.depth == 0 || self.field > 3;
        let is_no_string = self.field == 3 && self.depth > 1;
        if is_past || is_no_string {
            return ScanStep::Malformed;
        }
        ScanStep::More
    }

    fn in_string(&mut self, byte: u8) -> ScanStep {
        let ends = byte == b'"' && !self.escaped;
        let is_system = self.field == 3 && self.depth == 1;
        if ends {
            self.in_string = false;
        } else if byte == b'\\' && !self.escaped {
            self.escaped = true;
            // The name of a system contains no escapes.
            return if is_system {
                ScanStep::Malformed
            } else {
                ScanStep::More
            };
        } else if is_system {
            self.system.push(byte);
        }
        self.escaped = false;
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte);
        match is_system {
            true if ends => match String::from_utf8(std::mem::take(&mut self.system)) {
                Ok(system) if !system.is_empty() && system.bytes().all(|b| is_plain(&b)) => {
                    ScanStep::System(system)
                }
                _ => ScanStep::Malformed,
            },
            true if self.system.len() > MAX_SYSTEM => ScanStep::Malformed,
            _ => ScanStep::More,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRV: &str = r#"Derive([("out","/gnu/store/rcff5adc6nm3b2y1lx9flnpqksfm7ka5-greet-1.0","","")],[("/gnu/store/a.drv",["out","lib"])],["/gnu/store/builder \" ) ] ,"],"x86_64-linux","/bin/sh",["-c","x"],[("name","greet")])"#;

    fn of(text: &[u8]) -> Option<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        system(file.path()).unwrap()
    }

    #[test]
    fn the_fourth_field_is_the_system() {
        assert_eq!(of(DRV.as_bytes()).as_deref(), Some("x86_64-linux"));
        assert_eq!(
            of(br#"Derive([],[],[],"armhf-linux","#).as_deref(),
            Some("armhf-linux")
        );
    }

    #[test]
    fn every_truncation_gives_none() {
        let end = DRV.find(r#"","/bin/sh"#).unwrap();
        for length in 0..=end {
            assert_eq!(of(&DRV.as_bytes()[..length]), None, "{length}");
        }
    }

    #[test]
    fn malformed_derivations_give_none() {
        for hostile in [
            &b"\x7fELF"[..],
            b"Derive)",
            b"Derive([],[],[],[\"x\"],\"y\"",
            b"Derive([],[],[],\"\",\"y\"",
            br#"Derive([],[],[],"a\"b","y""#,
            b"Derive([],[],[],\"a b\",\"y\"",
            b"Derive([],[],[],,\"y\"",
        ] {
            assert_eq!(of(hostile), None, "{}", String::from_utf8_lossy(hostile));
        }
        let long = format!("Derive([],[],[],\"{}\",", "a".repeat(MAX_SYSTEM + 1));
        assert_eq!(of(long.as_bytes()), None);
    }

    #[test]
    fn a_missing_file_gives_none() {
        assert_eq!(system(Path::new("/nonexistent/x.drv")).unwrap(), None);
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let mut text = b"Derive([".to_vec();
        text.resize(MAX_PREFIX as usize, b'[');
        text.extend_from_slice(br#"],[],[],"x86_64-linux","#);
        assert_eq!(of(&text), None);
    }
}
