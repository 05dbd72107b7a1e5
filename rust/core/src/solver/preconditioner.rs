//! The preconditioner: an approximate inverse of the Hessian. Solvers multiply gradients by it, so that their steps are
//! suitable for columns of any scale.
//!
//! The bias is eliminated first: each column is centred at its weighted mean, in which the weight of row i is its
//! curvature d_i = s_i σ'(z_i). The elements of the Hessian between the bias and the weights of centred columns are 0.
//! The Hessian by these weights is scaled to unit diagonal and then factored; where factoring would take too long, the
//! scaled Hessian is taken to be the identity.
//!
//! Columns are transformed linearly by a [`Basis`]. The basis is changed if digits have cancelled in a column. This
//! happens if the column's mean is far from the origin that the basis subtracts from the column, or if the column is
//! nearly a linear combination of the columns before it.

use std::sync::Arc;

use super::cholesky::Cholesky;
use super::columns::{ColumnSums, Columns, LOST, column_sums};
use super::objective::Objective;
use super::run::Run;
use crate::error::Error;
use crate::kernel::{Basis, Curvature, Gram, softmax_in_place};
use crate::linalg::{centre, dot};
use crate::reduce::Job;
use crate::source::RowCurvatures;

/// The largest number of bases that are tried, one after the other. The last one is used even if digits have cancelled
/// in it.
const ROUNDS: usize = 8;

/// An approximate inverse of the Hessian with respect to the weights and biases of all scores.
///
/// With several classes, the Hessian is taken to be block-diagonal, with a block for each class. Adding the same
/// numbers to the parameters of all classes changes no probability. The true Hessian vanishes in such directions, but
/// the block-diagonal one does not. Therefore these directions are removed from gradients and steps, by centring
/// gradients and steps over the classes.
pub(crate) struct Preconditioner {
    basis: Arc<Basis>,
    blocks: Vec<Block>,
}

impl Preconditioner {
    /// Whether all numbers of the preconditioner are finite. They are not if every prediction is so certain that all
    /// curvatures are 0.
    pub(crate) fn is_usable(&self) -> bool {
        self.blocks.iter().all(Block::is_usable)
    }

    /// Whether a column is constant in the rows from which this preconditioner was computed.
    pub(crate) fn has_constant_columns(&self) -> bool {
        self.blocks.iter().any(|block| !block.constant.is_empty())
    }

    /// For the columns that are constant in the rows of this preconditioner, copies the scales of `other`, which was
    /// computed from more rows.
    pub(crate) fn adopt_constant_columns(&mut self, other: &Preconditioner) {
        for (block, other) in self.blocks.iter_mut().zip(&other.blocks) {
            block.adopt_constant_columns(other);
        }
    }

    /// `out = P g` with the approximate inverse Hessian P and the gradient g. Both `gradient` and `out` have the
    /// weights first and the biases last.
    pub(crate) fn apply(&self, gradient: &[f64], out: &mut [f64]) {
        let classes = self.blocks.len();
        let n = self.basis.columns();
        out.copy_from_slice(gradient);
        if classes > 1 {
            centre(out, classes);
        }
        let (weights, biases) = out.split_at_mut(classes * n);
        let scores = weights.chunks_exact_mut(n).zip(biases);
        for (block, (weights, bias)) in self.blocks.iter().zip(scores) {
            self.basis.gradient(weights, *bias);
            *bias = block.apply(weights, *bias);
            *bias += self.basis.to_natural(weights);
            if block.along_bias == 0.0 {
                *bias = 0.0;
            }
        }
        if classes > 1 {
            centre(out, classes);
        }
    }

    /// Means and standard deviations of the columns, with which the size of steps is measured.
    pub(crate) fn column_scales(&self) -> ColumnScales {
        ColumnScales {
            basis: Arc::clone(&self.basis),
            blocks: self
                .blocks
                .iter()
                .map(|block| block.measures(&self.basis))
                .collect(),
        }
    }

    /// A better basis for the columns, if digits have cancelled in the present one; else `None`.
    fn better_basis(&self) -> Option<Basis> {
        let block = self.blocks.iter().find(|block| block.has_lost_digits())?;
        let mut better = Basis::clone(&self.basis);
        block.improve(&mut better);
        (better != *self.basis).then_some(better)
    }
}

/// The preconditioner's block for one score. Columns are transformed linearly by a [`Basis`].
struct Block {
    /// Weighted mean of each column; the weight of row i is its curvature d_i. Zeros if no bias is fitted.
    mean: Vec<f64>,
    /// Reciprocal of the second derivative by the bias; 0 if no bias is fitted.
    along_bias: f64,
    /// For each centred column, 1 / √(second derivative by its weight).
    scale: Vec<f64>,
    /// Cholesky factor of the scaled Hessian by the weights; `None` if the scaled Hessian is taken to be the identity.
    factor: Option<Cholesky>,
    /// Weighted standard deviation of each column; the weight of row i is its curvature d_i.
    deviation: Vec<f64>,
    /// Columns that are constant, or excluded from the fit.
    constant: Vec<usize>,
    /// Columns whose mean is far from zero, even after the basis has subtracted the column's origin. Centring such a
    /// column cancels digits.
    far: Vec<usize>,
}

impl Block {
    /// A block from the diagonal of the Hessian alone.
    fn diagonal(curvature: &Curvature, basis: &Basis, objective: &Objective<'_>) -> Self {
        let sums = ColumnSums {
            cross: &curvature.cross,
            squares: curvature.diagonal.clone(),
            bias: curvature.bias,
            weight: curvature.weight,
        };
        Block::new(&sums, basis, objective)
    }

    /// A block from the whole Hessian.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by the monitor.
    fn factored(
        gram: &Gram,
        basis: &Basis,
        objective: &Objective<'_>,
        job: &mut Job<'_>,
    ) -> Result<Self, Error> {
        let sums = column_sums(gram);
        let mut result = Block::new(&sums, basis, objective);
        let (order, n) = (gram.order, gram.order - 1);
        let mut is_constant = vec![false; n];
        for &j in &result.constant {
            is_constant[j] = true;
        }
        let mut matrix = vec![0.0; n * n];
        for i in 0..n {
            let row = &mut matrix[i * n..i * n + i + 1];
            row[i] = 1.0;
            if is_constant[i] {
                continue;
            }
            let mean = result.mean[i] * sums.bias;
            let scale = result.scale[i] / sums.weight;
            for j in 0..i {
                if !is_constant[j] {
                    let covariance = gram.lower[i * order + j] - mean * result.mean[j];
                    row[j] = covariance * scale * result.scale[j];
                }
            }
        }
        objective.penalty.between(basis, |i, j, h| {
            if !is_constant[i] && !is_constant[j] {
                let scales = result.scale[i] * result.scale[j];
                matrix[i * n + j] += h * scales;
            }
        });
        // The least pivots that still have enough digits. A pivot is a fraction of the column's variance. The variance
        // was computed as mean square − squared mean. So the rounding error of the variance is that of the mean square,
        // which may be much larger than the variance.
        let least = |j: usize| {
            let cancelled = sums.squares[j] / sums.weight * result.scale[j] * result.scale[j];
            f64::max(LOST, 64.0 * n as f64 * f64::EPSILON * cancelled.max(1.0))
        };
        let least: Vec<f64> = (0..n).map(least).collect();
        result.factor = Some(Cholesky::new(matrix, &least, job)?);
        Ok(result)
    }

    /// A block from `sums`: for each column, the sums over all rows. The Hessian of this block is not factored;
    /// [`Block::factored`] adds the factor.
    fn new(sums: &ColumnSums<'_>, basis: &Basis, objective: &Objective<'_>) -> Self {
        let epsilon = objective.precision.epsilon();
        // If every prediction is certain, the sum Σ d_i of the curvatures is 0 and gives no scale for the bias.
        let fit_bias = objective.fit_bias && (sums.bias > 0.0 || sums.weight == 0.0);
        let columns = Columns::new(sums, basis, fit_bias, epsilon);
        let penalty = objective.penalty.diagonal(basis);
        let (mut scale, mut deviation) = (Vec::new(), Vec::new());
        let mut constant = Vec::new();
        for (j, &centred) in columns.centred.iter().enumerate() {
            let varies = !columns.negligible[j] && !objective.excluded.contains(&j);
            if !varies {
                constant.push(j);
            }
            let left = if varies || !centred.is_finite() {
                centred
            } else {
                0.0
            };
            deviation.push(if left == 0.0 {
                0.0
            } else {
                (left / sums.bias).sqrt()
            });
            let along = left / sums.weight + penalty[j];
            scale.push(if along > 0.0 {
                1.0 / along.sqrt()
            } else {
                along
            });
        }
        Block {
            mean: columns.mean,
            along_bias: if fit_bias {
                sums.weight / sums.bias
            } else {
                0.0
            },
            scale,
            factor: None,
            deviation,
            constant,
            far: columns.far,
        }
    }

    /// Means and standard deviations of the columns of X. If the basis subtracts linear combinations from some columns,
    /// means and standard deviations of the transformed columns instead.
    fn measures(&self, basis: &Basis) -> (Vec<f64>, Vec<f64>) {
        if basis.is_combined() {
            return (self.mean.clone(), self.deviation.clone());
        }
        let coordinates = basis.origin().iter().zip(basis.per_unit());
        let mean = self.mean.iter().zip(coordinates);
        let deviation = self.deviation.iter().zip(basis.per_unit());
        (
            mean.map(|(mean, (origin, per_unit))| origin + mean / per_unit)
                .collect(),
            deviation
                .map(|(deviation, per_unit)| deviation / per_unit)
                .collect(),
        )
    }

    fn is_usable(&self) -> bool {
        self.along_bias.is_finite()
            && self
                .scale
                .iter()
                .chain(&self.mean)
                .chain(&self.deviation)
                .all(|x| x.is_finite())
    }

    fn adopt_constant_columns(&mut self, other: &Block) {
        for &j in &self.constant {
            self.scale[j] = other.scale[j];
            self.deviation[j] = other.deviation[j];
        }
    }

    /// Columns with too few digits left, because they are nearly linear combinations of the columns before them.
    /// Constant columns are not among them.
    fn lost<'b>(&'b self, factor: &'b Cholesky) -> impl Iterator<Item = usize> + 'b {
        let is_constant = |j: &usize| self.constant.binary_search(j).is_ok();
        (0..self.scale.len()).filter(move |j| factor.is_left_out(*j) && !is_constant(j))
    }

    fn has_lost_digits(&self) -> bool {
        let has_lost = |factor| self.lost(factor).next().is_some();
        self.is_usable() && (!self.far.is_empty() || self.factor.as_ref().is_some_and(has_lost))
    }

    /// Changes `basis`, the linear transform of the columns, in the columns where digits have cancelled, such that
    /// digits no longer cancel there.
    fn improve(&self, basis: &mut Basis) {
        for &j in &self.far {
            basis.move_origin(j, self.mean[j]);
        }
        let Some(factor) = self.factor.as_ref().filter(|_| self.far.is_empty()) else {
            return;
        };
        for j in self.lost(factor) {
            let scaled = factor.regression(j);
            let pairs = scaled.iter().zip(&self.scale);
            let t: Vec<f64> = pairs.map(|(t, scale)| t * scale / self.scale[j]).collect();
            let size: Vec<f64> = self.scale[..j].iter().map(|scale| 1.0 / scale).collect();
            basis.take_out(j, &t, &size);
        }
    }

    /// Multiplies a gradient by this block of the inverse Hessian. `weights` holds the gradient by the weights, and is
    /// replaced by the step of the weights; `along_bias` is the derivative by the bias. Returns the step of the bias.
    fn apply(&self, weights: &mut [f64], along_bias: f64) -> f64 {
        for j in 0..weights.len() {
            weights[j] = (weights[j] - self.mean[j] * along_bias) * self.scale[j];
        }
        if let Some(factor) = &self.factor {
            factor.solve(weights);
        }
        for (weight, scale) in weights.iter_mut().zip(&self.scale) {
            *weight *= scale;
        }
        along_bias * self.along_bias - dot(&self.mean, weights)
    }
}

/// Means and standard deviations of the columns, with which the size of parameters and of steps is measured.
///
/// In the means and standard deviations, the weight of a row is its curvature. Curvatures vanish as predictions become
/// certain, so that the standard deviations may shrink during a fit. Therefore the largest standard deviation so far is
/// kept for each column.
pub(crate) struct ColumnScales {
    basis: Arc<Basis>,
    /// For each score, means and standard deviations of the columns of X. If the basis subtracts linear combinations
    /// from some columns, means and standard deviations of the transformed columns instead.
    blocks: Vec<(Vec<f64>, Vec<f64>)>,
}

impl ColumnScales {
    pub(crate) fn update(&mut self, preconditioner: &Preconditioner) {
        if !Arc::ptr_eq(&self.basis, &preconditioner.basis) {
            *self = preconditioner.column_scales();
            return;
        }
        for ((_, deviation), block) in self.blocks.iter_mut().zip(&preconditioner.blocks) {
            let (_, other) = block.measures(&self.basis);
            for (largest, other) in deviation.iter_mut().zip(other) {
                *largest = largest.max(other);
            }
        }
    }

    /// The size of `v`, which are parameters or a step. Two maxima are computed: over all weights, of |weight| ×
    /// standard deviation of its column; and over all scores, of |score| at the means of the columns. The larger one is
    /// the size.
    pub(crate) fn size(&self, v: &[f64]) -> f64 {
        let n = self.basis.columns();
        let (weights, biases) = v.split_at(v.len() - self.blocks.len());
        let scores = weights.chunks_exact(n).zip(biases);
        let mut size = 0.0;
        for ((mean, deviation), (weights, &bias)) in self.blocks.iter().zip(scores) {
            let mut moved = Vec::new();
            let (mut weights, mut at_mean) = (weights, bias);
            if self.basis.is_combined() {
                moved.extend_from_slice(weights);
                at_mean += self.basis.to_coordinates(&mut moved);
                weights = &moved;
            }
            at_mean += dot(mean, weights);
            size = weights
                .iter()
                .zip(deviation)
                .map(|(w, deviation)| (w * deviation).abs())
                .fold(f64::max(size, at_mean.abs()), f64::max);
        }
        size
    }
}

/// The preconditioner at `v` from all rows of the objective: from the whole Hessian if `factored`, else from its
/// diagonal. The passes are counted.
///
/// # Errors
///
/// [`Error::NotFinite`] and [`Error::Element`] for data that are not finite; [`Error::Number`] for features whose
/// squares are not finite; [`Error::Interrupted`] by the observer.
pub(crate) fn from_all_rows(
    objective: &Objective<'_>,
    v: &[f64],
    factored: bool,
    run: &mut Run<'_>,
) -> Result<Preconditioner, Error> {
    let preconditioner = from_rows(objective, v, factored, run)?;
    if preconditioner.is_usable() {
        Ok(preconditioner)
    } else {
        Err(objective.source.not_finite())
    }
}

/// As [`from_all_rows`], but the preconditioner may not be usable. If all predictions at `v` are certain, the Hessian
/// is computed at zero instead of at `v`.
pub(crate) fn from_rows(
    objective: &Objective<'_>,
    v: &[f64],
    factored: bool,
    run: &mut Run<'_>,
) -> Result<Preconditioner, Error> {
    let preconditioner = in_good_basis(objective, v, factored, run)?;
    if preconditioner.is_usable() {
        Ok(preconditioner)
    } else {
        in_good_basis(objective, &vec![0.0; v.len()], factored, run)
    }
}

/// The preconditioner at `v`, for columns transformed by the basis in `run`. As long as digits cancel, the basis is
/// replaced by a better one, at most [`ROUNDS`] − 1 times.
fn in_good_basis(
    objective: &Objective<'_>,
    v: &[f64],
    factored: bool,
    run: &mut Run<'_>,
) -> Result<Preconditioner, Error> {
    for round in 1.. {
        let basis = Arc::clone(&run.basis);
        let blocks = blocks(objective, v, &basis, factored, run)?;
        let preconditioner = Preconditioner { basis, blocks };
        match preconditioner.better_basis() {
            Some(better) if round < ROUNDS => run.basis = Arc::new(better),
            _ => return Ok(preconditioner),
        }
    }
    unreachable!("the last round returns")
}

/// Computes the preconditioner's block for each score at `v`.
fn blocks(
    objective: &Objective<'_>,
    v: &[f64],
    basis: &Basis,
    factored: bool,
    run: &mut Run<'_>,
) -> Result<Vec<Block>, Error> {
    let at = objective.parameters(v);
    let curvatures = objective.source.curvatures(&at);
    if factored {
        run.passes += objective.cost;
        let job = &mut run.job();
        let grams = grams(objective, v, curvatures.as_ref(), basis, job)?;
        let blocks = grams.iter();
        return blocks
            .map(|gram| Block::factored(gram, basis, objective, job))
            .collect();
    }
    (0..objective.classes)
        .map(|score| {
            run.passes += objective.cost;
            let curvature = curvatures.diagonal(score, basis, &mut run.job())?;
            Ok(Block::diagonal(&curvature, basis, objective))
        })
        .collect()
}

/// The Gram matrix of each score. At weights of zero, every row has the same probabilities p_k, so that the matrices of
/// all classes are multiples of one matrix; the factor of class k is p_k (1 − p_k).
fn grams(
    objective: &Objective<'_>,
    v: &[f64],
    curvatures: &dyn RowCurvatures,
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<Vec<Gram>, Error> {
    let classes = objective.classes;
    let (weights, biases) = objective.split(v);
    if classes == 1 || weights.iter().any(|w| *w != 0.0) {
        let scores: Vec<usize> = (0..classes).collect();
        return curvatures.grams(&scores, basis, job);
    }
    let mut p = biases.to_vec();
    softmax_in_place(&mut p, classes, job)?;
    let slope = |k: usize| p[k] * (1.0 - p[k]);
    let steepest = (0..classes).max_by(|&k, &l| slope(k).total_cmp(&slope(l)));
    let steepest = steepest.unwrap_or(0);
    let one = &curvatures.grams(&[steepest], basis, job)?[0];
    let multiple = |k: usize| {
        let ratio = slope(k) / slope(steepest);
        Gram {
            lower: one.lower.iter().map(|x| ratio * x).collect(),
            ..*one
        }
    };
    Ok((0..classes).map(multiple).collect())
}
