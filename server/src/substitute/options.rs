//! The options that guix-daemon gives its helpers: `NAME=VALUE` lines in the environment variable `_NIX_OPTIONS`.
//!
//! A name with `untrusted-` before it is what the daemon's client asked for; for what is read here it goes first, as in Guix.

/// Guix takes no more servers than this at once.
const MAX_SUBSTITUTE_URLS: usize = 50;

/// Used when the daemon names no server, as `guix substitute` does.
const DEFAULT_SUBSTITUTE_URLS: [&str; 2] =
    ["https://bordeaux.guix.gnu.org", "https://ci.guix.gnu.org"];

/// What the daemon and its client want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonOptions {
    /// Servers to ask, in this order.
    pub substitute_urls: Vec<String>,
    /// Progress as build-trace lines (`@ download-started …`) instead of lines for people.
    pub build_trace: bool,
    /// Identical files of the store become one file.
    pub deduplicate: bool,
}

impl DaemonOptions {
    /// Reads the value of `_NIX_OPTIONS`; lines without `=` and unknown names mean nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let find = |wanted: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find_map(|(name, value)| (name == wanted).then_some(value))
        };
        let client_first = |name: &str| find(&format!("untrusted-{name}")).or_else(|| find(name));
        let substitute_urls = match client_first("substitute-urls") {
            Some(urls) => urls.split_ascii_whitespace().map(str::to_owned).collect(),
            None => DEFAULT_SUBSTITUTE_URLS.map(str::to_owned).to_vec(),
        };
        let number = |text: &str| text.trim().parse::<u32>().is_ok_and(|number| number > 0);
        Self {
            substitute_urls: substitute_urls
                .into_iter()
                .take(MAX_SUBSTITUTE_URLS)
                .collect(),
            build_trace: client_first("print-extended-build-trace").is_some_and(number),
            deduplicate: find("deduplicate").is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_wishes_go_before_the_administrators() {
        let options = DaemonOptions::parse(
            "substitute-urls=http://admin\nuntrusted-substitute-urls=http://one http://two\n\
             print-extended-build-trace=0\nuntrusted-print-extended-build-trace=1\ndeduplicate=true\nbuild-cores=2",
        );
        assert_eq!(options.substitute_urls, ["http://one", "http://two"]);
        assert!(options.build_trace && options.deduplicate);
    }

    #[test]
    fn no_servers_are_not_the_default_servers() {
        assert!(
            DaemonOptions::parse("substitute-urls=")
                .substitute_urls
                .is_empty()
        );
        let none = DaemonOptions::parse("nonsense");
        assert_eq!(none.substitute_urls, DEFAULT_SUBSTITUTE_URLS);
        assert!(!none.build_trace && !none.deduplicate);
    }
}
