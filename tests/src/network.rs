//! A network namespace for one test, so that it can use well-known ports (80, 5001, 8080, 8181).

use crate::attempt;
use std::process::Command;

/// Set for the process that runs inside the namespace.
const INSIDE: &str = "INTERPLANAR_TEST_NETWORK";

/// Runs `body` in a network namespace with loopback alone.
///
/// A namespace belongs to a process, so the test program starts itself again inside a new one, for
/// the test named `test` alone. `body` runs in that second process.
///
/// # Panics
/// If the test fails inside, with its output.
pub fn in_own_network(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let program = std::env::current_exe().expect("the path of this test program");
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--fork", "--kill-child", "sh", "-c"])
        .arg("ip link set lo up && exec \"$0\" \"$@\"")
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1");
    let (ok, out, err) = attempt(&mut command);
    // The inner counts would be added to the outer ones.
    let out = out.replace("test result:", "inner result:");
    assert!(ok, "{test} failed in its own network:\n{out}{err}");
    assert!(out.contains("1 passed"), "{test} didn't run:\n{out}{err}");
}
