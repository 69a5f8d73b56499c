//! The system's reasons for a refused access, in words.

use std::io::ErrorKind;

/// Returns the reason for error messages.
pub(crate) fn reason(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::NotFound => "no such file or folder".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        ErrorKind::NotADirectory => "a part of the path is not a folder".to_owned(),
        _ => kind.to_string(),
    }
}
