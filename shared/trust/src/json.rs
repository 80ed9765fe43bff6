//! JSON as metadata may contain it, and its canonical form.
//!
//! Stricter than JSON: no fractions, no member twice, limits on depth and on the number of values. So a text has one
//! meaning, the canonical form that signatures are over keeps all of it, and reading it needs little memory.
//!
//! # Source
//! Canonical form: OLPC canonical JSON, as the TUF specification 1.0 asks for in section 4.2.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Values inside values that are followed.
const MAX_DEPTH: usize = 16;
/// Values of one text. A list of a thousand targets has ten thousand.
const MAX_VALUES: usize = 16 * 1024;

/// Members of an object, by name.
pub type Members = BTreeMap<String, Json>;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object.
    Object(Members),
}

/// Why bytes are no JSON that metadata may contain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(String);

impl Json {
    /// Reads a whole text.
    ///
    /// # Errors
    /// [`JsonError`] with the line and column.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let mut left = MAX_VALUES;
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Seed {
            depth: 0,
            left: &mut left,
        }
        .deserialize(&mut reader);
        let whole = value.and_then(|value| reader.end().map(|()| value));
        whole.map_err(|error| JsonError(error.to_string()))
    }

    /// An object of these members.
    #[must_use]
    pub fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// The canonical form: members in order of their names, no white space, only `"` and `\` escaped.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        out
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend(b"null"),
            Self::Bool(true) => out.extend(b"true"),
            Self::Bool(false) => out.extend(b"false"),
            Self::Int(number) => out.extend(number.to_string().bytes()),
            Self::Text(text) => write_text(text, out),
            Self::List(values) => {
                out.push(b'[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    value.write_canonical(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (index, (name, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_text(name, out);
                    out.push(b':');
                    value.write_canonical(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Ordinary JSON text, indented, with a line end.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        // Writing plain values to a vector cannot fail.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// The member of this name, if this is an object and has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.members()?.get(name)
    }

    /// The members, if this is an object.
    #[must_use]
    pub const fn members(&self) -> Option<&Members> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The values, if this is a list.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// The text, if this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is one and not negative.
    #[must_use]
    pub fn as_count(&self) -> Option<u64> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Json {
    /// Numbers above what metadata can hold become the largest that it can.
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
            Self::Object(members) => serializer.collect_map(members),
        }
    }
}

/// Reads one value at a depth, and counts it.
struct Seed<'a> {
    depth: usize,
    left: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        if self.depth > MAX_DEPTH {
            return Err(D::Error::custom(format!("more than {MAX_DEPTH} levels")));
        }
        *self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| D::Error::custom(format!("more than {MAX_VALUES} values")))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without fractions")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Json, E> {
        i64::try_from(number)
            .map(Json::Int)
            .map_err(|_| E::custom(format!("the number {number} is too large")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element_seed(Seed {
            depth: self.depth + 1,
            left: self.left,
        })? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members = Members::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Seed {
                depth: self.depth + 1,
                left: self.left,
            })?;
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("`{name}` stands there twice")));
            }
            members.insert(name, value);
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, canonical: &str) {
        let read = Json::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(read.canonical()).unwrap(), canonical);
        assert_eq!(Json::parse(&read.text()).unwrap(), read);
    }

    #[test]
    fn the_canonical_form_is_sorted_and_bare() {
        check(
            " { \"b\" : [ 1, -2 ] , \"a\" : true } ",
            r#"{"a":true,"b":[1,-2]}"#,
        );
        check(
            r#"{"é":"\u0041\"\\","a":null}"#,
            r#"{"a":null,"é":"A\"\\"}"#,
        );
        // A line end stands in canonical text as it is.
        check(r#""x\ny""#, "\"x\ny\"");
    }

    #[test]
    fn what_has_two_meanings_or_no_end_is_refused() {
        let deep = format!("{}{}", "[".repeat(20), "]".repeat(20));
        let long = format!("[{}1]", "1,".repeat(MAX_VALUES));
        for (text, why) in [
            ("1.5", "fractions"),
            ("1e3", "fractions"),
            ("9223372036854775808", "too large"),
            (r#"{"a":1,"a":2}"#, "twice"),
            ("1 2", "trailing"),
            ("", "EOF"),
            (&deep, "levels"),
            (&long, "values"),
        ] {
            let error = Json::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{text:.30}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Json::parse(&bytes);
        }

        #[test]
        fn any_text_of_marks_never_panics(text in "[\\[\\]{}:,\"\\\\0-9a-eu.+ -]{0,80}") {
            if let Ok(read) = Json::parse(text.as_bytes()) {
                prop_assert_eq!(Json::parse(&read.text()).unwrap(), read);
            }
        }
    }
}
