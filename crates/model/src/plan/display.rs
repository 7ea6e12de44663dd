//! Plans as people read them: in snapshots, logs and `plan -f`.

use std::fmt;

use super::{FieldChange, ResourcePlan, Step};

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.field, self.from, self.to)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] {}", self.operation, self.risk, self.reason)?;
        if let Some(key) = &self.awaits {
            write!(f, " (after {key})")?;
        }
        for change in &self.changes {
            write!(f, "\n    {change}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ResourcePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() && self.waits.is_empty() && self.notes.is_empty() {
            return f.write_str("in sync");
        }
        let mut first = true;
        let mut line = |f: &mut fmt::Formatter<'_>| {
            if first {
                first = false;
                Ok(())
            } else {
                f.write_str("\n")
            }
        };
        for step in &self.steps {
            line(f)?;
            write!(f, "step {step}")?;
        }
        for wait in &self.waits {
            line(f)?;
            write!(f, "wait {} {}: {}", wait.kind, wait.reason, wait.message)?;
            if let Some(until) = wait.until {
                write!(f, " (until {until})")?;
            }
        }
        for note in &self.notes {
            line(f)?;
            write!(f, "note {}: {}", note.reason, note.message)?;
            for change in &note.changes {
                write!(f, "\n    {change}")?;
            }
        }
        Ok(())
    }
}
