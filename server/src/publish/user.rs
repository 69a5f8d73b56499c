//! `--user`: what needs root is done first, then the program becomes another user for good.
//!
//! A process with many threads can't change its user safely by itself, so it replaces itself by a fresh copy of the program
//! that starts as that user, without supplementary groups. The copy gets what only root could open: the listening socket as its
//! standard input, and the texts of the keys in an anonymous file in memory as its standard output. No file on disk and no variable ever
//! holds a secret. The copy checks who it is before it goes on.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::keys::KeyTexts;

/// Set, to anything, for the copy that has another user.
const MARK: &str = "INTERPLANAR_CHANGED_USER";

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// What the privileged part hands over.
#[derive(Debug)]
pub struct Inheritance {
    /// The listening socket.
    pub listener: TcpListener,
    /// The rest.
    pub handover: Handover,
}

/// What is handed over in memory.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Handover {
    /// The keys.
    pub keys: KeyTexts,
    /// The cache folder, which may depend on who asks for it.
    pub cache: PathBuf,
}

/// Why the user can't be changed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("user '{0}' not found")]
    Unknown(String),
    /// The users can't be read, or the system refused a step.
    #[error("{step}: {error}")]
    Io {
        /// What was done.
        step: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The copy has a user that it should not have.
    #[error("expected to run as user {expected}, not as {actual}")]
    Unchanged {
        /// Whom it should be.
        expected: u32,
        /// Who it is.
        actual: u32,
    },
}

fn failed(step: &'static str) -> impl FnOnce(io::Error) -> UserError {
    move |error| UserError::Io { step, error }
}

impl User {
    /// Looks up a user by name or number, in /etc/passwd and then by `getent`, which knows those from elsewhere.
    ///
    /// # Errors
    /// There is none.
    pub fn find(name: &str) -> Result<Self, UserError> {
        let local = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        if let Some(user) = parse(&local, name) {
            return Ok(user);
        }
        let asked = Command::new("getent").args(["passwd", name]).output();
        let text = asked.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
        parse(&text.unwrap_or_default(), name).ok_or_else(|| UserError::Unknown(name.to_owned()))
    }

    /// Whether this process is that user already.
    pub fn is_current(self) -> bool {
        rustix::process::geteuid().as_raw() == self.uid
    }

    /// Replaces this process by a copy of itself that runs as the user. Returns only if that fails.
    pub fn become_it(self, inheritance: Inheritance) -> UserError {
        let keys = match hidden(&inheritance.handover) {
            Ok(keys) => keys,
            Err(error) => return error,
        };
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => return failed("finding the program")(error),
        };
        let error = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(MARK, "1")
            .stdin(Stdio::from(OwnedFd::from(inheritance.listener)))
            .stdout(Stdio::from(keys))
            .uid(self.uid)
            .gid(self.gid)
            .exec();
        failed("changing the user")(error)
    }

    /// What the privileged part handed over; `None` if this is no such copy.
    ///
    /// # Errors
    /// It is one, but with the wrong user, or without what it needs.
    pub fn inherit(self) -> Result<Option<Inheritance>, UserError> {
        if std::env::var_os(MARK).is_none() {
            return Ok(None);
        }
        let actual = rustix::process::getuid().as_raw();
        if actual != self.uid || !self.is_current() {
            let expected = self.uid;
            return Err(UserError::Unchanged { expected, actual });
        }
        let take = failed("taking over the socket");
        let listener = io::stdin().as_fd().try_clone_to_owned().map_err(take)?;
        let take = failed("taking over the keys");
        let keys = io::stdout().as_fd().try_clone_to_owned().map_err(take)?;
        let handover = revealed(File::from(keys)).map_err(failed("taking over the keys"))?;
        Ok(Some(Inheritance {
            listener: TcpListener::from(listener),
            handover,
        }))
    }
}

/// The keys in a file that has no name.
fn hidden(handover: &Handover) -> Result<File, UserError> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let file = rustix::fs::memfd_create("keys", flags);
    let mut file = File::from(file.map_err(|error| failed("hiding the keys")(error.into()))?);
    let text = serde_json::to_vec(handover);
    let text = text.map_err(|error| failed("hiding the keys")(error.into()))?;
    file.write_all(&text)
        .and_then(|()| file.rewind())
        .map_err(failed("hiding the keys"))?;
    Ok(file)
}

fn revealed(mut file: File) -> io::Result<Handover> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    // Nobody finds them there later.
    file.set_len(0)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Finds a line `name:password:uid:gid:…`.
fn parse(passwd: &str, wanted: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        if name != wanted && uid != wanted {
            return None;
        }
        Some(User {
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_users_by_name_and_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad\nnobody:x:65534:65533::/:/bin/false\n";
        let nobody = User {
            uid: 65534,
            gid: 65533,
        };
        assert_eq!(parse(passwd, "nobody"), Some(nobody));
        assert_eq!(parse(passwd, "65534"), Some(nobody));
        assert_eq!(parse(passwd, "bad"), None);
        assert!(matches!(
            User::find("no such user"),
            Err(UserError::Unknown(_))
        ));
    }

    #[test]
    fn keys_are_handed_over_once() {
        let keys = KeyTexts {
            guix: None,
            nix: vec![(PathBuf::from("/key"), "name:secret".to_owned())],
        };
        let cache = PathBuf::from("/cache");
        let handover = Handover { keys, cache };
        let file = hidden(&handover).unwrap();
        let again = file.try_clone().unwrap();
        let got = revealed(file).unwrap();
        assert_eq!(
            (got.keys.nix, got.cache),
            (handover.keys.nix, handover.cache)
        );
        assert!(revealed(again).is_err());
    }
}
