//! A file as the rules see it: its text, and its code with comments and literals blanked out.

/// A text file of the repository.
pub(super) struct Source {
    /// From the top of the checkout, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// `text` with comments and the insides of literals turned into spaces; lines stay where they are. Empty for
    /// anything but Rust.
    code: String,
    /// Its string literals, in order; raw ones are left out.
    literals: Vec<Literal>,
    /// The first line (from 1) of an in-file test module, or past the end.
    tests_from: usize,
}

/// A string literal.
pub(super) struct Literal {
    /// How many characters of the file are before its opening quote.
    pub(super) at: usize,
    /// What is between the quotes, as written.
    pub(super) text: String,
}

impl Source {
    pub(super) fn new(path: &str, text: String) -> Self {
        let is_rust = is_rust(path);
        let (code, literals) = if is_rust { blank(&text) } else { Default::default() };
        let tests_from = if is_rust { tests_from(&code) } else { usize::MAX };
        Self { path: path.to_owned(), text, code, literals, tests_from }
    }

    pub(super) fn is_rust(&self) -> bool {
        is_rust(&self.path)
    }

    /// The code, without comments and literals.
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// Its string literals, in order.
    pub(super) fn literals(&self) -> &[Literal] {
        &self.literals
    }

    /// Lines of code with their numbers from 1.
    pub(super) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Lines of text with their numbers from 1.
    pub(super) fn text_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether the whole file is test code.
    pub(super) fn is_test_file(&self) -> bool {
        let name = self.file_name();
        name == "tests.rs"
            || name.ends_with("_tests.rs")
            || self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.contains("/benches/")
    }

    /// Whether this line (from 1) is test code.
    pub(super) fn is_test_line(&self, line: usize) -> bool {
        self.is_test_file() || line >= self.tests_from
    }

    /// Lines that are not tests.
    pub(super) fn size(&self) -> usize {
        self.text.lines().count().min(self.tests_from.saturating_sub(1))
    }

    pub(super) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

fn is_rust(path: &str) -> bool {
    std::path::Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// Where `#[cfg(test)]` opens a module in place. By convention nothing but tests follows it.
fn tests_from(code: &str) -> usize {
    let lines: Vec<&str> = code.lines().collect();
    let found = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].trim_end().ends_with('{'));
    found.map_or(usize::MAX, |index| index + 1)
}

/// Comments and the insides of string and character literals as spaces; and the string literals.
fn blank(text: &str) -> (String, Vec<Literal>) {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut literals = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let length = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => {
                chars[at..].iter().position(|c| *c == '\n').unwrap_or(chars.len() - at)
            }
            '/' if chars.get(at + 1) == Some(&'*') => block_comment(&chars[at..]),
            '"' => {
                let length = string(&chars[at..], 0);
                literals.push(Literal { at, text: chars[at..at + length].iter().filter(|c| **c != '"').collect() });
                length
            }
            'r' if at == 0 || !is_word(chars[at - 1]) || chars[at - 1] == 'b' => match raw_string(&chars[at..]) {
                0 => keep(chars[at], &mut out),
                length => length,
            },
            '\'' => match character(&chars[at..]) {
                0 => keep(chars[at], &mut out),
                length => length,
            },
            other => keep(other, &mut out),
        };
        if length == 0 {
            at += 1;
        } else {
            out.extend(chars[at..at + length].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at += length;
        }
    }
    (out, literals)
}

/// Code stays as it is: a length of nothing to blank.
fn keep(c: char, out: &mut String) -> usize {
    out.push(c);
    0
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

/// From the opening quote; `hashes` as in `r##"`: with any, and for `r"`, a backslash is only a backslash.
fn string(chars: &[char], hashes: usize) -> usize {
    let mut at = 1;
    while at < chars.len() {
        match chars[at] {
            '\\' if hashes == 0 => at += 1,
            '"' if chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes => return at + 1 + hashes,
            _ => {}
        }
        at += 1;
    }
    chars.len()
}

/// From the `r`; 0 if it begins no raw string.
fn raw_string(chars: &[char]) -> usize {
    let hashes = chars[1..].iter().take_while(|c| **c == '#').count();
    let open = 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return 0;
    }
    if hashes > 0 {
        return open + string(&chars[open..], hashes);
    }
    let close = chars[open + 1..].iter().position(|c| *c == '"');
    close.map_or(chars.len(), |length| open + 1 + length + 1)
}

/// From the quote; 0 if it is a lifetime's.
fn character(chars: &[char]) -> usize {
    match (chars.get(1), chars.get(2)) {
        (Some('\\'), Some(_)) => {
            let close = chars[3..].iter().position(|c| *c == '\'');
            close.map_or(0, |length| 3 + length + 1)
        }
        (Some(_), Some('\'')) => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        blank(text).0
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        assert_eq!(code("a // b\nc"), "a     \nc");
        assert_eq!(code("a /* b /* c */ d */ e"), "a                   e");
        assert_eq!(code(r#"f("a\"b", x)"#), "f(      , x)");
        assert_eq!(code("f(r#\"a\"b\"#, x)"), "f(        , x)");
        assert_eq!(code(r#"f(r"\", x)"#), "f(    , x)");
        assert_eq!(code("f('\"', '\\'', x)"), "f(   ,     , x)");
    }

    #[test]
    fn string_literals_are_kept_with_their_place_and_those_in_comments_are_not() {
        let (_, literals) = blank("f(\"a\", 'x') // \"b\"\ng(\"cd\")");
        let found: Vec<(usize, &str)> = literals.iter().map(|one| (one.at, one.text.as_str())).collect();
        assert_eq!(found, [(2, "a"), (21, "cd")]);
    }

    #[test]
    fn lifetimes_and_names_that_end_in_r_stay() {
        assert_eq!(code("fn f<'a>(x: &'a str)"), "fn f<'a>(x: &'a str)");
        assert_eq!(code("for_r#x"), "for_r#x");
    }

    #[test]
    fn every_line_stays_where_it_is() {
        let text = "a\n/* b\nc */\n\"d\ne\"\nf";
        assert_eq!(code(text).lines().count(), text.lines().count());
    }

    #[test]
    fn an_in_file_test_module_does_not_count_as_size() {
        let file = Source::new("crates/a/src/lib.rs", "fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n".into());
        assert_eq!(file.size(), 2);
        assert!(!file.is_test_line(1));
        assert!(file.is_test_line(4));
    }

    #[test]
    fn files_of_tests_are_known_by_name_and_folder() {
        for path in ["crates/a/src/b/tests.rs", "tests/src/x.rs", "crates/a/tests/it/main.rs"] {
            assert!(Source::new(path, String::new()).is_test_file(), "{path}");
        }
        assert!(!Source::new("crates/a/src/latest.rs", String::new()).is_test_file());
    }
}
