//! Means and centred squares of the columns in a basis, from sums over rows weighted by curvatures d_i.

use crate::kernel::{Basis, Gram};

/// A column whose variance is below this fraction of its mean square has lost too many digits: its origin is moved.
const FAR: f64 = 1e-6;
/// A column whose variance is below this fraction of its mean square is constant: the variance is rounding.
const ROUNDING: f64 = 1e-13;
/// A column whose pivot, the fraction of its square that the columns before it leave, is below this has lost too many
/// digits.
pub(super) const LOST: f64 = 1e-8;
/// A column is a combination of the columns before it if they leave at most this many ε of its size: such a remainder
/// changes no score by more than rounding.
pub(super) const NOTHING_LEFT: f64 = 32.0;

/// Sums over rows for the columns x̃_j of a basis: Σ d x̃_j (`cross`), Σ d x̃_j² (`squares`), Σ d (`bias`) and Σ s
/// (`weight`).
pub(super) struct ColumnSums<'a> {
    pub cross: &'a [f64],
    pub squares: Vec<f64>,
    pub bias: f64,
    pub weight: f64,
}

/// Statistics of the columns x̃_j of a basis under the weights d.
#[derive(Clone)]
pub(super) struct Columns {
    /// Weighted means; zeros without bias.
    pub mean: Vec<f64>,
    /// Σ d (x̃_j − mean_j)²
    pub centred: Vec<f64>,
    /// Bounds on √(Σ d t²), where t of a row is the sum of the magnitudes of the terms that x̃_j is computed from.
    pub terms: Vec<f64>,
    /// The largest √(Σ d x̃_j²) that changes no score by more than rounding.
    nothing: Vec<f64>,
    /// For each column, whether its variance is rounding.
    pub negligible: Vec<bool>,
    /// Columns that have lost digits because their mean is far from their origin.
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

    /// Whether a column is rounding beside the columns before it, which leave the fraction `part` of its centred
    /// square.
    pub(super) fn is_nothing(&self, column: usize, part: f64) -> bool {
        (self.centred[column] * part).sqrt() <= self.nothing[column]
    }
}

/// The sums of [`ColumnSums`] in a Gram matrix.
pub(super) fn column_sums(gram: &Gram) -> ColumnSums<'_> {
    let (order, n) = (gram.order, gram.order - 1);
    ColumnSums {
        cross: &gram.lower[n * order..n * order + n],
        squares: (0..n).map(|j| gram.lower[j * order + j]).collect(),
        bias: gram.lower[n * order + n],
        weight: gram.weight,
    }
}
