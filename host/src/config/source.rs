//! Where settings come from: the environment, and a file in JSON, whose settings take the place of those of the environment one by one.

use super::keys::{self, Key, Of, KNOWN, PREFIX, STRICT};
use super::{json, ConfigError};
use rustix::fs::{FileType, Mode, OFlags};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// The file that is read if no other is named: LKL's.
const DEFAULT_FILE: &str = "lkl-hijack.json";
/// The variable that names another one.
const CONFIG_FILE: &str = "CONFIG_FILE";
/// Bytes of a file at most.
const FILE_MAX: usize = 1 << 20;

/// How the settings of an interface, or of the kernel, are called where they were made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// The file's name.
    file: String,
    /// The place of the interface in it.
    interface: Option<usize>,
    /// The variables in whose place a key of the file is.
    in_file: BTreeSet<&'static str>,
}

impl Names {
    /// The name of the setting, with the file's.
    pub fn of(&self, variable: &str) -> String {
        let short = self.short(variable);
        if self.is_in_file(variable) {
            format!("{}: {short}", self.file)
        } else {
            short
        }
    }

    /// The name, for messages about another setting of the same source.
    pub fn short(&self, variable: &str) -> String {
        let json = keys::by_variable(variable).map_or(variable, |k| k.json);
        match self.interface {
            Some(n) => format!("interfaces[{n}].{json}"),
            None if self.is_in_file(variable) => json.to_owned(),
            None => format!("{PREFIX}{variable}"),
        }
    }

    fn is_in_file(&self, variable: &str) -> bool {
        self.interface.is_some() || self.in_file.contains(variable)
    }
}

/// Settings that belong together, as text.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// By the variable's name.
    values: BTreeMap<&'static str, String>,
    /// How they are called.
    pub(super) names: Names,
}

impl Group {
    /// A setting's text; empty if it is not made.
    pub(super) fn text(&self, variable: &str) -> &str {
        self.values.get(variable).map_or("", String::as_str)
    }

    /// The variables of what is set.
    pub(super) fn given(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.values.keys().copied()
    }

    /// The setting is wrong.
    pub(super) fn wrong(&self, variable: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::of(self.names.of(variable), self.text(variable), problem)
    }

    /// All of them, parsed.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let pairs = self.values.iter().map(|(name, text)| (format!("{PREFIX}{name}"), text.clone()));
        envy::prefixed(PREFIX).from_iter(pairs).map_err(|all| self.culprit::<T>(&all))
    }

    /// Which of them `envy` could not make sense of: it says only what, so each is tried alone.
    fn culprit<T: DeserializeOwned>(&self, all: &envy::Error) -> ConfigError {
        for (name, text) in &self.values {
            let alone = [(format!("{PREFIX}{name}"), text.clone())];
            if let Err(e) = envy::prefixed(PREFIX).from_iter::<_, T>(alone) {
                return self.wrong(name, e.to_string());
            }
        }
        ConfigError::new("*", "", all.to_string())
    }
}

/// A file with settings.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// As messages call it.
    pub(super) name: String,
    pub(super) text: String,
}

/// Where settings are, before they are understood.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) kernel: Group,
    pub(super) interfaces: Vec<Group>,
    /// For how many microseconds a program is held up (`delay_main`).
    pub(super) delay_main: Option<(String, String)>,
}

impl Sources {
    /// Reads the variables, and the file.
    pub(super) fn read(
        vars: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&File>,
    ) -> Result<Self, ConfigError> {
        let mut all = Self::default();
        let mut interface = Group::default();
        for (key, text) in variables(vars)? {
            match key.of {
                Of::Interface => interface.values.insert(key.variable, text),
                Of::Kernel | Of::Process => all.kernel.values.insert(key.variable, text),
            };
        }
        if !interface.values.is_empty() {
            all.interfaces.push(interface);
        }
        if let Some(file) = file {
            all.take(file)?;
        }
        Ok(all)
    }

    /// Puts what a file has in the place of what is there.
    fn take(&mut self, file: &File) -> Result<(), ConfigError> {
        let bare = |key: &str, problem| ConfigError::bare(format!("{}{key}", file.name), problem);
        let members = json::parse(&file.text).map_err(|problem| bare("", problem))?;
        self.kernel.names.file.clone_from(&file.name);
        for (name, value) in members {
            match (name.as_str(), value) {
                ("interfaces", json::Value::Objects(all)) => {
                    let one = |(n, object)| interface(file, n, object);
                    self.interfaces = all.into_iter().enumerate().map(one).collect::<Result<_, _>>()?;
                }
                ("interfaces", other) => {
                    let problem = "expected an array of objects such as [{\"type\": \"tap\", \"param\": \"tap0\"}]";
                    return Err(ConfigError::of(format!("{}: interfaces", file.name), shown(&other), problem));
                }
                (DELAY, value) => {
                    let text = text_of(&value, None).map_err(|problem| not_text(file, DELAY, &value, problem))?;
                    self.delay_main = Some((format!("{}: {DELAY}", file.name), text));
                }
                (name, value) => {
                    let key = known(file, "", name, &value, Of::Kernel)?;
                    let text = text_of(&value, Some(key)).map_err(|problem| not_text(file, name, &value, problem))?;
                    self.kernel.values.insert(key.variable, text);
                    self.kernel.names.in_file.insert(key.variable);
                }
            }
        }
        Ok(())
    }
}

/// The key without a variable.
const DELAY: &str = "delay_main";

fn interface(file: &File, n: usize, object: json::Object) -> Result<Group, ConfigError> {
    let names = Names { file: file.name.clone(), interface: Some(n), ..Names::default() };
    let mut group = Group { names, ..Group::default() };
    let place = format!("interfaces[{n}].");
    for (name, value) in object {
        let key = known(file, &place, &name, &value, Of::Interface)?;
        let full = format!("{place}{name}");
        let text = text_of(&value, Some(key)).map_err(|problem| not_text(file, &full, &value, problem))?;
        group.values.insert(key.variable, text);
    }
    Ok(group)
}

/// The setting of a key in a file.
fn known(file: &File, place: &str, name: &str, value: &json::Value, of: Of) -> Result<&'static Key, ConfigError> {
    if let Some(key) = keys::by_json(name, of) {
        return Ok(key);
    }
    let variable = KNOWN.iter().find(|k| k.json.is_empty() && k.variable.eq_ignore_ascii_case(name));
    let problem = match variable {
        Some(key) => format!("expected as a variable, {PREFIX}{}", key.variable),
        None => {
            let more = ["interfaces", DELAY].into_iter().filter(|_| of == Of::Kernel);
            let names = KNOWN.iter().filter(|k| k.of == of && !k.json.is_empty()).map(|k| k.json).chain(more);
            let near = keys::nearest(names, &name.to_lowercase()).unwrap_or_default();
            format!("expected a key that there is; did you mean {near}?")
        }
    };
    Err(ConfigError::of(format!("{}: {place}{name}", file.name), shown(value), problem))
}

/// A simple value as text. Where a number is asked for, a truth value is one.
fn text_of(value: &json::Value, key: Option<&Key>) -> Result<String, &'static str> {
    let number = key.is_some_and(|k| matches!(k.json, "debug" | "singlecpu"));
    match value {
        json::Value::Truth(on) if number => Ok(u8::from(*on).to_string()),
        value => value.text().map(str::to_owned).ok_or("expected a string, a number, or true or false"),
    }
}

fn not_text(file: &File, key: &str, value: &json::Value, problem: &str) -> ConfigError {
    ConfigError::of(format!("{}: {key}", file.name), shown(value), problem)
}

fn shown(value: &json::Value) -> &str {
    match value {
        json::Value::Objects(_) => "[...]",
        json::Value::Other(what) => what,
        value => value.text().unwrap_or_default(),
    }
}

/// The variables that are ours, checked by name.
fn variables(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Vec<(&'static Key, String)>, ConfigError> {
    let mut ours = Vec::new();
    for (name, value) in vars {
        if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let shown = name.to_string_lossy();
        let short = shown.get(PREFIX.len()..).unwrap_or_default();
        let lossy = value.to_string_lossy();
        let Some(key) = keys::by_variable(short) else {
            if shown.starts_with(STRICT) {
                let near = keys::nearest(KNOWN.iter().map(|k| k.variable), &short.to_uppercase()).unwrap_or_default();
                let problem = format!("there is no such variable; did you mean {PREFIX}{near}?");
                return Err(ConfigError::new(short, lossy, problem));
            }
            // Not the network's: another part of the library may know it.
            continue;
        };
        let Some(text) = value.to_str() else {
            return Err(ConfigError::new(short, lossy, "expected text in UTF-8"));
        };
        ours.push((key, text.to_owned()));
    }
    Ok(ours)
}

/// The file that the variables name, or the one in the working directory, if it is there.
pub(super) fn file() -> Result<Option<File>, ConfigError> {
    let named = std::env::var_os(format!("{PREFIX}{CONFIG_FILE}"));
    let path = named.as_deref().unwrap_or(OsStr::new(DEFAULT_FILE));
    if path.is_empty() {
        return Ok(None);
    }
    let wrong = |problem: String| match &named {
        Some(path) => ConfigError::new(CONFIG_FILE, path.to_string_lossy(), problem),
        None => {
            let problem = format!("{problem} ({PREFIX}{CONFIG_FILE}= without a value leaves it aside)");
            ConfigError::bare(DEFAULT_FILE.to_owned(), problem)
        }
    };
    let bytes = match content(path, named.is_some()) {
        Err(rustix::io::Errno::NOENT) if named.is_none() => return Ok(None),
        Err(rustix::io::Errno::ISDIR) => return Err(wrong("expected an ordinary file".into())),
        Err(e) => {
            let e = lkl_abi::Errno(e.raw_os_error());
            return Err(wrong(format!("expected a file that can be read: {e}")));
        }
        Ok(bytes) => bytes,
    };
    let text = bytes.and_then(|b| String::from_utf8(b).ok());
    let text = text.ok_or_else(|| wrong("expected text in UTF-8, of at most 1 MiB".into()))?;
    Ok(Some(File { name: path.to_string_lossy().into_owned(), text }))
}

/// What is in a file; `None` if that is too much. A file that was not named must be an ordinary one: others may be waited for.
fn content(path: &OsStr, any: bool) -> rustix::io::Result<Option<Vec<u8>>> {
    let wait = if any { OFlags::empty() } else { OFlags::NONBLOCK };
    let fd = rustix::fs::open(path.as_bytes(), OFlags::RDONLY | OFlags::CLOEXEC | wait, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    if !any && kind != FileType::RegularFile {
        return Err(rustix::io::Errno::ISDIR);
    }
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match rustix::io::read(&fd, &mut piece) {
            Ok(0) => return Ok(Some(all)),
            Ok(n) => all.extend_from_slice(piece.get(..n).unwrap_or_default()),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e),
        }
        if all.len() > FILE_MAX {
            return Ok(None);
        }
    }
}
