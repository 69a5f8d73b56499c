//! Error answers, as a page for browsers and as a line for programs. Also the headers that stop
//! untrusted content from acting in the name of this site.

use crate::reply::Reply;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use interplanar_gateway::html::escape;

/// Untrusted content has an origin of its own. Its scripts can read neither the caches nor the
/// settings of this site.
const SANDBOX: &str = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts";
/// Our own pages contain no scripts.
const PLAIN: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color:#222}\
h1{font-size:1.4rem}p{overflow-wrap:anywhere}code{font-size:.9em}\
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}";

/// An error that the client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// A few words.
    pub(crate) title: &'static str,
    /// A sentence with the details.
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title,
            detail: detail.into(),
        }
    }

    /// Returns the answer: a page if the request accepts HTML, otherwise a line of text.
    pub(crate) fn reply(&self, asked: &HeaderMap) -> Reply {
        let accept = asked.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let html = accept.is_some_and(|accept| accept.contains("text/html"));
        let reply = if html {
            Reply::new(self.status, "text/html; charset=utf-8", self.page())
                .with(CONTENT_SECURITY_POLICY, PLAIN)
        } else {
            let line = format!("{}: {}\n", self.title, self.detail);
            Reply::new(self.status, "text/plain; charset=utf-8", line)
        };
        reply
            .with(CACHE_CONTROL, "no-store")
            .with(X_CONTENT_TYPE_OPTIONS, "nosniff")
    }

    fn page(&self) -> String {
        let (title, detail) = (escape(self.title), escape(&self.detail));
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n\
             <body>\n<h1>{title}</h1>\n<p>{detail}</p>\n<p>No unverified content was shown: every block is checked first.</p>\n\
             <p><code>{}</code> · Interplanar</p>\n</body>\n</html>\n",
            self.status.as_u16()
        )
    }
}

/// Adds the headers for untrusted content.
pub(crate) fn distrust(headers: &mut HeaderMap) {
    let fixed = HeaderValue::from_static;
    headers.insert(CONTENT_SECURITY_POLICY, fixed(SANDBOX));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.insert(REFERRER_POLICY, fixed("no-referrer"));
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, fixed("cross-origin"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::ReplyBody;
    use http::header::CONTENT_TYPE;

    #[test]
    fn browsers_get_an_escaped_page_and_programs_a_line() {
        let problem = Problem::new(StatusCode::BAD_GATEWAY, "No gateway answered", "<script>&");
        let mut asked = HeaderMap::new();
        let ReplyBody::Whole(line) = problem.reply(&asked).body else {
            unreachable!()
        };
        assert_eq!(line, "No gateway answered: <script>&\n");
        asked.insert(ACCEPT, HeaderValue::from_static("text/html,*/*;q=0.8"));
        let reply = problem.reply(&asked);
        assert_eq!(reply.status, 502);
        assert_eq!(reply.headers[CONTENT_TYPE], "text/html; charset=utf-8");
        let ReplyBody::Whole(page) = reply.body else {
            unreachable!()
        };
        let page = String::from_utf8(page.to_vec()).unwrap();
        assert!(
            page.contains("&lt;script&gt;&amp;") && !page.contains("<script"),
            "{page}"
        );
    }
}
