//! What can be wrong with what a caller gave: every variant says which argument, what was expected and what came.

use std::fmt;

/// A refusal. Nothing was computed into any output, and no input was modified.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// `X` has no rows or no columns.
    Empty {
        /// Rows that came.
        rows: usize,
        /// Columns that came.
        columns: usize,
    },
    /// An array's length does not fit `X` (or its partner).
    Length {
        /// The argument.
        argument: &'static str,
        /// The length it must have.
        expected: usize,
        /// Why: "one value per row of X", …
        unit: &'static str,
        /// The length that came.
        got: usize,
    },
    /// A view that reaches outside the buffer it is over.
    View {
        /// The argument.
        argument: &'static str,
    },
    /// A single number outside its range.
    Number {
        /// The argument.
        argument: &'static str,
        /// The range in words.
        expected: &'static str,
        /// The number that came.
        got: f64,
    },
    /// An array's element outside its range.
    Element {
        /// The argument.
        argument: &'static str,
        /// The range in words.
        expected: &'static str,
        /// The element that came.
        got: f64,
        /// Its position.
        index: usize,
    },
    /// A NaN or infinite element of `X`.
    NotFinite {
        /// The element that came.
        got: f64,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// Sample weights that are all zero: their mean does not exist.
    NoWeight,
    /// Options that exclude one another.
    Conflict {
        /// The argument.
        argument: &'static str,
        /// What it must be, and when.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// A word that is none of those allowed.
    Choice {
        /// The argument.
        argument: &'static str,
        /// The words allowed.
        expected: &'static [&'static str],
        /// The word that came.
        got: String,
    },
    /// The environment variable `GRADSTEP_ISA` names no instruction set of this machine.
    Isa {
        /// The names it may have here.
        available: Vec<&'static str>,
        /// The name that came.
        got: String,
    },
    /// The environment variable for the number of threads holds no positive integer.
    ThreadsVariable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        got: String,
    },
    /// A trace of every update does not fit into memory.
    Trace {
        /// The records it would have.
        records: u128,
    },
    /// The caller asked to stop between two chunks of work.
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Empty { rows, columns } => {
                write!(
                    f,
                    "X must have at least one row and one column, got shape ({rows}, {columns})"
                )
            }
            Error::Length {
                argument,
                expected,
                unit,
                got,
            } => {
                write!(
                    f,
                    "{argument} must have length {expected} ({unit}), got length {got}"
                )
            }
            Error::View { argument } => write!(
                f,
                "{argument} must lie within its buffer, got strides that leave it"
            ),
            Error::Number {
                argument,
                expected,
                got,
            } => write!(f, "{argument} must be {expected}, got {got}"),
            Error::Element {
                argument,
                expected,
                got,
                index,
            } => {
                write!(f, "{argument} must be {expected}, got {got} at row {index}")
            }
            Error::NotFinite { got, row, column } => {
                write!(
                    f,
                    "X must be finite, got {got} at row {row}, column {column}"
                )
            }
            Error::NoWeight => write!(f, "sample_weight must have a positive sum, got only zeros"),
            Error::Conflict {
                argument,
                expected,
                got,
            } => write!(f, "{argument} must be {expected}, got {got}"),
            Error::Choice {
                argument,
                expected,
                got,
            } => {
                let words: Vec<String> = expected.iter().map(|word| format!("'{word}'")).collect();
                write!(
                    f,
                    "{argument} must be one of {}, got '{got}'",
                    words.join(", ")
                )
            }
            Error::Isa { available, got } => {
                write!(
                    f,
                    "GRADSTEP_ISA must be one of {} on this machine, got '{got}'",
                    available.join(", ")
                )
            }
            Error::ThreadsVariable { variable, got } => {
                write!(f, "{variable} must be a positive integer, got '{got}'")
            }
            Error::Trace { records } => write!(
                f,
                "trace must fit into memory, got {records} updates to record"
            ),
            Error::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Error {}
