//! Weighted means and variances of the columns of X, after a linear transform by a [`Basis`] in which no digits cancel.
//! Each row has a weight d_i, the curvature of its error; x̃_j denotes column j after the transform.

use crate::kernel::{Basis, Gram};

/// If a column's variance is below this fraction of its mean square, too many digits of the variance have cancelled.
/// Then an origin that is nearer to the mean must be subtracted from the column first.
const FAR: f64 = 1e-6;
/// If a column's variance is below this fraction of its mean square, the variance is taken for rounding error, and the
/// column for constant.
const ROUNDING: f64 = 1e-13;
/// The pivot of a column in a Cholesky factorisation is the fraction of its variance that the columns before it do not
/// explain. If the pivot is below this, too many of its digits have cancelled.
pub(super) const LOST: f64 = 1e-8;
/// A column is taken for a linear combination of the columns before it if the part that these columns do not explain is
/// at most this many ε of the column's size. So small a part changes no score by more than rounding.
pub(super) const NOTHING_LEFT: f64 = 32.0;

/// Sums over the rows for the transformed columns x̃_j, with curvatures d and sample weights s: Σ d x̃_j (`cross`), Σ d
/// x̃_j² (`squares`), Σ d (`bias`) and Σ s (`weight`).
pub(super) struct ColumnSums<'a> {
    pub cross: &'a [f64],
    pub squares: Vec<f64>,
    pub bias: f64,
    pub weight: f64,
}

/// Statistics of the transformed columns x̃_j over rows with weights d.
#[derive(Clone)]
pub(super) struct Columns {
    /// Weighted means of the columns; zeros if no bias is fitted.
    pub mean: Vec<f64>,
    /// The weighted sum of squares of each centred column: Σ d (x̃_j − mean_j)² over the rows, with weights d.
    pub centred: Vec<f64>,
    /// For each column, an upper bound on √(Σ d t²) over the rows. An element of a transformed column is a sum of
    /// terms, and t is the sum of the magnitudes of these terms; d is the weight of the row. Used to bound rounding
    /// errors.
    pub terms: Vec<f64>,
    /// For each column, a threshold for √(Σ d x²), where x are elements of the column and d the weights of the rows. A
    /// column whose √(Σ d x²) is below the threshold changes no score by more than rounding.
    nothing: Vec<f64>,
    /// For each column, whether its variance is no more than rounding error.
    pub negligible: Vec<bool>,
    /// Columns whose variance has lost digits because their mean is far from zero, even after an origin was subtracted.
    pub far: Vec<usize>,
}

impl Columns {
    /// The statistics from sums over rows; `epsilon` is the rounding unit of scores.
    pub(super) fn new(sums: &ColumnSums<'_>, basis: &Basis, fit_bias: bool, epsilon: f64) -> Self {
        let n = basis.columns();
        let total = sums.bias;
        let mean: Vec<f64> = match fit_bias && total > 0.0 {
            true => sums.cross.iter().map(|cross| cross / total).collect(),
            false => vec![0.0; n],
        };
        let mut terms: Vec<f64> = sums.squares.iter().map(|square| square.sqrt()).collect();
        for (j, coefficients) in basis.combinations() {
            let pairs = coefficients.iter().zip(&terms);
            terms[j] += pairs.map(|(t, terms)| t.abs() * terms).sum::<f64>();
        }
        let centred: Vec<f64> = (sums.squares.iter().zip(&mean))
            .map(|(square, mean)| square - mean * mean * total)
            .collect();
        let nothing = NOTHING_LEFT * epsilon * total.sqrt();
        let spreads = basis.spreads(&sums.squares, total);
        let reach = |j: usize| basis.reach(j, &spreads);
        let nothing: Vec<f64> = (0..n).map(|j| nothing * reach(j)).collect();
        let is_negligible = |j: usize| {
            let left = centred[j];
            left <= ROUNDING * sums.squares[j] || left.sqrt() <= nothing[j]
        };
        let negligible = (0..n).map(is_negligible).collect();
        let is_far = |j: &usize| {
            let square = sums.squares[*j];
            let is_some = square.sqrt() > nothing[*j];
            fit_bias && is_some && centred[*j] < FAR * square
        };
        Columns {
            far: (0..n).filter(is_far).collect(),
            mean,
            centred,
            terms,
            nothing,
            negligible,
        }
    }

    /// Whether the column is, up to rounding, a linear combination of the columns before it. `part` is the fraction of
    /// its variance that the columns before it do not explain.
    pub(super) fn is_nothing(&self, column: usize, part: f64) -> bool {
        (self.centred[column] * part).sqrt() <= self.nothing[column]
    }
}

/// Reads the sums of [`ColumnSums`] from a Gram matrix.
pub(super) fn column_sums(gram: &Gram) -> ColumnSums<'_> {
    let (order, n) = (gram.order, gram.order - 1);
    ColumnSums {
        cross: &gram.lower[n * order..n * order + n],
        squares: (0..n).map(|j| gram.lower[j * order + j]).collect(),
        bias: gram.lower[n * order + n],
        weight: gram.weight,
    }
}
