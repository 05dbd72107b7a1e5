//! `Start`: the weights and biases at which a fit or a descent starts.

use crate::error::{Error, check_length, zeros};
use crate::float::{Float, Precision};

/// Initial weights and biases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// The weights w, shape (n); for several classes, shape (K, n).
    pub weights: Option<Vec<f64>>,
    /// Number of rows of the weights, if the weights were given as a matrix.
    pub rows: Option<usize>,
    /// The biases b, one for each score; a single bias is used for all scores.
    pub biases: Option<Vec<f64>>,
}

impl Start {
    /// The weights, class by class, and the biases, one for each score. They are zeros if not given.
    ///
    /// # Errors
    ///
    /// [`Error::Length`]; [`Error::Conflict`] for weights that do not have one row for each class, or that have rows
    /// although there is only one score; [`Error::Weight`] or [`Error::Number`] for weights or biases that are not
    /// finite in `F`; [`Error::Memory`] if the weights do not fit into memory.
    pub fn parameters<F: Float>(
        &self,
        columns: usize,
        scores: usize,
    ) -> Result<(Vec<F>, Vec<F>), Error> {
        self.check(columns, scores, F::PRECISION)?;
        let typed = |values: &[f64]| values.iter().map(|&value| F::from_f64(value)).collect();
        let weights = match &self.weights {
            Some(weights) => typed(weights),
            // An X with a stride of 0 may have so many columns that weights for them do not fit into memory.
            None if scores == 1 => zeros("weights", columns, "columns of X")?,
            None => {
                let count = columns.saturating_mul(scores);
                zeros("weights", count, "numbers of columns and classes")?
            }
        };
        let biases = match self.biases.as_deref() {
            Some(&[bias]) => vec![F::from_f64(bias); scores],
            Some(biases) => typed(biases),
            None => vec![F::ZERO; scores],
        };
        Ok((weights, biases))
    }

    /// Checks that weights and biases are finite in `precision`, and that there are as many as the columns and scores
    /// need.
    ///
    /// # Errors
    ///
    /// Those of [`Start::parameters`], except [`Error::Memory`].
    pub(crate) fn check(
        &self,
        columns: usize,
        scores: usize,
        precision: Precision,
    ) -> Result<(), Error> {
        if let Some(weights) = &self.weights {
            match (scores, self.rows) {
                (1, None) => {
                    let unit = "one weight per column of X";
                    check_length("weights", weights.len(), columns, unit)?;
                }
                (_, Some(rows)) if scores > 1 && rows == scores => {
                    let width = weights.len() / rows;
                    let unit = "one per column of X, in each row of weights";
                    check_length("weights", width, columns, unit)?;
                }
                (_, rows) => {
                    let got =
                        rows.map_or("one dimension".to_owned(), |rows| format!("{rows} rows"));
                    return Err(Error::Conflict {
                        argument: "weights",
                        expected: "one-dimensional for labels in [0, 1], and a row per class for class codes",
                        got,
                    });
                }
            }
        }
        if let Some(biases) = &self.biases
            && biases.len() != 1
        {
            check_length("bias", biases.len(), scores, "one per class")?;
        }
        const EXPECTED: &str = "finite in the dtype of the computation";
        let first_infinite = |values: &Option<Vec<f64>>| {
            let mut values = values.clone().unwrap_or_default();
            precision.round(&mut values);
            let index = values.iter().position(|v| !v.is_finite());
            index.map(|index| (index, values[index]))
        };
        if let Some((index, got)) = first_infinite(&self.weights) {
            return Err(Error::Weight {
                argument: "weights",
                expected: EXPECTED,
                got,
                index,
            });
        }
        match first_infinite(&self.biases) {
            None => Ok(()),
            Some((_, got)) => Err(Error::Number {
                argument: "bias",
                expected: EXPECTED,
                got,
            }),
        }
    }
}
