//! The program under test, `interplanar`, as a process.

use crate::root::{Root, wait_until};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// Returns the path of the program, which cargo built into the folder of this test's profile.
///
/// # Panics
/// If the program is not built. `make test` builds it first.
#[must_use]
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let folder = test.ancestors().nth(2).expect("target/<profile>/deps");
    let binary = folder.join("interplanar");
    assert!(
        binary.exists(),
        "build the program first: cargo build -p interplanar-server"
    );
    binary
}

/// A running `interplanar publish` or `interplanar proxy`. It is killed when this is dropped.
pub struct Program {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Its URL, `http://127.0.0.1:port`.
    pub url: String,
}

impl Program {
    /// Starts the program inside a machine, and waits for its URL.
    #[must_use]
    pub fn inside(root: &Root, arguments: &[&str]) -> Self {
        Self::start(root.direct("interplanar").args(arguments))
    }

    /// Starts the program on the host, and waits for its URL.
    #[must_use]
    pub fn outside(arguments: &[&str]) -> Self {
        Self::start(Command::new(binary()).args(arguments))
    }

    /// Starts `interplanar publish` on the host. It publishes folders as items of `/gnu/store`.
    ///
    /// # Panics
    /// If a name isn't UTF-8.
    #[must_use]
    pub fn publish(cache: &Path, options: &[&str], trees: &[PathBuf]) -> Self {
        let cache = format!("--cache={}", cache.display());
        let mut arguments = vec![
            "publish",
            "--port=0",
            "--listen=127.0.0.1",
            "--store-dir=/gnu/store",
            &cache,
        ];
        arguments.extend(options);
        arguments.extend(trees.iter().map(|tree| tree.to_str().expect("UTF-8")));
        Self::outside(&arguments)
    }

    /// Starts `interplanar proxy` inside a machine, with the cache folder `/var/cache/CACHE`.
    #[must_use]
    pub fn proxy(
        root: &Root,
        cache: &str,
        upstream: &str,
        gateways: &[&str],
        options: &[&str],
    ) -> Self {
        let cache = format!("--cache=/var/cache/{cache}");
        let upstream = format!("--upstream={upstream}");
        let gateways: Vec<String> = gateways
            .iter()
            .map(|url| format!("--gateway={url}"))
            .collect();
        let mut arguments = vec!["proxy", "--port=0", &cache, &upstream];
        arguments.extend(gateways.iter().map(String::as_str));
        arguments.extend(options);
        Self::inside(root, &arguments)
    }

    /// Starts a command of the program, and waits for its URL.
    ///
    /// # Panics
    /// If the program ends at once, or logs no URL in time.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let log = Arc::new(Mutex::new(String::new()));
        let reader = BufReader::new(child.stderr.take().expect("a pipe"));
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let mut log = sink.lock().expect("the log");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut program = Self {
            child,
            log,
            url: String::new(),
        };
        wait_until("the program's address", || {
            let ended = program.child.try_wait().expect("its state");
            assert!(
                ended.is_none(),
                "{command:?} ended at once:\n{}",
                program.log()
            );
            program.url = address(&program.log()).unwrap_or_default();
            !program.url.is_empty()
        });
        program
    }

    /// Returns its log up to now.
    ///
    /// # Panics
    /// If the thread that reads the log panicked.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Returns the store path of the folder that it publishes, which it logs.
    ///
    /// # Panics
    /// If it logs no store path in time.
    #[must_use]
    pub fn item(&self) -> String {
        let mut path = String::new();
        wait_until("a store path in the log", || {
            let log = self.log();
            let start = log.find("/gnu/store/").or_else(|| log.find("/nix/store/"));
            let end = |c: char| c.is_whitespace() || c == '"' || c == '\u{1b}';
            path = start.map_or_else(String::new, |start| {
                log[start..]
                    .split(end)
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            });
            path.len() > 44
        });
        path
    }

    /// Returns its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM as a service manager does, waits for the end, and returns the log.
    ///
    /// # Panics
    /// If the program doesn't end in time.
    #[must_use]
    pub fn stop(mut self) -> String {
        let id = self.id().to_string();
        crate::output(Command::new("kill").arg(id));
        wait_until("the program's end", || {
            self.child.try_wait().expect("its state").is_some()
        });
        self.log()
    }

    /// Kills it with SIGKILL, as a crash would.
    pub fn kill(mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", self.url, self.log());
        }
    }
}

/// Returns the URL in the line `… listening on http://127.0.0.1:port…` of a log.
fn address(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("listening"))?;
    let start = line.find("http://")?;
    let address: String = line[start..]
        .chars()
        .take_while(|c| !c.is_whitespace() && *c != '"' && *c != '\u{1b}')
        .collect();
    Some(address.trim_end_matches('/').to_owned())
}

/// Returns a free port of loopback, for programs that can't choose one by themselves.
///
/// # Panics
/// If no port is free.
#[must_use]
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Returns the status and the body of the response to a GET.
///
/// # Panics
/// If no response comes.
#[must_use]
pub fn get(url: &str) -> (u16, String) {
    let answer = reqwest::blocking::get(url).unwrap_or_else(|e| panic!("{url}: {e}"));
    let status = answer.status().as_u16();
    (status, answer.text().expect("a body"))
}

/// Requests the narinfo of an item until it exists and `ready` accepts its text. Returns the text.
///
/// # Panics
/// If that doesn't happen in time.
pub fn narinfo(server: &str, item: &str, ready: impl Fn(&str) -> bool) -> String {
    let base = item.rsplit('/').next().expect("a base name");
    let url = format!("{server}/{}.narinfo", &base[..32]);
    let mut text = String::new();
    wait_until(&url.clone(), || {
        let (status, body) = get(&url);
        text = body;
        status == 200 && ready(&text)
    });
    text
}
