//! The trait through which solvers read rows: its methods return sums over all rows, and copies of some rows. So
//! solvers need not know about arrays, threads and memory layouts. Vectors with one number for each row stay in the
//! source.
//!
//! Two types implement the trait: [`Arrays`] for X, y and sample weights in memory; and [`Distant`] for rows on disk or
//! on other machines, where only y, sample weights and offsets are in memory. [`Together`] lets several fits read the
//! same arrays in common passes.

mod arrays;
mod chunks;
mod columns;
mod distant;
mod few_rows;
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

/// Rows with labels, sample weights and offsets. Row i has the sample weight s_i, the label y_i and the error E_i; its
/// score is z_i, or z_ik for class k. Methods with a [`Job`] among their arguments read all rows of X once, unless
/// their comment says otherwise. Their errors are [`Error::Interrupted`] if the job's monitor ends the call, and
/// [`Error::Memory`] if the numbers that they keep per row do not fit into memory.
pub(crate) trait Source {
    /// m, the number of rows.
    fn rows(&self) -> usize;
    /// n, the number of columns.
    fn columns(&self) -> usize;
    /// The work of a pass, in elements of X.
    fn reads(&self) -> usize;
    /// The number of offsets of a row: one for each of its scores, or 0 if there are no offsets.
    fn offsets(&self) -> usize;
    fn has_offsets(&self) -> bool {
        self.offsets() > 0
    }

    /// The kind of the labels, and sums of the sample weights. Labels and sample weights must be finite in `precision`.
    /// X is not read.
    fn labels(&self, precision: Precision, job: &mut Job<'_>) -> Result<Labels, Error>;
    /// A basis for the columns. The origin and the unit of each column are estimated from a few rows.
    fn basis(&self, fit_bias: bool, is_penalised: bool) -> Result<Basis, Error>;
    /// Announces that [`Source::sample`] will be called, in `precision`, with samples drawn at random: `samples` has
    /// the number of rows and the seed of each. A source whose rows are not in memory can then copy the samples in a
    /// read that it makes to answer another question.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if there is no room for the copies.
    fn plan_samples(&self, samples: &[(usize, u64)], precision: Precision) -> Result<(), Error> {
        let _ = (samples, precision);
        Ok(())
    }
    /// Announces that, after the next read of the rows, [`RowCurvatures::trace`] may be called for the curvatures at
    /// these parameters. A source whose rows are not in memory can then compute this trace in that read, too.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    fn plan_trace(&self, at: &Parameters<'_, f64>, basis: &Basis) -> Result<(), Error> {
        let _ = (at, basis);
        Ok(())
    }
    /// Announces a call of [`RowScores::gram_of_trace`], as [`Source::plan_trace`] announces one of the trace.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    fn plan_gram_of_trace(&self, at: &Parameters<'_, f64>, basis: &Basis) -> Result<(), Error> {
        let _ = (at, basis);
        Ok(())
    }
    /// The least and the largest value of every column in each class, over the rows of positive weight.
    fn ranges(&self, scores: usize, job: &mut Job<'_>) -> Result<Ranges, Error>;

    /// The sum Σ s_i E_i of sample weight × error over the rows, and its gradient, computed in `precision`. Every
    /// parameter must be representable in `precision`.
    fn evaluate(
        &self,
        at: &Parameters<'_, f64>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Sums, Error>;
    /// Bounds on the rounding errors of [`Source::evaluate`]. Of X, only the indices of sparse rows are read.
    fn rounding(
        &self,
        scores: usize,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Rounding, Error>;
    /// The second derivatives of s_i E_i by the scores of row i, for every row. X is not read.
    fn curvatures<'s>(&'s self, at: &Parameters<'_, f64>) -> Box<dyn RowCurvatures + 's>;
    /// `[X 1]ᵀ [X 1]` over the rows of positive weight, in the coordinates of `basis`. `[X 1]` is X with a last column
    /// of ones.
    fn gram_of_counts(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
    /// The scores of every row, right to nearly the last bit.
    fn scores<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn RowScores + 's>, Error>;
    /// Scores for a plane search: a line search over two directions. All of them are zero until
    /// [`PlaneScores::refresh`] and [`PlaneScores::set_direction`] compute them. X is not read.
    fn plane<'s>(&'s self, scores: usize) -> Result<Box<dyn PlaneScores + 's>, Error>;

    /// An upper bound on the norm ‖L⁻¹ (x, 1)‖ of every row x, where L is the Cholesky factor of the [`Metric`]. With K
    /// classes, L⁻¹ is applied to vectors with (x, 1) at the parameters of one class and −(x, 1) at the parameters of
    /// another.
    fn reach(&self, metric: &Metric, job: &mut Job<'_>) -> Result<f64, Error>;
    /// −Σ a / ‖row‖ over all pairs of a standardised row and a class other than its label. The top of `kernel/sides.rs`
    /// defines the vector a of a pair.
    fn sum_of_pairs(&self, space: &Standardised, job: &mut Job<'_>) -> Result<Vec<f64>, Error>;
    /// Compares the margin `a · direction / ‖a‖` of each pair of a row and another class (see [`Source::sum_of_pairs`])
    /// with `tie`. Returns whether some margin is larger than `tie`, and all pairs whose margin is not larger.
    fn sides(
        &self,
        space: &Standardised,
        direction: &[f64],
        tie: f64,
        job: &mut Job<'_>,
    ) -> Result<Sides, Error>;

    /// Copies of the rows with these indices, one after the other: shape (count, n).
    fn gather(&self, rows: &[usize]) -> Result<Vec<f64>, Error>;
    /// The rows with these indices, as a sample that can itself be used as a source. Dense rows are copied in
    /// `precision`.
    fn sample<'s>(
        &'s self,
        rows: Vec<usize>,
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error>;
    /// Some of the columns, with all rows, as a part that can itself be used as a source. `columns` are the indices of
    /// these columns, in ascending order. Dense columns are copied in `precision`.
    fn select<'s>(
        &'s self,
        columns: &[usize],
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Box<dyn Part + 's>, Error>;

    /// The columns, to be read one by one; `None` if X is stored in such a way that this would be slow. Only for models
    /// with one score.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the numbers that are kept per row do not fit into memory.
    fn by_columns<'s>(
        &'s self,
        job: &mut Job<'_>,
    ) -> Result<Option<Box<dyn ByColumns + 's>>, Error>;

    /// All rows, to be multiplied with each other in pairs; `None` if this would be slow. Only for models with one
    /// score.
    fn few_rows<'s>(&'s self, job: &mut Job<'_>) -> Result<Option<Box<dyn FewRows + 's>>, Error>;

    /// The error to report after a sum was infinite or NaN. It names the element of the data that is the cause.
    fn not_finite(&self) -> Error;
}

/// Some of the rows, or some of the columns, of a source.
pub(crate) trait Part {
    fn rows(&self) -> usize;
    /// Calls `work` once with a source. If this part is a sample of rows, the source has every `stride`-th row of the
    /// sample. If it is some of the columns, the source has all rows, and `stride` must be 1.
    fn with_source(
        &self,
        stride: usize,
        work: &mut dyn FnMut(&dyn Source) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

impl dyn Part + '_ {
    /// Calls `work` with every `stride`-th row of this part as a source, and returns its result.
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
    /// The rounding unit of the precision in which the rows are evaluated.
    pub epsilon: f64,
    /// Bound on the rounding error of a score x · w + b, relative to Σ_j |x_j w_j| + |b|.
    pub score: f64,
    /// With one score: bound on the error of the sum of a score and an offset, relative to that sum; 0 without offsets.
    pub offset: f64,
    /// With several classes: bound on the norm of the rounding errors of adding the offsets of a row to its scores.
    /// Errors in proportion to the scores before the addition are not included. 0 without offsets.
    pub shift: f64,
    /// The largest number of `f64` additions that a term goes through in a sum over rows.
    pub additions: f64,
}

/// The second derivatives ∂²E_i/∂z_ik² of the error of every row by its scores, at fixed parameters.
pub(crate) trait RowCurvatures {
    /// The Gram matrices `[X 1]ᵀ D [X 1]` of the scores k in `scores`, with D = diag(s_i ∂²E_i/∂z_ik²), in the
    /// coordinates of `basis`.
    fn grams(&self, scores: &[usize], basis: &Basis, job: &mut Job<'_>)
    -> Result<Vec<Gram>, Error>;
    /// The diagonal and the last row of the matrix that [`RowCurvatures::grams`] returns for one score, except that the
    /// linear combinations of columns in `basis` are ignored.
    fn diagonal(&self, score: usize, basis: &Basis, job: &mut Job<'_>) -> Result<Curvature, Error>;
    /// The sum of [`RowCurvatures::diagonal`] over the scores; and the Hessian of Σ s_i E_i with respect to the
    /// biases, shape (K, K), with only the lower triangle filled.
    fn trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<(Curvature, Vec<f64>), Error>;
}

/// The scores of every row at fixed parameters, right to nearly the last bit.
pub(crate) trait RowScores {
    /// Whether all scores are finite.
    fn are_finite(&self) -> bool;
    /// Bound on the error that each score had before it was rounded to `f64`.
    fn error(&self) -> f64;
    /// An upper bound on the magnitude of every score.
    fn largest(&self) -> f64;
    /// Whether every row of positive weight is predicted right, by more than the rounding error of its scores. With
    /// offsets, always false: the predictions could be right because of the offsets alone.
    fn predict_all_labels(&self, job: &mut Job<'_>) -> Result<bool, Error>;
    /// The scores at other parameters, and the largest change of a score over all rows. With K classes, the second
    /// number is instead the largest change of a difference between two scores of the same row.
    fn moved_to<'s>(
        &'s self,
        at: &Parameters<'_, f64>,
        job: &mut Job<'_>,
    ) -> Result<(Box<dyn RowScores + 's>, f64), Error>;
    /// Σ s_i E_i and Σ s_i.
    fn error_and_weight(&self, job: &mut Job<'_>) -> Result<(f64, f64), Error>;
    /// Sums of residual × row in the coordinates of `basis`; and the largest squared norm of (x, 1) ∘ `scale` over the
    /// rows x, where `scale` has shape (n + 1) and ∘ multiplies componentwise.
    fn moments(&self, basis: &Basis, scale: &[f64], job: &mut Job<'_>) -> Result<Moments, Error>;
    /// The Gram matrix `[X 1]ᵀ D [X 1]` of a pair (k, l) of scores, with D = diag(s_i ∂²E_i/∂z_ik∂z_il), in the
    /// coordinates of `basis`.
    fn gram(&self, pair: [usize; 2], basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
    /// Pearson's χ² of a model with one score: Σ s_i r_i² / (ŷ_i (1 − ŷ_i)) with r_i = ŷ_i − y_i.
    fn chi_square(&self, job: &mut Job<'_>) -> Result<f64, Error>;
    /// Sums for the likelihood of a model with one score under Jeffreys' prior; and [Σ s_i E_i, Σ s_i].
    /// [`JeffreysSums::cubes`] are computed only if `with_cubes`.
    fn jeffreys_sums(
        &self,
        whitening: &Whitening,
        with_cubes: bool,
        job: &mut Job<'_>,
    ) -> Result<(JeffreysSums, [f64; 2]), Error>;
    /// [`RowScores::gram`] with D = diag(s_i Σ_k ∂²E_i/∂z_ik²).
    fn gram_of_trace(&self, basis: &Basis, job: &mut Job<'_>) -> Result<Gram, Error>;
}

/// The scores of every row in a plane search, which is a line search over two directions: the scores at parameters v,
/// and the changes of the scores along a direction d and along s, the last move of v.
pub(crate) trait PlaneScores {
    /// Computes the scores at parameters `v`.
    fn refresh(&mut self, v: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error>;
    /// Computes the changes of the scores along `d`.
    fn set_direction(&mut self, d: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error>;
    /// Σ s_i E_i and its derivatives by α and β at v + α d + β s, where `at` is [α, β]. X is not read.
    fn loss(&self, at: [f64; 2], job: &mut Job<'_>) -> Result<Plane, Error>;
    /// Moves v: replaces s by α d + β s, then v by v + s, where `by` is [α, β]. X is not read.
    fn advance(&mut self, by: [f64; 2]);
}

/// The columns of X one by one, for coordinate descent. Each row has a curvature d_i and a change t_i of its score.
/// Sums are divided by the sum of the sample weights.
pub(crate) trait ByColumns {
    /// Computes the curvatures at parameters `at`: d_i = s_i σ'(z_i), or more where a prediction is certain and wrong.
    fn set_curvatures(&mut self, at: &Parameters<'_, f64>, job: &mut Job<'_>) -> Result<(), Error>;
    /// Σ d_i
    fn total(&self) -> f64;
    /// Σ d_i x_ij and Σ d_i x_ij² of column j.
    fn moments(&self, j: usize) -> [f64; 2];
    /// Makes all t_i 0.
    fn clear(&mut self);
    /// Adds `step` times column j to the t_i.
    fn add(&mut self, j: usize, step: f64);
    /// Σ d_i x_ij t_i for column j.
    fn product(&self, j: usize) -> f64;
}

/// Rows so few that a solver can have one unknown for each row, and can multiply every row with every other row.
pub(crate) trait FewRows {
    /// The products of all pairs of rows, `(X − o) F (X − o)ᵀ`, shape (m, m); only the lower triangle is filled. Here o
    /// is the `origin`, which is subtracted from every row, and F = diag(`factors`).
    fn products(
        &self,
        origin: &[f64],
        factors: &[f64],
        job: &mut Job<'_>,
    ) -> Result<Vec<f64>, Error>;
    /// Σ_i c_i x_i over the rows x_i, shape (n).
    fn combination(&self, c: &[f64], job: &mut Job<'_>) -> Result<Vec<f64>, Error>;
    /// The scores X w of all rows for the `weights` w, plus the offsets, without a bias.
    fn scores(&self, weights: &[f64], job: &mut Job<'_>) -> Result<Vec<f64>, Error>;
    /// The derivatives of Σ s_i E_i by the scores of every row. X is not read.
    fn derivatives(&self, scores: &[f64], job: &mut Job<'_>) -> Result<Derivatives, Error>;
}

/// Σ s_i E_i and its derivatives by the scores of every row.
pub(crate) struct Derivatives {
    /// Σ s_i E_i
    pub error: f64,
    /// Σ s_i
    pub weight: f64,
    /// s_i (ŷ_i − y_i)
    pub first: Vec<f64>,
    /// s_i σ'(z_i)
    pub second: Vec<f64>,
}
