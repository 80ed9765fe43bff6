//! A pickle that holds names and labels, read without executing anything.
//!
//! # Source
//! Python's pickletools, protocols 2 to 5. Only what plain lists, tuples, texts and whole numbers need is understood;
//! everything that would import, call or build an object is refused by name. Values live in one arena and refer to one
//! another by number, so shared and even circular lists cost nothing, and nothing here recurses.

use super::{Fault, Problem};

/// Classes of a set; the largest public one has 120.
const MAX_CLASSES: u16 = 4096;

/// A value; parts of lists and tuples are numbers of other values.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
    List(Vec<usize>),
    None,
}

/// Names and labels as the reference repositories pickle them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) names: Vec<String>,
    pub(super) labels: Vec<u16>,
}

/// Reads `(names, labels)`, a tuple or list of two lists of the same length.
pub(super) fn labels(bytes: &[u8]) -> Result<Labels, Fault> {
    let mut machine = Machine {
        bytes,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
    };
    let top = machine.run()?;
    let wrong = |text: &str| Fault::file(Problem::malformed(text));
    let list = |value: usize| match &machine.values[value] {
        Value::List(items) => Ok(items.as_slice()),
        _ => Err(wrong(
            "it does not hold a list of names and a list of labels",
        )),
    };
    let &[names, numbers] = list(top)? else {
        return Err(wrong("it does not hold two lists, of names and of labels"));
    };
    let (names, numbers) = (list(names)?, list(numbers)?);
    if names.len() != numbers.len() {
        return Err(Fault::file(Problem::Malformed(format!(
            "{} names and {} labels",
            names.len(),
            numbers.len()
        ))));
    }
    let text = |&value: &usize| match &machine.values[value] {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(wrong("a name is not a text")),
    };
    let label = |&value: &usize| match machine.values[value] {
        Value::Number(number) => {
            let label = u16::try_from(number)
                .ok()
                .filter(|label| *label < MAX_CLASSES);
            label.ok_or_else(|| wrong("a label is negative or above 4095"))
        }
        _ => Err(wrong("a label is not a whole number")),
    };
    Ok(Labels {
        names: names.iter().map(text).collect::<Result<_, _>>()?,
        labels: numbers.iter().map(label).collect::<Result<_, _>>()?,
    })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<usize>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<Option<usize>>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<usize, Fault> {
        loop {
            let start = self.at;
            let [code] = self.take()?;
            match code {
                // PROTO, FRAME: nothing to do.
                0x80 => drop(self.take::<1>()?),
                0x95 => drop(self.take::<8>()?),
                b'.' => return self.pop(),
                b'N' => self.push(Value::None),
                b']' | b')' => self.push(Value::List(Vec::new())),
                b'(' => self.marks.push(self.stack.len()),
                b'K' => {
                    let [byte] = self.take()?;
                    self.push(Value::Number(i64::from(byte)));
                }
                b'M' => {
                    let word = self.take()?;
                    self.push(Value::Number(i64::from(u16::from_le_bytes(word))));
                }
                b'J' => {
                    let word = self.take()?;
                    self.push(Value::Number(i64::from(i32::from_le_bytes(word))));
                }
                // LONG1: little-endian two's complement.
                0x8a => {
                    let [length] = self.take()?;
                    let bytes = self.slice(usize::from(length))?;
                    let number =
                        long(bytes).ok_or_else(|| self.fault(start, "a number is too large"))?;
                    self.push(Value::Number(number));
                }
                // Texts: SHORT_BINUNICODE, BINUNICODE, SHORT_BINSTRING, BINSTRING.
                0x8c | b'U' => {
                    let [length] = self.take()?;
                    self.text(usize::from(length))?;
                }
                b'X' | b'T' => {
                    let length = u32::from_le_bytes(self.take()?);
                    self.text(length as usize)?;
                }
                // MEMOIZE, BINPUT, LONG_BINPUT.
                0x94 => self.remember(self.memo.len())?,
                b'q' => {
                    let [slot] = self.take()?;
                    self.remember(usize::from(slot))?;
                }
                b'r' => {
                    let slot = u32::from_le_bytes(self.take()?);
                    self.remember(slot as usize)?;
                }
                // BINGET, LONG_BINGET.
                b'h' => {
                    let [slot] = self.take()?;
                    self.recall(usize::from(slot))?;
                }
                b'j' => {
                    let slot = u32::from_le_bytes(self.take()?);
                    self.recall(slot as usize)?;
                }
                // APPEND, APPENDS.
                b'a' => {
                    let item = self.pop()?;
                    self.extend(vec![item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.extend(items)?;
                }
                // TUPLE, TUPLE1, TUPLE2, TUPLE3.
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::List(items));
                }
                0x85..=0x87 => {
                    let count = usize::from(code - 0x84);
                    let height = self
                        .stack
                        .len()
                        .checked_sub(count)
                        .ok_or_else(|| self.fault(start, "its stack is empty"))?;
                    let items = self.stack.split_off(height);
                    self.push(Value::List(items));
                }
                b'c' | 0x93 | b'R' | b'b' | b'i' | b'o' | 0x81 | 0x92 => {
                    return Err(self.fault(
                        start,
                        "it builds objects (NumPy arrays, perhaps); save plain lists instead",
                    ));
                }
                other => return Err(self.fault(
                    start,
                    &format!(
                        "it has the instruction {other:#04x}; save plain lists of names and labels"
                    ),
                )),
            }
        }
    }

    fn fault(&self, at: usize, text: &str) -> Fault {
        Fault::byte(at as u64, Problem::malformed(text))
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.saturating_add(length);
        let bytes = self.bytes.get(self.at..end);
        let bytes = bytes.ok_or_else(|| {
            Fault::byte(
                self.at as u64,
                Problem::Truncated {
                    expected: "the rest of the pickle",
                },
            )
        })?;
        self.at = end;
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(N)?);
        Ok(array)
    }

    fn text(&mut self, length: usize) -> Result<(), Fault> {
        let start = self.at;
        let text = std::str::from_utf8(self.slice(length)?)
            .map_err(|_| self.fault(start, "a text is not UTF-8"))?;
        self.push(Value::Text(text.to_owned()));
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<usize, Fault> {
        self.stack
            .pop()
            .ok_or_else(|| self.fault(self.at, "its stack is empty"))
    }

    fn since_mark(&mut self) -> Result<Vec<usize>, Fault> {
        let height = self
            .marks
            .pop()
            .filter(|&height| height <= self.stack.len());
        let height = height.ok_or_else(|| self.fault(self.at, "its stack has no mark"))?;
        Ok(self.stack.split_off(height))
    }

    fn extend(&mut self, items: Vec<usize>) -> Result<(), Fault> {
        let list = self
            .stack
            .last()
            .copied()
            .ok_or_else(|| self.fault(self.at, "its stack is empty"))?;
        match self.values.get_mut(list) {
            Some(Value::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(self.fault(self.at, "it appends to something that is no list")),
        }
    }

    /// Slots are used in order, so a slot far beyond the others is damage.
    fn remember(&mut self, slot: usize) -> Result<(), Fault> {
        if slot > self.values.len() {
            return Err(self.fault(self.at, "it uses its memory out of order"));
        }
        let top = self
            .stack
            .last()
            .copied()
            .ok_or_else(|| self.fault(self.at, "its stack is empty"))?;
        if self.memo.len() <= slot {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = Some(top);
        Ok(())
    }

    fn recall(&mut self, slot: usize) -> Result<(), Fault> {
        let value = self
            .memo
            .get(slot)
            .copied()
            .flatten()
            .ok_or_else(|| self.fault(self.at, "it recalls what was never stored"))?;
        self.stack.push(value);
        Ok(())
    }
}

fn long(bytes: &[u8]) -> Option<i64> {
    if bytes.len() > 8 {
        return None;
    }
    let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) {
        0xff
    } else {
        0
    };
    let mut word = [fill; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    Some(i64::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `fixtures/make.py`.
    const PROTOCOLS: [&[u8]; 2] = [
        include_bytes!("fixtures/tiny_label_2.pkl"),
        include_bytes!("fixtures/tiny_label_4.pkl"),
    ];

    fn check(input: &[u8], expect: &str) {
        let error = labels(input).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    }

    #[test]
    fn reads_names_and_labels_of_old_and_new_protocols() {
        for input in PROTOCOLS {
            let names = [
                "S001C002P003R002A013.skeleton",
                "S001C003P004R001A060.skeleton",
            ]
            .map(str::to_owned)
            .to_vec();
            assert_eq!(
                labels(input),
                Ok(Labels {
                    names,
                    labels: vec![12, 59]
                })
            );
        }
    }

    #[test]
    fn never_executes_anything() {
        // os.system("x"), the classic.
        check(b"cos\nsystem\n(U\x01xtR.", "builds objects");
        check(b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "builds objects");
    }

    #[test]
    fn names_what_is_wrong() {
        check(b"", "ends too early");
        check(&PROTOCOLS[0][..40], "ends too early");
        check(b"\x80\x02K\x01.", "does not hold a list");
        check(
            b"\x80\x02](U\x01ae](K\x01K\x02e\x86.",
            "1 names and 2 labels",
        );
        check(b"\x80\x02](U\x01ae](J\xff\xff\xff\xffe\x86.", "negative");
        check(b"\x80\x02](U\x01ae](Ne\x86.", "not a whole number");
        check(b"a.", "stack is empty");
        check(b"e.", "no mark");
        check(b"Nr\xff\xff\xff\x7f.", "out of order");
        check(b"h\x01.", "never stored");
        check(b"G\0\0\0\0\0\0\0\0.", "instruction 0x47");
    }

    #[test]
    fn a_list_that_holds_itself_is_an_error_and_not_an_endless_loop() {
        check(b"]q\x00h\x00ah\x00a.", "a name is not a text");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(
            bytes: Vec<u8>,
            codes in proptest::collection::vec(proptest::sample::select(b"].)(eatKNqh\x85\x86\x87\x94\x00\x01U".to_vec()), 0..60),
        ) {
            let _ = labels(&bytes);
            let _ = labels(&codes);
        }
    }
}
