//! JSON as LKL reads it: an object of strings, numbers and truth values, and one array of such objects. Commas may be missing, or one too
//! many, and names without quotes: LKL's users have such files. Numbers are kept as they are written.

use jsonc_parser::{JsonValue, ParseOptions};
use std::collections::BTreeMap;

/// What a key has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A string, or a number as it is written.
    Text(String),
    /// A truth value.
    Truth(bool),
    /// An array of objects.
    Objects(Vec<Object>),
    /// What means nothing here, in short.
    Other(&'static str),
}

/// Keys and what they have. Of several with one name the last counts.
pub type Object = BTreeMap<String, Value>;

impl Value {
    /// A value that is not an array, as text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Truth(true) => Some("true"),
            Self::Truth(false) => Some("false"),
            Self::Objects(_) | Self::Other(_) => None,
        }
    }
}

/// Reads the object that the text is. A text without anything is one without members.
///
/// # Errors
/// What was expected, in words.
pub fn parse(text: &str) -> Result<Object, String> {
    let wrong = |e: &dyn core::fmt::Display| format!("expected JSON: {e}");
    match jsonc_parser::parse_to_value(text, &ParseOptions::default()).map_err(|e| wrong(&e))? {
        None => Ok(Object::new()),
        Some(JsonValue::Object(object)) => Ok(members(object)),
        Some(_) => Err("expected JSON: an object, in braces".into()),
    }
}

fn members(object: jsonc_parser::JsonObject<'_>) -> Object {
    object.into_iter().map(|(key, value)| (key.into_owned(), value_of(value))).collect()
}

fn value_of(value: JsonValue<'_>) -> Value {
    match value {
        JsonValue::String(text) => Value::Text(text.into_owned()),
        JsonValue::Number(text) => Value::Text(text.to_owned()),
        JsonValue::Boolean(on) => Value::Truth(on),
        JsonValue::Null => Value::Other("null"),
        JsonValue::Object(_) => Value::Other("{...}"),
        JsonValue::Array(all) => {
            let objects = all.into_iter().map(|one| match one {
                JsonValue::Object(object) => Some(members(object)),
                _ => None,
            });
            objects.collect::<Option<Vec<_>>>().map_or(Value::Other("[...]"), Value::Objects)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_lkls_users_write_is_understood() {
        let text = r#"
            { "gateway": "10.0.0.1", "debug": 1, "sysctl": "a=\"b\"", "singlecpu": true
              "interfaces": [ { "type": "tap" "param": "tap0", "mtu": 1400, offload: 0x8883 }, { } ],
            }
        "#;
        let members = parse(text).unwrap();
        let text = |t: &str| Value::Text(t.to_owned());
        assert_eq!(members["gateway"], text("10.0.0.1"));
        assert_eq!(members["debug"], text("1"));
        assert_eq!(members["sysctl"], text("a=\"b\""));
        assert_eq!(members["singlecpu"], Value::Truth(true));
        let Value::Objects(all) = &members["interfaces"] else { panic!("{members:?}") };
        assert_eq!((&all[0]["param"], &all[0]["mtu"]), (&text("tap0"), &text("1400")));
        assert_eq!(all[0]["offload"], text("0x8883"));
        assert_eq!(all.len(), 2);
        assert_eq!(parse(" \n"), Ok(Object::new()));
        assert_eq!(parse("{a: null, b: [1], c: {}}").unwrap()["b"], Value::Other("[...]"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bad in
            ["[", "{", "{\"a\"", "{\"a\":}", "{\"a\":\"b}", "{} x", "x", "[]", "{\"\\x\":1}", &"[".repeat(100_000)]
        {
            assert!(parse(bad).unwrap_err().starts_with("expected JSON: "), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]{}:,\"'a-z0-9 \\\\/*\n.+-]{0,40}|\\PC{0,40}") {
            if let Err(problem) = parse(&text) {
                prop_assert!(problem.starts_with("expected JSON: "));
            }
        }
    }
}
