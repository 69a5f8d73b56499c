//! What guix-daemon runs of `$GUIX` besides `substitute` (`authenticate`, `offload`, `perform-download`, `discover`, …) is for the real `guix`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `guix` is when it is not in `$PATH`.
const USUAL: [&str; 3] = [
    "/run/current-system/profile/bin/guix",
    "/var/guix/profiles/per-user/root/current-guix/bin/guix",
    "/usr/bin/guix",
];

/// Becomes the real `guix` if this program was started in its place for a sub-command that is not its own: then it returns only with the
/// reason why that failed. `None` when the command line is this program's.
#[must_use]
pub fn to_real_guix(arguments: &[OsString]) -> Option<String> {
    let place = std::env::var_os("GUIX")?;
    let this = std::env::current_exe().ok()?;
    if Path::new(&place).canonicalize().ok()? != this.canonicalize().ok()? {
        return None;
    }
    if arguments.get(1).is_none_or(|name| name == "substitute") {
        return None;
    }
    let Some(guix) = real_guix(&this) else {
        return Some("there is no guix to hand this to: name it by INTERPLANAR_GUIX".to_owned());
    };
    let error = Command::new(&guix)
        .args(arguments.iter().skip(1))
        .env_remove("GUIX")
        .exec();
    Some(format!("{}: {error}", guix.display()))
}

fn real_guix(this: &Path) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("INTERPLANAR_GUIX") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    find(&path, this)
}

fn find(path: &OsStr, this: &Path) -> Option<PathBuf> {
    let in_path = std::env::split_paths(path).map(|folder| folder.join("guix"));
    let candidates = in_path.chain(USUAL.map(PathBuf::from));
    let other = |guix: &PathBuf| {
        guix.canonicalize()
            .is_ok_and(|real| this.canonicalize().ok() != Some(real))
    };
    candidates.into_iter().find(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_under_the_name_of_guix_is_not_the_real_one() {
        let folder = tempfile::tempdir().unwrap();
        let (this, fake, real) = (
            folder.path().join("interplanar"),
            folder.path().join("fake"),
            folder.path().join("real"),
        );
        std::fs::write(&this, "").unwrap();
        for place in [&fake, &real] {
            std::fs::create_dir(place).unwrap();
        }
        std::os::unix::fs::symlink(&this, fake.join("guix")).unwrap();
        std::fs::write(real.join("guix"), "").unwrap();
        let path = std::env::join_paths([&fake, &real]).unwrap();
        assert_eq!(find(&path, &this), Some(real.join("guix")));
    }
}
