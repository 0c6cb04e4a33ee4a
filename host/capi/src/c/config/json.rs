//! JSON as LKL reads it: an object of strings, numbers and truth values, and one array of such objects. Commas may be missing, or one too
//! many: LKL's users have such files. Numbers are kept as they are written.

/// What a key has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    /// A string, or another simple value as it is written.
    Text(String),
    /// An array of objects.
    Objects(Vec<Object>),
}

/// Keys and simple values.
pub(super) type Object = Vec<(String, String)>;

/// Reads the members of the object that the text is. A text without anything is one without members.
///
/// # Errors
/// What was expected, in words.
pub(super) fn parse(text: &str) -> Result<Vec<(String, Value)>, String> {
    let mut reader = Reader { rest: text };
    if reader.peek().is_none() {
        return Ok(Vec::new());
    }
    reader.expect('{')?;
    let mut members = Vec::new();
    while !reader.take('}') {
        let key = reader.key()?;
        let value = if reader.take('[') {
            let mut all = Vec::new();
            while !reader.take(']') {
                reader.expect('{')?;
                all.push(reader.object()?);
            }
            Value::Objects(all)
        } else {
            Value::Text(reader.simple()?)
        };
        members.push((key, value));
    }
    match reader.peek() {
        None => Ok(members),
        Some(_) => Err(reader.wrong("the end")),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The next character that is neither white nor a comma.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.rest = self.rest.get(wanted.len_utf8()..).unwrap_or_default();
        }
        there
    }

    fn wrong(&self, wanted: &str) -> String {
        let shown: String = self.rest.chars().take(20).collect();
        format!("expected {wanted} in json at {shown:?}")
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.wrong(&wanted.to_string()))
        }
    }

    fn key(&mut self) -> Result<String, String> {
        if self.peek() != Some('"') {
            return Err(self.wrong("a key"));
        }
        let key = self.simple()?;
        self.expect(':')?;
        Ok(key)
    }

    /// The rest of an object, after its brace.
    fn object(&mut self) -> Result<Object, String> {
        let mut members = Object::new();
        while !self.take('}') {
            members.push((self.key()?, self.simple()?));
        }
        Ok(members)
    }

    fn simple(&mut self) -> Result<String, String> {
        let first = self.peek().ok_or_else(|| self.wrong("a value"))?;
        let end = if first == '"' { self.string_end() } else { self.word_end() };
        let end = end.ok_or_else(|| self.wrong("a value"))?;
        let (value, rest) = self.rest.split_at(end);
        let text = if first == '"' {
            serde_json::from_str(value).map_err(|_| self.wrong("a string"))?
        } else {
            value.to_owned()
        };
        self.rest = rest;
        Ok(text)
    }

    /// Behind the string that begins here.
    fn string_end(&self) -> Option<usize> {
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return Some(at + 1),
                _ => {}
            }
        }
        None
    }

    /// Behind the number or word that begins here.
    fn word_end(&self) -> Option<usize> {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
        let end = self.rest.find(|c| !word(c)).unwrap_or(self.rest.len());
        (end > 0).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lkls_users_write_is_understood() {
        let text = r#"
            { "gateway": "10.0.0.1", "debug": 1, "sysctl": "a=\"b\"",
              "interfaces": [ { "type": "tap" "param": "tap0", "mtu": 1400, }, { } ],
            }
        "#;
        let members = parse(text).unwrap();
        let text = |t: &str| Value::Text(t.to_owned());
        assert_eq!(members[0], ("gateway".to_owned(), text("10.0.0.1")));
        assert_eq!(members[1].1, text("1"));
        assert_eq!(members[2].1, text("a=\"b\""));
        let Value::Objects(all) = &members[3].1 else { panic!("{members:?}") };
        assert_eq!(all[0][1..], [("param".to_owned(), "tap0".to_owned()), ("mtu".to_owned(), "1400".to_owned())]);
        assert_eq!(all.len(), 2);
        assert_eq!(parse(" \n"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for bad in [
            "[",
            "{",
            "{\"a\"",
            "{\"a\":}",
            "{\"a\":\"b}",
            "{\"a\":[1]}",
            "{} x",
            "{a:1}",
            "{\"a\":{}}",
            "x",
            "{\"\\x\":1}",
        ] {
            assert!(parse(bad).unwrap_err().starts_with("expected "), "{bad}");
        }
    }
}
