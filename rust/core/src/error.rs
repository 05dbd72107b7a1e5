//! The errors of the crate. Each variant says which argument is wrong, what was expected and what was given.

use std::fmt;

/// Why a call failed. No argument has been modified; only after [`Error::Interrupted`], an output may be partly
/// written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// `X` has no rows or no columns.
    Empty {
        /// Rows of `X`.
        rows: usize,
        /// Columns of `X`.
        columns: usize,
    },
    /// The length of an array does not fit `X` or another array.
    Length {
        /// Name of the argument.
        argument: &'static str,
        /// The length that the argument must have.
        expected: usize,
        /// The reason for this length: "one value per row of X", …
        unit: &'static str,
        /// The length given.
        got: usize,
    },
    /// A view has elements outside its buffer.
    View {
        /// Name of the argument.
        argument: &'static str,
    },
    /// A number is outside of its allowed range.
    Number {
        /// Name of the argument.
        argument: &'static str,
        /// The allowed range, in words.
        expected: &'static str,
        /// The number given.
        got: f64,
    },
    /// An element of `y`, `sample_weight` or another array with one value per row is outside of its allowed range.
    Element {
        /// Name of the argument.
        argument: &'static str,
        /// The allowed range, in words.
        expected: &'static str,
        /// The element given.
        got: f64,
        /// The row.
        index: usize,
    },
    /// A label is not a class code, a whole number from 0 to `classes` − 1.
    Class {
        /// Number of classes.
        classes: usize,
        /// The label given.
        got: f64,
        /// The row.
        index: usize,
    },
    /// A class code below the largest label has no row of positive weight.
    NoSample {
        /// The class code.
        class: usize,
        /// The largest label.
        largest: f64,
    },
    /// A weight, or another number of a column, is outside of its allowed range.
    Weight {
        /// Name of the argument.
        argument: &'static str,
        /// The allowed range, in words.
        expected: &'static str,
        /// The weight given.
        got: f64,
        /// The index of the weight.
        index: usize,
    },
    /// An element of `X` is NaN or infinite.
    NotFinite {
        /// The element given.
        got: f64,
        /// The row of the element.
        row: usize,
        /// The column of the element.
        column: usize,
    },
    /// `indptr` of a sparse `X` is not valid. It must ascend, and contain the positions in `data` at which the rows
    /// (CSR) or columns (CSC) start.
    Starts {
        /// What `indptr` must do, in words: "start at 0", …
        expected: &'static str,
        /// The element given.
        got: i64,
        /// The index of the element.
        position: usize,
    },
    /// An element of `indices` of a sparse `X` is not the number of a column (CSR) or of a row (CSC).
    Index {
        /// What `indices` numbers: "column" for CSR, "row" for CSC.
        axis: &'static str,
        /// The number of columns (or rows). Indices must be below it.
        bound: usize,
        /// The index given.
        got: i64,
        /// The position of the index in `indices`.
        position: usize,
        /// What `line` numbers: "row" for CSR, "column" for CSC.
        line_axis: &'static str,
        /// The row (or column) of `X` that the index belongs to.
        line: usize,
    },
    /// The sum of the sample weights is zero, infinite or too small to divide by.
    TotalWeight {
        /// The least allowed sum of the sample weights. Division by a smaller sum would lose digits.
        least: f64,
        /// The sum given.
        got: f64,
    },
    /// An argument conflicts with another argument.
    Conflict {
        /// Name of the argument.
        argument: &'static str,
        /// What the argument must be, and in which case.
        expected: &'static str,
        /// What was given.
        got: String,
    },
    /// A word is none of the allowed words.
    Choice {
        /// Name of the argument.
        argument: &'static str,
        /// The allowed words.
        expected: Vec<&'static str>,
        /// The word given.
        got: String,
    },
    /// The environment variable `GRADSTEP_ISA` does not name an instruction set of this machine.
    Isa {
        /// Names of the instruction sets of this machine.
        available: Vec<&'static str>,
        /// The value of the variable.
        got: String,
    },
    /// The environment variable for the number of threads does not hold a positive integer.
    ThreadsVariable {
        /// The variable.
        variable: &'static str,
        /// The value of the variable.
        got: String,
    },
    /// Not enough memory.
    Memory {
        /// Name of the argument whose size or value needs the memory.
        argument: &'static str,
        /// How many items were to be stored. `unit` says of which kind.
        count: u128,
        /// The kind of item: "updates to record", …
        unit: &'static str,
    },
    /// The bytes of a request about rows, or of an answer to a request, cannot be read.
    Bytes,
    /// The monitor stopped the call between two pieces of work.
    Interrupted,
}

impl Error {
    /// This error, with `count` added to the number of the row that it names.
    pub(crate) fn after_rows(mut self, count: usize) -> Self {
        match &mut self {
            Error::Element { index: row, .. }
            | Error::Class { index: row, .. }
            | Error::NotFinite { row, .. } => *row += count,
            _ => {}
        }
        self
    }
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
            } => write!(f, "{argument} must be {expected}, got {}", Shown(*got)),
            Error::Element {
                argument,
                expected,
                got,
                index,
            } => {
                let got = Shown(*got);
                write!(f, "{argument} must be {expected}, got {got} at row {index}")
            }
            Error::Class {
                classes,
                got,
                index,
            } => write!(
                f,
                "y must be class codes from 0 to {}, got {} at row {index}",
                classes.saturating_sub(1),
                Shown(*got)
            ),
            Error::NoSample { class, largest } => write!(
                f,
                "y must be class codes without gaps, each of them with a sample of positive weight, got none of class \
                 {class} among those from 0 to {}",
                Shown(*largest)
            ),
            Error::NotFinite { got, row, column } => {
                let got = Shown(*got);
                write!(
                    f,
                    "X must be finite, got {got} at row {row}, column {column}"
                )
            }
            Error::Weight {
                argument,
                expected,
                got,
                index,
            } => {
                let got = Shown(*got);
                write!(
                    f,
                    "{argument} must be {expected}, got {got} at index {index}"
                )
            }
            Error::Starts {
                expected,
                got,
                position,
            } => write!(
                f,
                "X.indptr must {expected}, got {got} at position {position}"
            ),
            Error::Index {
                axis,
                bound,
                got,
                position,
                line_axis,
                line,
            } => write!(
                f,
                "X.indices must be {axis}s from 0 to {}, got {got} at position {position} ({line_axis} {line})",
                bound - 1
            ),
            Error::TotalWeight { got: 0.0, .. } => {
                write!(f, "sample_weight must have a positive sum, got only zeros")
            }
            Error::TotalWeight { least, got } => {
                let got = Shown(*got);
                write!(
                    f,
                    "sample_weight must have a finite sum of at least {least:.0e}, got a sum of {got}"
                )
            }
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
            Error::Memory {
                argument,
                count,
                unit,
            } => write!(f, "{argument} must fit into memory, got {count} {unit}"),
            Error::Bytes => write!(
                f,
                "X must be read by one version of gradstep, got bytes that another one wrote"
            ),
            Error::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Error {}

/// A vector of `count` zeros.
///
/// # Errors
///
/// [`Error::Memory`] with `argument`, `count` and `unit` if the allocation fails.
pub fn zeros<T: Clone + Default>(
    argument: &'static str,
    count: usize,
    unit: &'static str,
) -> Result<Vec<T>, Error> {
    let mut zeros = Vec::new();
    match zeros.try_reserve_exact(count) {
        Ok(()) => {
            zeros.resize(count, T::default());
            Ok(zeros)
        }
        Err(_) => Err(Error::Memory {
            argument,
            count: count as u128,
            unit,
        }),
    }
}

/// Checks that memory for `elements` numbers can be allocated; the memory is freed again.
///
/// # Errors
///
/// [`Error::Memory`] with `argument`, `count` and `unit` if the allocation fails.
pub(crate) fn check_room(
    elements: u128,
    argument: &'static str,
    count: u128,
    unit: &'static str,
) -> Result<(), Error> {
    let room = usize::try_from(elements).map(|count| Vec::<f64>::new().try_reserve_exact(count));
    match room {
        Ok(Ok(())) => Ok(()),
        _ => Err(Error::Memory {
            argument,
            count,
            unit,
        }),
    }
}

/// The value that `words` pairs with `name`.
///
/// # Errors
///
/// [`Error::Choice`] if `name` is not among the words.
pub(crate) fn one_of<T: Copy>(
    argument: &'static str,
    words: &[(&'static str, T)],
    name: &str,
) -> Result<T, Error> {
    match words.iter().find(|(word, _)| *word == name) {
        Some(&(_, value)) => Ok(value),
        None => Err(Error::Choice {
            argument,
            expected: words.iter().map(|(word, _)| *word).collect(),
            got: name.to_owned(),
        }),
    }
}

/// A number, formatted for messages: `nan`, `inf` and `-inf` as in Python; huge and tiny numbers in scientific
/// notation.
struct Shown(f64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(value) = *self;
        if value.is_nan() {
            write!(f, "nan")
        } else if value == 0.0 || !value.is_finite() || (1e-5..1e16).contains(&value.abs()) {
            write!(f, "{value}")
        } else {
            write!(f, "{value:e}")
        }
    }
}

/// Checks the length of an argument.
///
/// # Errors
///
/// [`Error::Length`] unless `got == expected`.
pub(crate) fn check_length(
    argument: &'static str,
    got: usize,
    expected: usize,
    unit: &'static str,
) -> Result<(), Error> {
    if got == expected {
        Ok(())
    } else {
        Err(Error::Length {
            argument,
            expected,
            unit,
            got,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelt_as_python_spells_them() {
        for (value, shown) in [
            (f64::NAN, "nan"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (0.0, "0"),
            (-0.5, "-0.5"),
            (1.0 + f64::EPSILON, "1.0000000000000002"),
            (1e300, "1e300"),
            (-5e-324, "-5e-324"),
        ] {
            assert_eq!(Shown(value).to_string(), shown);
        }
    }
}
