//! The page for people: whose substitutes these are, and how to use them.

use crate::inspect;
use interplanar_core::narinfo::Dialect;
use interplanar_gateway::html::escape;

const INSPECTOR: &str = "<h2>Look inside</h2>\n<p>The <a href=\"inspect/\">inspector</a> shows what is here and who signed it, and verifies it in \
    your browser.</p>\n";

/// What the page tells.
pub(super) struct Page<'a> {
    pub(super) host: &'a str,
    pub(super) dialect: Dialect,
    pub(super) store_dir: &'a str,
    /// The public keys as clients take them; empty if nothing is signed.
    pub(super) keys: &'a str,
    /// Where the client has reached us, by its `Host` header.
    pub(super) url: &'a str,
}

impl Page<'_> {
    pub(super) fn html(&self) -> String {
        let use_it = match self.dialect {
            Dialect::Guix => self.guix(),
            Dialect::Nix => self.nix(),
        };
        let look = if inspect::is_built() { INSPECTOR } else { "" };
        let (host, store, url) = (escape(self.host), escape(self.store_dir), escape(self.url));
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Substitutes of {host}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <style>body{{max-width:44em;margin:2em auto;padding:0 1em;font-family:sans-serif;line-height:1.5}}\
             pre{{overflow-x:auto;padding:.6em;background:#8882}}</style></head>\n\
             <body>\n<h1>Substitutes of {host}</h1>\n\
             <p><b>interplanar publish</b> serves the items of <code>{store}</code> here, over HTTP and over IPFS.</p>\n\
             {use_it}\
             <h2>Over IPFS</h2>\n<p>Narinfos of items that are baked name their NARs as <code>ipfs://…</code>. A proxy on your machine \
             fetches them from any gateway, this server's included, and checks every block:</p>\n\
             <pre>interplanar proxy --upstream {url} --gateway {url}</pre>\n\
             {look}</body>\n</html>\n"
        )
    }

    fn guix(&self) -> String {
        let url = escape(self.url);
        let key = match self.keys {
            "" => "<p>These substitutes are not signed: a client can't authorize them.</p>\n"
                .to_owned(),
            key => format!(
                "<p>Authorize the <a href=\"signing-key.pub\">signing key</a> first, if you trust this machine:</p>\n\
                 <pre>{}</pre>\n<pre>curl {url}/signing-key.pub | sudo guix archive --authorize</pre>\n",
                escape(key.trim())
            ),
        };
        format!("<h2>With Guix</h2>\n{key}<pre>guix build hello --substitute-urls={url}</pre>\n")
    }

    fn nix(&self) -> String {
        let url = escape(self.url);
        let key = match self.keys {
            "" => "<p>This server adds no signature; those that items came with are kept.</p>\n"
                .to_owned(),
            keys => format!(
                "<p>Trust its key, if you trust this machine:</p>\n<pre>{}</pre>\n",
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
    fn what_others_say_is_escaped() {
        let page = Page {
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
            Page {
                dialect: Dialect::Nix,
                ..page
            }
            .html()
            .contains("nix build")
        );
    }
}
