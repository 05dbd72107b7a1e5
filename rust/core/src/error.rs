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
    /// The element of a row, in `y`, `sample_weight` or the like, outside its range.
    Element {
        /// The argument.
        argument: &'static str,
        /// The range in words.
        expected: &'static str,
        /// The element that came.
        got: f64,
        /// The row.
        index: usize,
    },
    /// A label that is no class code.
    Class {
        /// Classes there are.
        classes: usize,
        /// The label that came.
        got: f64,
        /// The row.
        index: usize,
    },
    /// A class of which there is no sample.
    NoSample {
        /// The class.
        class: usize,
        /// The largest label.
        largest: f64,
    },
    /// A weight outside its range.
    Weight {
        /// The range in words.
        expected: &'static str,
        /// The weight that came.
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
    /// Where the rows (or columns) of a sparse `X` start is no ascending list of positions.
    Starts {
        /// What they must do, in words.
        expected: &'static str,
        /// The one that came.
        got: i64,
        /// Its position.
        position: usize,
    },
    /// An index of a sparse `X` that is none of its columns (or rows).
    Index {
        /// "column" for CSR, "row" for CSC.
        axis: &'static str,
        /// How many of these there are.
        bound: usize,
        /// The index that came.
        got: i64,
        /// Its position among all of them.
        position: usize,
        /// "row" for CSR, "column" for CSC.
        line_axis: &'static str,
        /// The row or column that it stands in.
        line: usize,
    },
    /// Sample weights whose sum no mean can be divided by.
    TotalWeight {
        /// The least sum that has all digits.
        least: f64,
        /// The sum.
        got: f64,
    },
    /// An argument that is not what others make necessary.
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
        expected: Vec<&'static str>,
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
    /// What has to be kept does not fit into memory.
    Memory {
        /// The argument that asks for it.
        argument: &'static str,
        /// How many there are to keep.
        count: u128,
        /// Of what: "updates to record", …
        unit: &'static str,
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
                expected,
                got,
                index,
            } => {
                let got = Shown(*got);
                write!(f, "weights must be {expected}, got {got} at index {index}")
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
            Error::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Error {}

/// That many zeros.
///
/// # Errors
///
/// [`Error::Memory`], naming `argument` and that many of what `unit` says, if there is no room.
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

/// Whether there is room for `elements` numbers. Nothing is kept.
///
/// # Errors
///
/// [`Error::Memory`], naming `argument` and `count` of what `unit` says, if there is none.
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

/// What `name` stands for among `words`.
///
/// # Errors
///
/// [`Error::Choice`] if it is none of these.
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

/// A number as messages show it: `nan`, `inf` and `-inf` as Python spells them, and huge or tiny ones by their exponent,
/// not by hundreds of digits.
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

/// # Errors
///
/// [`Error::Length`] unless an argument is as long as it should be.
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
