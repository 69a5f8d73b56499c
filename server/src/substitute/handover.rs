//! Passes the daemon's other commands (`authenticate`, `offload`, `perform-download`, `discover`,
//! …) on to the real `guix`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Paths of `guix` that are tried when it is not in `$PATH`.
const DEFAULT_PATHS: [&str; 3] = [
    "/run/current-system/profile/bin/guix",
    "/var/guix/profiles/per-user/root/current-guix/bin/guix",
    "/usr/bin/guix",
];

/// Replaces this process with the real `guix`, if the daemon started this program as `$GUIX` for a
/// command other than `substitute`. Returns only if that fails, with the reason. Returns `None`
/// when the command line is for this program.
#[must_use]
pub fn to_real_guix(arguments: &[OsString]) -> Option<String> {
    let configured = std::env::var_os("GUIX")?;
    let own_program = std::env::current_exe().ok()?;
    if Path::new(&configured).canonicalize().ok()? != own_program.canonicalize().ok()? {
        return None;
    }
    if arguments.get(1).is_none_or(|name| name == "substitute") {
        return None;
    }
    let Some(guix) = real_guix(&own_program) else {
        return Some("can't find the real guix: set INTERPLANAR_GUIX to its path".to_owned());
    };
    let error = Command::new(&guix)
        .args(arguments.iter().skip(1))
        .env_remove("GUIX")
        .exec();
    Some(format!("can't run {}: {error}", guix.display()))
}

fn real_guix(own_program: &Path) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("INTERPLANAR_GUIX") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    find(&path, own_program)
}

fn find(path: &OsStr, own_program: &Path) -> Option<PathBuf> {
    let in_path = std::env::split_paths(path).map(|folder| folder.join("guix"));
    let candidates = in_path.chain(DEFAULT_PATHS.map(PathBuf::from));
    let other = |guix: &PathBuf| {
        guix.canonicalize()
            .is_ok_and(|real| own_program.canonicalize().ok() != Some(real))
    };
    candidates.into_iter().find(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guix_in_path_that_is_this_program_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let (own_program, fake, real) = (
            folder.path().join("interplanar"),
            folder.path().join("fake"),
            folder.path().join("real"),
        );
        std::fs::write(&own_program, "").unwrap();
        for configured in [&fake, &real] {
            std::fs::create_dir(configured).unwrap();
        }
        std::os::unix::fs::symlink(&own_program, fake.join("guix")).unwrap();
        std::fs::write(real.join("guix"), "").unwrap();
        let path = std::env::join_paths([&fake, &real]).unwrap();
        assert_eq!(find(&path, &own_program), Some(real.join("guix")));
    }
}
