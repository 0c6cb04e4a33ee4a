//! Which files the sources of a command line are.

use crate::cli::{say, Failed};
use crate::side::{Result, Side};
use globset::{GlobBuilder, GlobMatcher};
use lkl::abi::Errno;
use lkl::Error;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is copied: something in a directory, or all that is in it.
#[derive(Debug)]
pub(super) struct Source<S> {
    /// The directory; `None`: the current one, or the root.
    pub(super) dir: Option<S>,
    /// Its names that are copied; `None`: all of them, and its own attributes.
    pub(super) names: Option<Vec<OsString>>,
}

/// Finds all sources. Nothing may be missing.
///
/// # Errors
/// All of them have been told.
pub(super) fn find<S: Side>(base: &S, sources: &[PathBuf], tool: &str) -> core::result::Result<Vec<Source<S>>, Failed> {
    let mut found = Vec::new();
    let mut failed = false;
    for path in sources {
        match one(base, path) {
            Ok(source) => found.push(source),
            Err(e) => {
                say(tool, e);
                failed = true;
            }
        }
    }
    if failed {
        return Err(Failed::SAID);
    }
    Ok(found)
}

/// A path, cut before its last part. Nothing is left of one that says "what is in it".
fn split(path: &Path) -> (&Path, Option<&OsStr>) {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    let bytes = bytes.get(..end).unwrap_or_default();
    let start = bytes.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    match bytes.get(start..).unwrap_or_default() {
        b"" | b"." | b".." => (path, None),
        name => (Path::new(OsStr::from_bytes(bytes.get(..start).unwrap_or_default())), Some(OsStr::from_bytes(name))),
    }
}

fn one<S: Side>(base: &S, path: &Path) -> Result<Source<S>> {
    if path.as_os_str().is_empty() {
        return Err(Error { errno: Errno::ENOENT, path: "''".into(), detail: None });
    }
    let (parent, name) = split(path);
    let dir = match parent.as_os_str().is_empty() {
        true => None,
        // The path that is shown is the one that the user gave.
        false => Some(base.open_dir_at(parent).map_err(|e| Error { path: path.to_owned(), ..e })?),
    };
    let Some(name) = name else { return Ok(Source { dir, names: None }) };
    let place = dir.as_ref().unwrap_or(base);
    let missing = match place.lstat(Path::new(name)) {
        Ok(_) => return Ok(Source { dir, names: Some(vec![name.to_owned()]) }),
        Err(e) => Error { path: path.to_owned(), ..e },
    };
    let Some(pattern) = pattern(name).filter(|_| missing.errno == Errno::ENOENT) else { return Err(missing) };
    let mut names = place.names()?;
    names.retain(|n| pattern.is_match(Path::new(n)));
    if names.is_empty() {
        return Err(Error { detail: Some("no file of such a name".into()), ..missing });
    }
    Ok(Source { dir, names: Some(names) })
}

/// The pattern that a name is, if it is one (`man 3 fnmatch`).
fn pattern(name: &OsStr) -> Option<GlobMatcher> {
    let text = name.to_str().filter(|text| text.contains(['*', '?', '[']))?;
    let mut plain = String::new();
    // What came before: a backslash that takes the meaning from what follows, or a star that has it.
    let (mut escaped, mut star) = (false, false);
    for c in text.chars() {
        match c {
            // Alternatives are the shell's, not fnmatch's.
            '{' | '}' if !escaped => plain.extend(['[', c, ']']),
            // Nor does it know of whole directories.
            '*' if star => {}
            c => plain.push(c),
        }
        star = c == '*' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    GlobBuilder::new(&plain).backslash_escape(true).build().ok().map(|glob| glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_before_their_last_part() {
        for (path, parent, name) in [
            ("a", "", Some("a")),
            ("a/b", "a/", Some("b")),
            ("/a", "/", Some("a")),
            ("a/b//", "a/", Some("b")),
            ("/", "/", None),
            (".", ".", None),
            ("..", "..", None),
            ("a/.", "a/.", None),
            ("a/./", "a/./", None),
            ("a/..", "a/..", None),
            ("./.a", "./", Some(".a")),
        ] {
            assert_eq!(split(Path::new(path)), (Path::new(parent), name.map(OsStr::new)), "{path}");
        }
    }

    #[test]
    fn patterns_are_those_of_fnmatch() {
        let matches = |pattern_text: &str, name: &[u8]| {
            pattern(OsStr::new(pattern_text)).is_some_and(|p| p.is_match(Path::new(OsStr::from_bytes(name))))
        };
        assert!(matches("*", b".hidden") && matches("*", b"\xff\xfe") && matches("**", b"a"));
        assert!(matches("a?c", b"abc") && !matches("a?c", b"ac"));
        assert!(matches("[a-c]x", b"bx") && !matches("[!a-c]x", b"bx"));
        assert!(matches("{a,b}*", b"{a,b}c") && !matches("{a,b}*", b"ac"));
        assert!(matches("\\**", b"*x") && !matches("\\**", b"x"));
        assert!(pattern(OsStr::new("plain")).is_none());
    }
}
