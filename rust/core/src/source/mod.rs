//! The trait through which solvers read rows: sums over all rows, and copies of some. Solvers know no arrays, threads
//! or layouts; vectors with a number per row stay in the source.
//!
//! Two types implement it: [`Arrays`], with X, y and sample weights in memory; and [`Distant`], for rows on disk or on
//! other machines, of which only y, sample weights and offsets are in memory. [`Together`] lets several fits read the
//! same arrays in common passes.

mod arrays;
mod chunks;
mod columns;
mod distant;
mod kept;
mod request;
mod together;

pub(crate) use self::arrays::Arrays;
pub use self::chunks::{Chunks, ReadRows};
pub(crate) use self::distant::Distant;
pub use self::distant::{DistantRows, Log};
pub use self::request::{UNIT, answer};
pub(crate) use self::together::{Stopped, Together};
use crate::error::Error;
use crate::float::Precision;
use crate::kernel::{
    Basis, Curvature, Gram, JeffreysSums, Labels, Metric, Moments, Parameters, Plane, Ranges,
    Sides, Standardised, Sums, Whitening,
};
use crate::reduce::Job;

/// Rows with labels, sample weights and offsets. Methods that take a [`Job`] read all rows of X once unless they say
/// otherwise. They fail with [`Error::Interrupted`] if the job's monitor ends the call, and with [`Error::Memory`] if
/// the numbers that they keep per row do not fit into memory.
pub(crate) trait Source {
    /// m, the number of rows.
    fn rows(&self) -> usize;
    /// n, the number of columns.
    fn columns(&self) -> usize;
    /// The work of a pass, in elements of X.
    fn reads(&self) -> usize;
    /// Whether rows have offsets, which are added to their scores.
    fn has_offsets(&self) -> bool;

    /// Kind and totals of the labels and sample weights, which must be finite in `precision`. X is not read.
    fn labels(&self, precision: Precision, job: &mut Job<'_>) -> Result<Labels, Error>;
    /// A basis with origins and units of the columns estimated from a few rows.
    fn basis(&self, fit_bias: bool, is_penalised: bool) -> Result<Basis, Error>;
    /// The least and the largest value of every column, for each label.
    fn ranges(&self, scores: usize, job: &mut Job<'_>) -> Result<Ranges, Error>;

    /// Σ s_i E_i and its gradient, computed in `precision`, in which every parameter must be representable.
    fn evaluate(
        &self,
        at: &Parameters<'_, f64>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Sums, Error>;
    /// Bounds on the rounding errors of [`Source::evaluate`].
    fn rounding(&self, scores: usize, precision: Precision) -> Rounding;
    /// The second derivatives of every s_i E_i by the row's scores.
    fn curvatures<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn RowCurvatures + 's>, Error>;
    /// `[X 1]ᵀ [X 1]` over the rows of positive weight, in the coordinates of a basis.
    fn gram_of_counts(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
    /// The scores of every row, right to nearly the last bit.
    fn scores<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn RowScores + 's>, Error>;
    /// Zero scores for a plane search; [`PlaneScores::refresh`] and [`PlaneScores::set_direction`] fill them. X is not
    /// read.
    fn plane<'s>(&'s self, scores: usize) -> Result<Box<dyn PlaneScores + 's>, Error>;

    /// The largest norm of a row (x, 1) under a metric.
    fn reach(&self, metric: &Metric, job: &mut Job<'_>) -> Result<f64, Error>;
    /// −Σ a / ‖a‖ over the vectors a of all pairs of a row and a class other than its label (see `solver::separation`).
    fn sum_of_pairs(&self, space: &Standardised, job: &mut Job<'_>) -> Result<Vec<f64>, Error>;
    /// Compares the margin `a · direction / ‖a‖` of each pair with `tie`: whether it is larger for some pair, and all
    /// pairs for which it is not.
    fn sides(
        &self,
        space: &Standardised,
        direction: &[f64],
        tie: f64,
        job: &mut Job<'_>,
    ) -> Result<Sides, Error>;

    /// The rows of these indices, copied one after the other: shape (count, n).
    fn gather(&self, rows: &[usize]) -> Result<Vec<f64>, Error>;
    /// A sample of rows, by their indices, that can be lent as a source. Copied elements are stored in `precision`.
    fn sample<'s>(
        &'s self,
        rows: Vec<usize>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error>;
    /// The columns of these ascending numbers, which can be lent as a source. Copies of dense columns are stored in
    /// `precision`.
    fn select<'s>(
        &'s self,
        columns: &[usize],
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error>;

    /// The columns one by one; `None` if rows are stored such that this would be slow. Only for models with one score.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the numbers of the rows do not fit into memory.
    fn by_columns<'s>(
        &'s self,
        job: &mut Job<'_>,
    ) -> Result<Option<Box<dyn ByColumns + 's>>, Error>;

    /// The error to report after a sum was infinite or NaN: names the element of the data that is to blame.
    fn not_finite(&self) -> Error;
}

/// Some of the rows, or some of the columns, of a source.
pub(crate) trait Part {
    fn rows(&self) -> usize;
    /// Calls `work` once with a source. For a sample, the source has every `stride`-th row of it. For columns, it has
    /// all rows, and the stride must be 1.
    fn with_source(
        &self,
        stride: usize,
        work: &mut dyn FnMut(&dyn Source) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

impl dyn Part + '_ {
    /// The result of `work` on every `stride`-th row as a source.
    pub(crate) fn lend<T>(
        &self,
        stride: usize,
        work: impl FnOnce(&dyn Source) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (mut work, mut result) = (Some(work), None);
        self.with_source(stride, &mut |source| {
            result = work.take().map(|work| work(source)).transpose()?;
            Ok(())
        })?;
        Ok(result.unwrap_or_else(|| unreachable!("a part calls its work")))
    }
}

/// Bounds on the rounding errors of [`Source::evaluate`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounding {
    /// Bound on the error of a score x · w + b, relative to ‖x‖ ‖w‖ + |b|.
    pub score: f64,
    /// Bound on the error of the sum of a score and an offset, relative to that sum; 0 without offsets.
    pub offset: f64,
    /// The most `f64` additions that a term goes through in a sum over rows.
    pub additions: f64,
}

/// The second derivatives ∂²E_i/∂z_ik² of every row's error by its scores, at fixed parameters.
pub(crate) trait RowCurvatures {
    /// The Gram matrix `[X 1]ᵀ D [X 1]` of score k, with D = diag(s_i ∂²E_i/∂z_ik²), in the coordinates of a basis.
    fn gram(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
    /// The diagonal and the last row of [`RowCurvatures::gram`]. The basis's combinations are ignored.
    fn diagonal(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Curvature, Error>;
    /// The sum over the scores of [`RowCurvatures::diagonal`], and the Hessian of Σ s_i E_i by the biases, shape (K,
    /// K), of which only the lower triangle is filled.
    fn trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<(Curvature, Vec<f64>), Error>;
}

/// The scores of every row at fixed parameters, right to nearly the last bit.
pub(crate) trait RowScores {
    /// Whether all scores are finite.
    fn are_finite(&self) -> bool;
    /// Bound on the error of a score, apart from its final rounding.
    fn error(&self) -> f64;
    /// An upper bound on the magnitude of every score.
    fn largest(&self) -> f64;
    /// Whether every row of positive weight is predicted right, by more than the rounding error of its scores. Always
    /// false with offsets, because they could be the reason.
    fn predict_all_labels(&self, job: &mut Job<'_>) -> Result<bool, Error>;
    /// The scores at other parameters, and the largest change of a score. With K classes, it is the largest change of
    /// the difference between two scores of a row.
    fn moved_to<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<(Box<dyn RowScores + 's>, f64), Error>;
    /// Σ s_i E_i and Σ s_i.
    fn error_and_weight(&self, job: &mut Job<'_>) -> Result<(f64, f64), Error>;
    /// Sums of residual × row in the coordinates of a basis, and the largest squared norm of (x, 1) ∘ `scale` over the
    /// rows; `scale` has shape (n + 1).
    fn moments(&self, basis: &Basis, scale: &[f64], job: &mut Job<'_>) -> Result<Moments, Error>;
    /// The Gram matrix `[X 1]ᵀ D [X 1]` of a pair (k, l) of scores, with D = diag(s_i ∂²E_i/∂z_ik∂z_il), in the
    /// coordinates of a basis.
    fn gram(&self, pair: [usize; 2], basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
    /// Σ s_i r_i² / (ŷ_i (1 − ŷ_i)), r = ŷ − y, of one score: Pearson's χ².
    fn chi_square(&self, job: &mut Job<'_>) -> Result<f64, Error>;
    /// Sums for the likelihood of one score under Jeffreys' prior, and [Σ s_i E_i, Σ s_i]. The sums of third order are
    /// computed only if `with_cubes`.
    fn jeffreys_sums(
        &self,
        whitening: &Whitening,
        with_cubes: bool,
        job: &mut Job<'_>,
    ) -> Result<(JeffreysSums, [f64; 2]), Error>;
    /// [`RowScores::gram`] with D = diag(s_i Σ_k ∂²E_i/∂z_ik²).
    fn gram_of_trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
}

/// For the plane search: the scores of every row at parameters v, and their changes along a direction d and along the
/// last move s of v.
pub(crate) trait PlaneScores {
    /// Computes the scores at `v`.
    fn refresh(&mut self, v: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error>;
    /// Computes the changes of the scores along `d`.
    fn set_direction(&mut self, d: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error>;
    /// Σ s_i E_i and its derivatives at v + α d + β s; X is not read.
    fn loss(&self, at: [f64; 2], job: &mut Job<'_>) -> Result<Plane, Error>;
    /// Replaces s by α d + β s, and v by v + s. X is not read.
    fn advance(&mut self, by: [f64; 2]);
}

/// The columns of X one by one, with a curvature d_i of each row and a change t_i of its score: for coordinate descent.
/// Sums are divided by the sum of the sample weights.
pub(crate) trait ByColumns {
    /// Computes the curvatures at some parameters: d_i = s_i σ'(z_i), or more where a prediction is certain and wrong.
    fn set_curvatures(&mut self, at: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error>;
    /// Σ d_i
    fn total(&self) -> f64;
    /// Σ d_i x_ij and Σ d_i x_ij² of column j.
    fn moments(&self, j: usize) -> [f64; 2];
    /// Makes all t_i 0.
    fn clear(&mut self);
    /// Adds `step` times column j to the t_i.
    fn add(&mut self, j: usize, step: f64);
    /// Σ d_i x_ij t_i
    fn product(&self, j: usize) -> f64;
}
