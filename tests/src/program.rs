//! The `interplanar` program under test, as a process.

use crate::root::{Root, wait_until};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// The program that cargo built beside this test.
///
/// # Panics
/// When it was not built: `make test` builds it first.
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

/// A serving `interplanar publish` or `interplanar proxy`.
pub struct Program {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Its address, `http://127.0.0.1:port`.
    pub url: String,
}

impl Program {
    /// Starts it inside a root and waits for its address.
    #[must_use]
    pub fn inside(root: &Root, arguments: &[&str]) -> Self {
        Self::start(root.direct("interplanar").args(arguments))
    }

    /// Starts it on the host.
    #[must_use]
    pub fn outside(arguments: &[&str]) -> Self {
        Self::start(Command::new(binary()).args(arguments))
    }

    /// Starts `interplanar publish` on the host, for trees as items of /gnu/store.
    ///
    /// # Panics
    /// For names that are not UTF-8.
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

    /// Starts `interplanar proxy` inside a root, with a cache folder of this name.
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

    /// Starts a prepared command of the program.
    ///
    /// # Panics
    /// When it says no address within a minute.
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

    /// What it logged until now.
    ///
    /// # Panics
    /// When the reader of the log panicked.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// The store path that it gave the tree that it publishes.
    ///
    /// # Panics
    /// When it says none within a minute.
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

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a service manager does, and gives its log.
    ///
    /// # Panics
    /// When it doesn't end within a minute.
    #[must_use]
    pub fn stop(mut self) -> String {
        let id = self.id().to_string();
        crate::output(Command::new("kill").arg(id));
        wait_until("the program's end", || {
            self.child.try_wait().expect("its state").is_some()
        });
        self.log()
    }

    /// Ends it as a power cut would.
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

/// The address in the line `… listening on http://127.0.0.1:port…`.
fn address(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("listening"))?;
    let start = line.find("http://")?;
    let address: String = line[start..]
        .chars()
        .take_while(|c| !c.is_whitespace() && *c != '"' && *c != '\u{1b}')
        .collect();
    Some(address.trim_end_matches('/').to_owned())
}

/// A port of loopback that nobody listens on now, for programs that don't take 0.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The body of a GET.
///
/// # Panics
/// When nothing answers.
#[must_use]
pub fn get(url: &str) -> (u16, String) {
    let answer = reqwest::blocking::get(url).unwrap_or_else(|e| panic!("{url}: {e}"));
    let status = answer.status().as_u16();
    (status, answer.text().expect("a body"))
}

/// Asks for a narinfo until it is there and `ready` of its text.
///
/// # Panics
/// After a minute.
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
