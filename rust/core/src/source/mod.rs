//! What a solver asks of the rows: sums over them, and some of them. A solver knows no array, no thread and no layout; what
//! is as long as the rows belongs to the source.
//!
//! [`Arrays`] are the first implementation: X, y and sample weights in memory.

mod arrays;

pub(crate) use self::arrays::Arrays;
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::{
    Basis, Curvature, Gram, Labels, Metric, Moments, Parameters, Plane, Ranges, Sides,
    Standardised, Sums,
};
use crate::reduce::Job;

/// Rows with labels and weights. Every method that takes a [`Job`] reads all rows once, but for those that say otherwise,
/// and fails with [`Error::Interrupted`] if its monitor says so; [`Error::Memory`] is for want of room for scores.
pub(crate) trait Source {
    /// m
    fn rows(&self) -> usize;
    /// n
    fn columns(&self) -> usize;
    /// What a pass reads, as a part of what it would if all elements were stored.
    fn density(&self) -> f64;

    /// What labels and sample weights say, which must be finite in a precision; X is not read.
    fn labels(&self, precision: Precision, job: &mut Job<'_>) -> Result<Labels, Error>;
    /// Origins and units of the columns as a few of the rows have them.
    fn basis(&self, fit_bias: bool, is_penalised: bool) -> Basis;
    /// The least and the largest value of every column, by label.
    fn ranges(&self, scores: usize, job: &mut Job<'_>) -> Result<Ranges, Error>;

    /// Σ s_i E_i and its gradient, computed in a precision that every parameter must be a number of.
    fn evaluate(
        &self,
        at: &Parameters<'_, f64>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Sums, Error>;
    /// How far [`Source::evaluate`] may be off.
    fn rounding(&self, scores: usize, precision: Precision) -> Rounding;
    /// The second derivatives of every E_i by its scores.
    fn curvatures<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn RowCurvatures + 's>, Error>;
    /// `[X 1]ᵀ [X 1]` over the rows of positive weight.
    fn gram_of_counts(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
    /// The scores of every row, right to nearly the last bit.
    fn scores<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn RowScores + 's>, Error>;
    /// Scores of zero over a plane of parameters that is still a point.
    fn plane<'s>(&'s self, scores: usize) -> Result<Box<dyn PlaneScores + 's>, Error>;

    /// The largest norm of a row.
    fn reach(&self, metric: &Metric, job: &mut Job<'_>) -> Result<f64, Error>;
    /// The sum of all pairs' vectors of unit length, negative.
    fn sum_of_pairs(&self, space: &Standardised, job: &mut Job<'_>) -> Result<Vec<f64>, Error>;
    /// The side of a hyperplane that each pair is on, and those within `tie` of it.
    fn sides(
        &self,
        space: &Standardised,
        direction: &[f64],
        tie: f64,
        job: &mut Job<'_>,
    ) -> Result<Sides, Error>;

    /// The rows of those numbers, one after the other, shape (count, n).
    fn gather(&self, rows: &[usize]) -> Vec<f64>;
    /// The rows of those numbers as a source of its own. Copies, if any, are of this precision.
    fn sample<'s>(
        &'s self,
        rows: Vec<usize>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Sample<'s>, Error>;

    /// What is wrong with rows of which a sum is infinite or not a number.
    fn not_finite(&self) -> Error;
}

pub(crate) use self::arrays::Sample;

/// What rounding does to the sums of [`Source::evaluate`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounding {
    /// The error of a score x · w + b, as a part of ‖x‖ ‖w‖ + |b|.
    pub score: f64,
    /// Additions in `f64` that a term of a sum over rows goes through, at most.
    pub additions: f64,
}

/// The second derivatives of every row's error by its scores, at some parameters.
pub(crate) trait RowCurvatures {
    /// `[X 1]ᵀ D [X 1]`, D = diag(s_i ∂²E_i/∂z_ik²).
    fn gram(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
    /// The diagonal of that and its last row alone; of the basis, origins and units alone are used.
    fn diagonal(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Curvature, Error>;
    /// The sum of all scores' [`RowCurvatures::diagonal`], and the Hessian of Σ s_i E_i by the biases, shape (K, K), of which
    /// only the lower triangle is filled.
    fn trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<(Curvature, Vec<f64>), Error>;
}

/// The scores of every row at some parameters, right to nearly the last bit.
pub(crate) trait RowScores {
    /// Whether none is infinite or not a number.
    fn are_finite(&self) -> bool;
    /// How far one may be off, but for one rounding.
    fn error(&self) -> f64;
    /// Whether every label is predicted right, whatever rounding hides.
    fn predict_all_labels(&self) -> bool;
    /// The scores at other parameters, and the largest change of a score, or of the difference of two classes' scores.
    fn moved_to<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<(Box<dyn RowScores + 's>, f64), Error>;
    /// Σ s_i E_i and Σ s_i.
    fn error_and_weight(&self, job: &mut Job<'_>) -> Result<(f64, f64), Error>;
    /// Sums of residual × row in a basis, and the largest squared norm of a row (x, 1) times `scale`, shape (n + 1).
    fn moments(&self, basis: &Basis, scale: &[f64], job: &mut Job<'_>) -> Result<Moments, Error>;
    /// `[X 1]ᵀ D [X 1]`, D = diag(s_i ∂²E_i/∂z_ik∂z_il).
    fn gram(&self, pair: [usize; 2], basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
    /// The same with D = diag(s_i Σ_k ∂²E_i/∂z_ik²).
    fn gram_of_trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
}

/// The scores of every row at `v`, along a direction d, and along the last move s of v.
pub(crate) trait PlaneScores {
    /// Computes those at `v`.
    fn refresh(&mut self, v: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error>;
    /// Computes those along `d`.
    fn turn(&mut self, d: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error>;
    /// Σ s_i E_i and its derivatives at v + α d + β s; X is not read.
    fn loss(&self, at: [f64; 2], job: &mut Job<'_>) -> Result<Plane, Error>;
    /// Moves v by α d + β s, which becomes s; X is not read.
    fn go(&mut self, by: [f64; 2]);
}
