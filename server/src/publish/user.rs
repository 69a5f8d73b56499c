//! `--user`: does first what needs root, and then changes the user of the process for good.
//!
//! A process with many threads can't safely change its user. So it replaces itself with a new
//! instance of the program that starts as that user, without supplementary groups. The instance
//! inherits what only root could open: the listening socket as its standard input, and the texts of
//! the keys, in an anonymous file in memory, as its standard output. No file on disk and no
//! environment variable ever holds a secret. The instance checks its user before it continues.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::keys::KeyTexts;

/// The environment variable that marks the instance with the changed user; any value counts.
const MARK: &str = "INTERPLANAR_CHANGED_USER";

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User ID.
    pub uid: u32,
    /// ID of the primary group.
    pub gid: u32,
}

/// What the privileged instance hands over.
#[derive(Debug)]
pub struct Inheritance {
    /// The listening socket.
    pub listener: TcpListener,
    /// The data that is handed over in memory.
    pub handover: Handover,
}

/// The data that the privileged instance hands over in memory.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Handover {
    /// The texts of the key files.
    pub keys: KeyTexts,
    /// The cache folder; its default depends on the user.
    pub cache: PathBuf,
}

/// Why the program can't run as the user of `--user`.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("there is no user '{0}' on this machine; name another with --user")]
    Unknown(String),
    /// A user can't be looked up, or the system refused a step.
    #[error("can't {step}: {error}")]
    Io {
        /// The step that failed, as a verb phrase.
        step: &'static str,
        /// The reason of the system.
        error: io::Error,
    },
    /// The new instance has the wrong user.
    #[error("can't change the user: expected user ID {expected}, running as {actual}")]
    Unchanged {
        /// The user ID it should have.
        expected: u32,
        /// The user ID it has.
        actual: u32,
    },
}

fn failed(step: &'static str) -> impl FnOnce(io::Error) -> UserError {
    move |error| UserError::Io { step, error }
}

impl User {
    /// Looks up a user by name or number, in /etc/passwd and then with `getent`, which also knows
    /// users from the network.
    ///
    /// # Errors
    /// There is no such user.
    pub fn find(name: &str) -> Result<Self, UserError> {
        let local = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        if let Some(user) = parse(&local, name) {
            return Ok(user);
        }
        let asked = Command::new("getent").args(["passwd", name]).output();
        let text = asked.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
        parse(&text.unwrap_or_default(), name).ok_or_else(|| UserError::Unknown(name.to_owned()))
    }

    /// Returns whether this process has that user already.
    pub fn is_current(self) -> bool {
        rustix::process::geteuid().as_raw() == self.uid
    }

    /// Replaces this process with a new instance that runs as the user. Returns only if that
    /// fails.
    pub fn become_it(self, inheritance: Inheritance) -> UserError {
        let keys = match in_memory_file(&inheritance.handover) {
            Ok(keys) => keys,
            Err(error) => return error,
        };
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(error) => return failed("find the own program file")(error),
        };
        let error = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(MARK, "1")
            .stdin(Stdio::from(OwnedFd::from(inheritance.listener)))
            .stdout(Stdio::from(keys))
            .uid(self.uid)
            .gid(self.gid)
            .exec();
        failed("change the user")(error)
    }

    /// Returns what the privileged instance handed over, or `None` if this isn't a new
    /// instance.
    ///
    /// # Errors
    /// It is one, but with the wrong user, or something it needs is missing.
    pub fn inherit(self) -> Result<Option<Inheritance>, UserError> {
        if std::env::var_os(MARK).is_none() {
            return Ok(None);
        }
        let actual = rustix::process::getuid().as_raw();
        if actual != self.uid || !self.is_current() {
            let expected = self.uid;
            return Err(UserError::Unchanged { expected, actual });
        }
        let failure = failed("inherit the socket");
        let listener = io::stdin().as_fd().try_clone_to_owned().map_err(failure)?;
        let failure = failed("inherit the keys");
        let keys = io::stdout().as_fd().try_clone_to_owned().map_err(failure)?;
        let handover = read_and_erase(File::from(keys)).map_err(failed("inherit the keys"))?;
        Ok(Some(Inheritance {
            listener: TcpListener::from(listener),
            handover,
        }))
    }
}

/// Writes the data to a file in memory that has no name.
fn in_memory_file(handover: &Handover) -> Result<File, UserError> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let file = rustix::fs::memfd_create("keys", flags);
    let mut file = File::from(file.map_err(|error| failed("hand over the keys")(error.into()))?);
    let text = serde_json::to_vec(handover);
    let text = text.map_err(|error| failed("hand over the keys")(error.into()))?;
    file.write_all(&text)
        .and_then(|()| file.rewind())
        .map_err(failed("hand over the keys"))?;
    Ok(file)
}

fn read_and_erase(mut file: File) -> io::Result<Handover> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    // So that nobody can read the keys from it later.
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
        let file = in_memory_file(&handover).unwrap();
        let again = file.try_clone().unwrap();
        let got = read_and_erase(file).unwrap();
        assert_eq!(
            (got.keys.nix, got.cache),
            (handover.keys.nix, handover.cache)
        );
        assert!(read_and_erase(again).is_err());
    }
}
