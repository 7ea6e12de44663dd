//! The error an operation answers with: AWS's code, HTTP status and message. Must not know the wire protocol.
use crate::Doc;

/// An error response.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsError {
    /// The code as JSON and CBOR clients see it (the shape's name), for example `ResourceNotFoundException`.
    pub code: String,
    /// The code as query clients see it, where it differs (`ResourceNotFound`).
    pub query_code: Option<String>,
    /// HTTP status.
    pub status: u16,
    /// The message.
    pub message: String,
    /// Further fields of the error's shape.
    pub extra: Doc,
}

impl AwsError {
    /// A client error with HTTP status 400, which is what most AWS errors have.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), query_code: None, status: 400, message: message.into(), extra: Doc::empty() }
    }

    /// With another HTTP status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With another code for query clients.
    pub fn query_code(mut self, code: &str) -> Self {
        self.query_code = Some(code.to_owned());
        self
    }

    /// With a further field.
    pub fn field(mut self, name: &str, value: impl Into<Doc>) -> Self {
        self.extra.set(name, value);
        self
    }

    /// Whose fault: the server's from 500 on.
    pub fn is_receiver_fault(&self) -> bool {
        self.status >= 500
    }
}

/// What an operation returns.
pub type Outcome = Result<Doc, AwsError>;

/// Why an input was refused before the operation ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A required parameter is missing.
    Missing,
    /// A value has the wrong type, or breaks a length, range, pattern or enumeration.
    Constraint,
    /// The body can't be read at all.
    Malformed,
}
