//! Every reason that status and events can give stands in docs/conditions.md, and every reason there is given by code.
//!
//! Reasons are found by the forms in which code gives them; a new form is to be added here. This reads tokens, not
//! meaning: what is not a CamelCase literal in one of these places is not found.

use std::collections::BTreeMap;

use super::Problem;
use super::source::Source;

pub(super) const DOCS: &str = "docs/conditions.md";

/// Reasons of conditions, waits, notes and events come from here. The reasons of the API's errors are others.
fn gives_reasons(path: &str) -> bool {
    let places = [
        "crates/engine/src/",
        "crates/kinds/src/",
        "crates/runtime/src/pass/",
        "crates/api/src/",
        "crates/notify/src/",
    ];
    places.iter().any(|place| path.starts_with(place)) && !path.contains("/provider")
}

pub(super) fn check(files: &[Source]) -> Vec<Problem> {
    let mut given: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for file in files.iter().filter(|file| file.is_rust() && gives_reasons(&file.path)) {
        for (line, reason) in in_code(file) {
            given.entry(reason).or_insert((&file.path, line));
        }
    }
    // An act or a read that failed: the reason is `Act` and the error's class.
    for file in files.iter().filter(|file| file.path == "crates/model/src/fault.rs") {
        let classes = variants(&tokens(file), "Class");
        given.extend(classes.into_iter().map(|(line, class)| (format!("Act{class}"), (&*file.path, line))));
    }
    let Some(docs) = files.iter().find(|file| file.path == DOCS) else {
        // A checkout in which no code gives a reason needs no page of them.
        let missing = given.first_key_value().map(|_| Problem::error(DOCS, 0, "is missing: it explains every reason"));
        return missing.into_iter().collect();
    };
    let mut documented: BTreeMap<&str, usize> = BTreeMap::new();
    let mut problems = Vec::new();
    for (line, reason) in in_docs(docs) {
        if let Some(before) = documented.insert(reason, line) {
            problems.push(Problem::error(DOCS, line, format!("`{reason}` stands in line {before} too")));
        }
        if !given.contains_key(reason) {
            problems.push(Problem::error(DOCS, line, format!("no code gives the reason `{reason}`")));
        }
    }
    let unexplained = given.iter().filter(|(reason, _)| !documented.contains_key(reason.as_str()));
    problems.extend(unexplained.map(|(reason, (path, line))| {
        Problem::error(path, *line, format!("the reason `{reason}` is not explained in {DOCS}"))
    }));
    problems
}

/// The reasons that a page explains: the names in code type at the beginning of a table's row.
pub(super) fn in_docs(file: &Source) -> Vec<(usize, &str)> {
    let rows = file.text_lines().filter_map(|(at, line)| Some((at, line.strip_prefix("| `")?)));
    rows.filter_map(|(at, row)| Some((at, row.split('`').next()?))).filter(|(_, name)| is_reason(name)).collect()
}

fn is_reason(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.contains(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// A piece of code.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(char),
    Text(String),
}

/// Code as pieces, with the line of each.
fn tokens(file: &Source) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    let mut literals = file.literals().iter().peekable();
    let (mut line, mut word) = (1, String::new());
    // A last character that belongs to no word.
    for (at, c) in file.code().chars().chain(['\n']).enumerate() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            found.push((line, Token::Word(std::mem::take(&mut word))));
        }
        if let Some(literal) = literals.next_if(|literal| literal.at == at) {
            found.push((line, Token::Text(literal.text.clone())));
        } else if !c.is_whitespace() {
            found.push((line, Token::Sign(c)));
        }
        line += usize::from(c == '\n');
    }
    found
}

/// Where a literal after these is a reason. `*` is any one word, and `"` a literal that tells the type of an event.
const FORMS: [&[&str]; 9] = [
    &["WaitKind", ":", ":", "*", ","],
    &["ConditionStatus", ":", ":", "*", ","],
    &["Note", ":", ":", "new", "("],
    &["pending", "("],
    &["\"", ","],
    &["yes_or_no", "(", "*", ","],
    &["About", ":", ":", "*", ","],
    &["About", ":", ":", "*", "(", "&", "*", ")", ","],
    &["About", ":", ":", "*", "(", "*", ")", ","],
];

fn matches(token: &Token, form: &str) -> bool {
    match token {
        Token::Word(word) => form == "*" || word == form,
        Token::Sign(sign) => form.strip_prefix(*sign) == Some(""),
        Token::Text(text) => form == "\"" && (text == "Normal" || text == "Warning"),
    }
}

fn ends_with(tokens: &[(usize, Token)], form: &[&str]) -> bool {
    let start = tokens.len().checked_sub(form.len());
    start.is_some_and(|start| tokens[start..].iter().zip(form).all(|((_, token), part)| matches(token, part)))
}

/// The reasons that a file gives, with their lines.
fn in_code(file: &Source) -> Vec<(usize, String)> {
    let all: Vec<(usize, Token)> = tokens(file).into_iter().take_while(|(line, _)| !file.is_test_line(*line)).collect();
    let mut reasons = variants(&all, "HoldReason");
    for at in 0..all.len() {
        let before = |form: &[&str]| ends_with(&all[..at], form);
        match &all[at] {
            (line, Token::Text(text))
                if FORMS.iter().any(|form| before(form)) || is_told(&all[at..], before(&["("])) =>
            {
                reasons.push((*line, text.clone()));
            }
            (_, Token::Word(word)) if word == "reason" => reasons.extend(bound(&all[at + 1..])),
            _ => {}
        }
    }
    reasons.retain(|(_, reason)| is_reason(reason));
    reasons.sort();
    reasons.dedup();
    reasons
}

/// `("Reason".to_owned(), …` and `("Reason", format!(…`: a reason with its message.
fn is_told(tokens: &[(usize, Token)], opened: bool) -> bool {
    let forms: [&[&str]; 2] = [&[".", "to_owned", "(", ")", ","], &[",", "format", "!"]];
    let follows = |form: &&[&str]| {
        tokens.len() > form.len() && tokens[1..].iter().zip(*form).all(|((_, token), part)| matches(token, part))
    };
    opened && forms.iter().any(follows)
}

/// The literals that a name `reason` may stand for: `reason: …` and `let reason = …`, also as a part of a pair.
fn bound(tokens: &[(usize, Token)]) -> Vec<(usize, String)> {
    let sign = |at: usize, wanted: char| tokens.get(at).is_some_and(|(_, token)| *token == Token::Sign(wanted));
    let assigned = |at: usize| sign(at, '=') && !sign(at + 1, '=') && !sign(at + 1, '>');
    let from = if sign(0, ':') && !sign(1, ':') {
        1
    } else if let Some(at) = [0, 1, 3].into_iter().find(|at| assigned(*at))
        && (at == 0 || sign(at - 1, ')'))
    {
        at + 1
    } else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut depth = 0_usize;
    for (at, (line, token)) in tokens.iter().enumerate().skip(from) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') if depth > 0 => depth -= 1,
            Token::Sign(',' | ';' | ')' | ']' | '}') if depth == 0 => break,
            Token::Text(text) => {
                let compared = COMPARED.iter().any(|form| ends_with(&tokens[from..at], form));
                found.extend((!compared).then(|| (*line, text.clone())));
            }
            Token::Sign(_) | Token::Word(_) => {}
        }
    }
    found
}

/// A literal after these is compared with, not given.
const COMPARED: [&[&str]; 3] = [&["=", "="], &["!", "="], &["starts_with", "("]];

/// The variants of an enum without fields.
fn variants(tokens: &[(usize, Token)], name: &str) -> Vec<(usize, String)> {
    let is = |token: &(usize, Token), form: &str| matches(&token.1, form);
    let Some(at) = tokens.windows(3).position(|w| is(&w[0], "enum") && is(&w[1], name) && is(&w[2], "{")) else {
        return Vec::new();
    };
    let body = tokens[at + 3..].iter().take_while(|token| !is(token, "}"));
    body.filter_map(|(line, token)| match token {
        Token::Word(word) => Some((*line, word.clone())),
        Token::Sign(_) | Token::Text(_) => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(code: &str) -> Vec<String> {
        let file = Source::new("crates/engine/src/a.rs", code.to_owned());
        in_code(&file).into_iter().map(|(_, reason)| reason).collect()
    }

    fn problems(code: &str, docs: &str) -> Vec<String> {
        let code = Source::new("crates/engine/src/a.rs", code.to_owned());
        let docs = Source::new(DOCS, docs.to_owned());
        check(&[code, docs]).into_iter().map(|problem| problem.text).collect()
    }

    #[test]
    fn reasons_are_found_in_every_form_in_which_code_gives_them() {
        for (code, reasons) in [
            (
                "Wait::new(\n    WaitKind::Stalled,\n    \"SpecIncomplete\",\n    format!(\"{x}\"))",
                &["SpecIncomplete"][..],
            ),
            ("wait(WaitKind::Progressing, \"InstanceBusy\")", &["InstanceBusy"]),
            ("Note { changes, ..Note::new(\"Tampering\", \"Someone\") }", &["Tampering"]),
            ("Health::Stalled { reason: \"RolloutStuck\", message: \"x\".into() }", &["RolloutStuck"]),
            (
                "X { reason: if a == B::C { \"RollingOut\" } else { \"TasksStarting\" }, m: \"Other\" }",
                &["RollingOut", "TasksStarting"],
            ),
            ("let (reason, message) = match why { A => (\"NotListed\", format!(\"{key} x\")), };", &["NotListed"]),
            (
                "let reason = match verb { _ if x => \"Adopted\", V::C => \"Created\" };\n\"Else\"",
                &["Adopted", "Created"],
            ),
            ("Some(Err((\"Missing\".to_owned(), \"it is not\".to_owned())))", &["Missing"]),
            ("Self::Resume(who) => (\"ResumeRequested\", format!(\"{who} resumed\"))", &["ResumeRequested"]),
            ("said(ConditionStatus::False, \"NotPaused\", \"x\")", &["NotPaused"]),
            ("(Type::Drifted, yes_or_no(drift, \"NoDrift\"))", &["NoDrift"]),
            ("pending(\"DependencyChanging\", m)", &["DependencyChanging"]),
            ("happened(&state, About::Environment(&row), \"Approved\", m)", &["Approved"]),
            ("happened(&state, About::Installation, \"ModeChanged\", m)", &["ModeChanged"]),
            ("self.event(&key, \"Warning\", \"StepFailed\", m)", &["StepFailed"]),
            (
                "pub enum HoldReason {\n    /// \"Not\" this.\n    Paused,\n    WriteBudget,\n}",
                &["Paused", "WriteBudget"],
            ),
        ] {
            assert_eq!(given(code), reasons, "{code}");
        }
    }

    #[test]
    fn what_is_no_reason_is_not_found() {
        for code in [
            "fn step(reason: &str) -> Step { Step::new(\"UpdateService\", reason) }",
            "waits.retain(|wait| wait.reason != \"RolloutFailed\")",
            "let reason = match x { A if y.reason.starts_with(\"Act\") => z, _ => w };",
            "let reason = \"no longer declared\";",
            "expansion.key(\"EcsService\", &name)",
            "#[cfg(test)]\nmod tests {\n    fn x() { Note::new(\"OnlyInTests\", 1) }\n}",
        ] {
            assert_eq!(given(code), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn each_reason_is_explained_once_and_each_explained_one_is_given() {
        let code = "Note::new(\"Tampering\", m)";
        assert_eq!(problems(code, "| `Tampering` | x |\n"), Vec::<String>::new());
        assert_eq!(problems(code, "Tampering\n"), ["the reason `Tampering` is not explained in docs/conditions.md"]);
        assert_eq!(problems("", "| `Tampering` | x |\n"), ["no code gives the reason `Tampering`"]);
        assert_eq!(problems(code, "| `Tampering` |\n| `Tampering` |\n"), ["`Tampering` stands in line 1 too"]);
    }

    #[test]
    fn a_failed_call_is_a_reason_for_each_class() {
        let fault = Source::new("crates/model/src/fault.rs", "pub enum Class {\n    Quota,\n    Denied,\n}\n".into());
        let docs = Source::new(DOCS, "| `ActQuota` | x |\n".into());
        let texts: Vec<String> = check(&[fault, docs]).into_iter().map(|problem| problem.text).collect();
        assert_eq!(texts, ["the reason `ActDenied` is not explained in docs/conditions.md"]);
    }
}
