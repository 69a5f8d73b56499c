//! Options of guix-daemon for its helpers: `NAME=VALUE` lines in the environment variable
//! `_NIX_OPTIONS`.
//!
//! The prefix `untrusted-` marks options of the daemon's client. As in Guix, they take precedence
//! for the options read here.

/// Servers used at most; Guix has the same limit.
const MAX_SUBSTITUTE_URLS: usize = 50;

/// Servers used when the daemon names none, as in `guix substitute`.
const DEFAULT_SUBSTITUTE_URLS: [&str; 2] =
    ["https://bordeaux.guix.gnu.org", "https://ci.guix.gnu.org"];

/// Options of the daemon and its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonOptions {
    /// Servers to ask, in this order.
    pub substitute_urls: Vec<String>,
    /// Print progress as build-trace lines (`@ download-started …`) instead of readable text.
    pub build_trace: bool,
    /// Hard-link identical files of the store.
    pub deduplicate: bool,
}

impl DaemonOptions {
    /// Parses the value of `_NIX_OPTIONS`. Lines without `=` and unknown names are ignored.
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
    fn options_of_the_client_take_precedence() {
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
