//! Problems with what a user sent: where, why, and what would be right. Always all of them at once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a field was refused. The names are those of Kubernetes' `Status` causes.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::IntoStaticStr,
)]
pub enum Reason {
    /// The field is not known.
    FieldValueUnknown,
    /// The field must be given.
    FieldValueRequired,
    /// The value is of the wrong type, unit or form.
    FieldValueInvalid,
    /// The value is understood and refused: a rule forbids it.
    FieldValueForbidden,
    /// The value is not one of those allowed.
    FieldValueNotSupported,
    /// The value is used already: within the document, or by another Environment.
    FieldValueDuplicate,
    /// What the field names does not exist.
    FieldValueNotFound,
    /// Another field manager set the field to something else.
    FieldManagerConflict,
}

/// One problem with one field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Where: a path such as `spec.database.storageGib` or `spec.listeners[0].port`.
    pub path: String,
    /// Why.
    pub reason: Reason,
    /// For people; says what would be right.
    pub message: String,
}

/// Nobody reads more, and telling each of a hundred thousand apart from all others would take minutes.
const MOST_PROBLEMS: usize = 200;

/// All problems of one document; of very many the first 200.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem.
    pub fn add(&mut self, path: impl Into<String>, reason: Reason, message: impl Into<String>) {
        self.note(Problem { path: path.into(), reason, message: message.into() });
    }

    fn note(&mut self, problem: Problem) {
        if self.0.len() < MOST_PROBLEMS && !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Problems) {
        other.0.into_iter().for_each(|problem| self.note(problem));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems in the order of their paths.
    pub fn list(&self) -> &[Problem] {
        &self.0
    }

    /// `Ok(value)` when there is no problem.
    pub fn into_result<T>(mut self, value: T) -> Result<T, Problems> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            self.0.sort();
            Err(self)
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", problem.path, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Joins a path and a field name; a name that is no plain word is quoted as `["name"]`.
pub fn join(path: &str, field: &str) -> String {
    let plain = !field.is_empty() && field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (path.is_empty(), plain) {
        (true, true) => field.to_owned(),
        (false, true) => format!("{path}.{field}"),
        (_, false) => format!("{path}[{field:?}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_very_many_problems_the_first_are_told() {
        let mut problems = Problems::default();
        for n in 0..200_000 {
            problems.add(format!("items[{n}]"), Reason::FieldValueInvalid, "is wrong");
        }
        assert_eq!(problems.list().len(), MOST_PROBLEMS);
        let mut more = Problems::default();
        more.add("x", Reason::FieldValueInvalid, "is wrong");
        more.extend(problems);
        assert_eq!(more.list().len(), MOST_PROBLEMS);
    }
}
