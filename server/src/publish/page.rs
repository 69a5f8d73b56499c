//! The page for people: it tells who serves these substitutes and how to use them.

use crate::inspect;
use interplanar_core::narinfo::Dialect;
use interplanar_gateway::html::escape;

const INSPECTOR: &str = "<h2>Look inside</h2>\n\
    <p>The <a href=\"inspect/\">inspector</a> lists the items of this server and who signed them, \
    and verifies them in your browser.</p>\n";

/// The values that the page shows.
pub(super) struct IndexPage<'a> {
    pub(super) host: &'a str,
    pub(super) dialect: Dialect,
    pub(super) store_dir: &'a str,
    /// The public keys in the form that clients read; empty if the server doesn't sign.
    pub(super) keys: &'a str,
    /// The URL that the client used, from its `Host` header.
    pub(super) url: &'a str,
}

impl IndexPage<'_> {
    pub(super) fn html(&self) -> String {
        let use_it = match self.dialect {
            Dialect::Guix => self.guix(),
            Dialect::Nix => self.nix(),
        };
        let look = if inspect::is_built() { INSPECTOR } else { "" };
        let (host, store, url) = (escape(self.host), escape(self.store_dir), escape(self.url));
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Substitutes from {host}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <style>body{{max-width:44em;margin:2em auto;padding:0 1em;font-family:sans-serif;line-height:1.5}}\
             pre{{overflow-x:auto;padding:.6em;background:#8882}}</style></head>\n\
             <body>\n<h1>Substitutes from {host}</h1>\n\
             <p>This server, <b>interplanar publish</b>, shares the items of <code>{store}</code> \
             over HTTP and IPFS.</p>\n\
             {use_it}\
             <h2>Over IPFS</h2>\n<p>Narinfos of baked items list <code>ipfs://…</code> URLs. \
             A proxy on your machine fetches them from any gateway, also from this server, \
             and verifies every block:</p>\n\
             <pre>interplanar proxy --upstream {url} --gateway {url}</pre>\n\
             {look}</body>\n</html>\n"
        )
    }

    fn guix(&self) -> String {
        let url = escape(self.url);
        let key = match self.keys {
            "" => "<p>These substitutes are not signed, so Guix can't authorize them.</p>\n"
                .to_owned(),
            key => format!(
                "<p>If you trust this machine, authorize its \
                 <a href=\"signing-key.pub\">signing key</a> first:</p>\n\
                 <pre>{}</pre>\n<pre>curl {url}/signing-key.pub | sudo guix archive --authorize</pre>\n",
                escape(key.trim())
            ),
        };
        format!("<h2>With Guix</h2>\n{key}<pre>guix build hello --substitute-urls={url}</pre>\n")
    }

    fn nix(&self) -> String {
        let url = escape(self.url);
        let key = match self.keys {
            "" => "<p>This server signs nothing itself. \
                   Items keep the signatures they already have.</p>\n"
                .to_owned(),
            keys => format!(
                "<p>If you trust this machine, trust its key:</p>\n<pre>{}</pre>\n",
                escape(keys.trim())
            ),
        };
        let keys = escape(&self.keys.lines().collect::<Vec<_>>().join(" "));
        format!(
            "<h2>With Nix</h2>\n{key}<pre>nix build … --extra-substituters {url} --extra-trusted-public-keys '{keys}'</pre>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_from_outside_are_escaped() {
        let page = IndexPage {
            host: "<script>",
            dialect: Dialect::Guix,
            store_dir: "/gnu/store",
            keys: "(public-key)",
            url: "http://\"x'",
        };
        let html = page.html();
        assert!(!html.contains("<script>") && !html.contains("\"x'"));
        assert!(html.contains("guix archive --authorize") && html.contains("(public-key)"));
        assert!(
            IndexPage {
                dialect: Dialect::Nix,
                ..page
            }
            .html()
            .contains("nix build")
        );
    }
}
