//! The Markdown files of the repository: their links, the paths that they name, and their lines.
//! These tests need no peer.

use interplanar_tests::{checkout, output};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Columns that a line of prose may have. Tables and code blocks may be wider.
const MAX_COLUMNS: usize = 100;

/// A Markdown file.
struct Document {
    /// Its path, from the root of the repository.
    path: String,
    text: String,
}

/// A span of code such as `docs/design.md`, or the target of a link.
struct Named {
    line: usize,
    text: String,
}

/// The files of the repository: those that git tracks, and those that will be committed.
fn files() -> BTreeSet<String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let files = output(git.current_dir(checkout()));
    let exists = |path: &&str| checkout().join(path).exists();
    files.lines().filter(exists).map(str::to_owned).collect()
}

fn documents() -> Vec<Document> {
    let read = |path: String| Document {
        text: std::fs::read_to_string(checkout().join(&path)).expect("UTF-8"),
        path,
    };
    let files = files().into_iter().filter(|path| path.ends_with(".md"));
    let documents: Vec<Document> = files.map(read).collect();
    assert!(documents.iter().any(|one| one.path == "README.md"));
    documents
}

impl Document {
    /// The lines outside of code blocks, numbered from 1.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut fenced = false;
        let lines = self.text.lines().enumerate();
        lines.filter_map(move |(index, line)| {
            if line.starts_with("```") {
                fenced = !fenced;
                return None;
            }
            let code = fenced || line.starts_with("    ");
            (!code).then_some((index + 1, line))
        })
    }

    /// The prose without spans of code, and the spans. A span may continue on the next line.
    fn split(&self) -> (String, Vec<Named>) {
        let (mut prose, mut spans) = (String::new(), Vec::new());
        let mut open: Option<Named> = None;
        for (line, text) in self.prose() {
            for (index, part) in text.split('`').enumerate() {
                if index > 0 {
                    match open.take() {
                        Some(span) => spans.push(span),
                        None => {
                            let text = String::new();
                            open = Some(Named { line, text });
                        }
                    }
                }
                match &mut open {
                    Some(span) => span.text.push_str(part),
                    None => prose.push_str(part),
                }
            }
            prose.push('\n');
            // An empty line ends a paragraph, and with it a span that was never closed.
            match &mut open {
                Some(span) if !text.is_empty() => span.text.push(' '),
                _ => open = None,
            }
        }
        (prose, spans)
    }

    /// The targets of the links.
    fn links(&self) -> Vec<String> {
        let prose = self.split().0.replace('\n', " ");
        let targets = prose.split("](").skip(1);
        targets
            .filter_map(|rest| Some(rest.split_once(')')?.0.trim().to_owned()))
            .collect()
    }

    /// The anchors of the headings, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose().filter(|(_, line)| line.starts_with('#'));
        headings
            .map(|(_, line)| {
                let title = line.trim_start_matches('#').trim().to_lowercase();
                let kept = title.chars().filter_map(|c| match c {
                    ' ' => Some('-'),
                    c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                    _ => None,
                });
                kept.collect()
            })
            .collect()
    }

    /// A path that the document names, from the root of the repository. `None` if it leads out.
    fn resolve(&self, target: &str) -> Option<String> {
        let folder = Path::new(&self.path).parent().unwrap_or(Path::new(""));
        normal(&folder.join(target))
    }
}

/// Removes `.` and `..` from a path.
fn normal(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.to_str()?.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Whether a file or a folder has this path.
fn is_in(files: &BTreeSet<String>, path: &str) -> bool {
    let folder = format!("{path}/");
    path.is_empty()
        || files.contains(path)
        || files
            .range(folder.clone()..)
            .next()
            .is_some_and(|next| next.starts_with(&folder))
}

/// Writes out `{a,b}` in a path.
fn alternatives(path: &str) -> Vec<String> {
    let braces = path.split_once('{').and_then(|(before, rest)| {
        let (inside, after) = rest.split_once('}')?;
        Some((before, inside, after))
    });
    match braces {
        None => vec![path.to_owned()],
        Some((before, inside, after)) => inside
            .split(',')
            .map(|one| format!("{before}{one}{after}"))
            .collect(),
    }
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let (files, documents) = (files(), documents());
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for document in &documents {
        for link in document.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => Some(document.path.clone()),
                path => document.resolve(path),
            };
            let Some(target) = target.filter(|target| is_in(&files, target)) else {
                wrong.push(format!("{}: {link} leads nowhere", document.path));
                continue;
            };
            let named = documents.iter().find(|one| one.path == target);
            if !anchor.is_empty() && !named.is_some_and(|one| one.anchors().contains(anchor)) {
                wrong.push(format!("{}: {link}: no such heading", document.path));
            }
        }
    }
    assert!(checked > 50, "only {checked} links were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_path_of_the_repository_exists() {
    let files = files();
    let mut tops: BTreeSet<&str> = BTreeSet::new();
    tops.extend(
        files
            .iter()
            .filter_map(|path| Some(path.split_once('/')?.0)),
    );
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for document in documents() {
        for span in document.split().1 {
            let path = span.text.trim_end_matches('/');
            let plain = |c: char| c.is_ascii_alphanumeric() || "./_-{},".contains(c);
            if !path.chars().all(plain) || path.starts_with('/') {
                continue;
            }
            let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
            let here = files
                .iter()
                .filter_map(|file| file.strip_prefix(folder.to_str()?));
            let mut own = here.filter_map(|file| file.trim_start_matches('/').split_once('/'));
            let first = path.split('/').next().unwrap_or_default();
            // A path starts with a folder of the repository or of the document, or is the name of a
            // source file: of the document's crate, or of the folder that was named before it.
            let is_path =
                path.contains('/') && (tops.contains(first) || own.any(|(top, _)| top == first));
            let is_file = !path.contains('/')
                && [".rs", ".ts", ".md"]
                    .iter()
                    .any(|end| path.len() > 3 && path.ends_with(end));
            if !is_path && !is_file {
                continue;
            }
            // `scripts/www` and others make these.
            let made = ["www/dist", "worker/dist", "wasm/pkg", "target"];
            if made
                .iter()
                .any(|made| path == *made || path.starts_with(&format!("{made}/")))
            {
                continue;
            }
            checked += 1;
            for path in alternatives(path) {
                let exists = match is_file {
                    true => files
                        .iter()
                        .any(|file| file.rsplit('/').next() == Some(&path)),
                    false => [path.clone(), document.resolve(&path).unwrap_or_default()]
                        .iter()
                        .any(|path| is_in(&files, path)),
                };
                if !exists {
                    wrong.push(format!(
                        "{}:{}: there is no {path}",
                        document.path, span.line
                    ));
                }
            }
        }
    }
    assert!(checked > 50, "only {checked} paths were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The words of the code: names of files and items, and words in its texts.
fn words_of_code(files: &BTreeSet<String>) -> BTreeSet<String> {
    let sources = files.iter().filter_map(|path| {
        let (stem, end) = path.rsplit_once('.')?;
        ["rs", "ts", "mjs", "js"]
            .contains(&end)
            .then_some((path, stem))
    });
    let mut words: BTreeSet<String> = BTreeSet::new();
    for (path, stem) in sources {
        words.extend(stem.split('/').map(str::to_owned));
        let text = std::fs::read_to_string(checkout().join(path)).expect("UTF-8");
        let code = text.lines();
        for line in code.filter(|line| !line.trim_start().starts_with("//")) {
            let ends = |c: char| !(c.is_alphanumeric() || c == '_');
            words.extend(line.split(ends).map(str::to_owned));
        }
    }
    words.insert("interplanar_wasm".to_owned());
    words
}

/// `core::fetch`, `Stop::Refused` and `NarReader` name a file, folder or item that exists.
#[test]
fn every_name_of_the_code_exists() {
    let words = words_of_code(&files());
    let (mut wrong, mut checked) = (Vec::new(), 0);
    let documents = documents().into_iter();
    // The changelog also has the names of earlier versions.
    for document in documents.filter(|one| one.path != "CHANGELOG.md") {
        for span in document.split().1 {
            let name = &span.text;
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            let of_a_type = |name: &str| {
                let lower = |c: char| c.is_ascii_lowercase();
                name.starts_with(|c: char| c.is_ascii_uppercase()) && name.contains(lower)
            };
            if !name.chars().all(plain) || !(name.contains("::") || of_a_type(name)) {
                continue;
            }
            checked += 1;
            let parts = name.trim_end_matches(':').split("::");
            for word in parts.filter(|word| !words.contains(*word)) {
                let (path, line) = (&document.path, span.line);
                wrong.push(format!("{path}:{line}: {name}: the code has no {word}"));
            }
        }
    }
    assert!(checked > 20, "only {checked} names were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_line_of_prose_is_too_long() {
    let mut wrong = Vec::new();
    for document in documents() {
        for (line, text) in document.prose() {
            let columns = text.chars().count();
            if columns > MAX_COLUMNS && !text.starts_with('|') {
                wrong.push(format!("{}:{line}: {columns} columns", document.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
