//! What sums over rows say of the columns in a basis: means, and what is left of each seen from its mean.

use crate::kernel::{Basis, Gram};

/// Variance below this part of the mean square has lost too many digits: the column is looked at from its mean.
const FAR: f64 = 1e-6;
/// Variance below this part of the mean square, seen from the mean, is rounding: the column is constant.
const ROUNDING: f64 = 1e-13;
/// A column whose square has less than this part left, seen from the columns before it, has lost too many digits.
pub(super) const LOST: f64 = 1e-8;
/// A column of which less than this many ε are left, seen from the others and beside its size, says nothing that a score
/// would keep.
pub(super) const NOTHING_LEFT: f64 = 32.0;

/// Sums of the columns of a basis: Σ d x̃_j, Σ d x̃_j², Σ d and Σ s.
pub(super) struct ColumnSums<'a> {
    pub cross: &'a [f64],
    pub squares: Vec<f64>,
    pub bias: f64,
    pub weight: f64,
}

/// The columns of a basis, seen from their means: what is left of them, and beside what.
#[derive(Clone)]
pub(super) struct Columns {
    /// Means in the basis, weighted by d; zeros without bias.
    pub mean: Vec<f64>,
    /// Σ d (x̃_j − mean_j)²
    pub centred: Vec<f64>,
    /// Bounds on the roots of Σ d t², t being the magnitudes of the terms that have cancelled in a column of the basis.
    pub terms: Vec<f64>,
    /// Less than this is nothing that a score would keep, of the root of Σ d x̃_j².
    nothing: Vec<f64>,
    /// Columns of which nothing is left.
    pub negligible: Vec<bool>,
    /// Columns that lost digits since they are far from their origins.
    pub far: Vec<usize>,
}

impl Columns {
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

    /// Whether nothing is left of a column of which the columns before it leave this part of its square.
    pub(super) fn is_nothing(&self, column: usize, part: f64) -> bool {
        (self.centred[column] * part).sqrt() <= self.nothing[column]
    }
}

/// The sums that a Gram matrix holds of each column.
pub(super) fn column_sums(gram: &Gram) -> ColumnSums<'_> {
    let (order, n) = (gram.order, gram.order - 1);
    ColumnSums {
        cross: &gram.lower[n * order..n * order + n],
        squares: (0..n).map(|j| gram.lower[j * order + j]).collect(),
        bias: gram.lower[n * order + n],
        weight: gram.weight,
    }
}
