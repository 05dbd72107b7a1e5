//! An approximate inverse of the Hessian: what makes descent steps fit columns of any scale.
//!
//! The bias is eliminated first: seen from the mean of the columns, weighted by the curvature d_i = s_i σ'(z_i), the
//! bias and the weights do not interact. What remains is the Hessian of the centred columns, scaled to unit diagonal,
//! and factored where that pays, or else taken to be diagonal.

use super::cholesky::Cholesky;
use super::objective::{Objective, dot};
use super::run::Run;
use crate::error::Error;
use crate::features::Features;
use crate::kernel::{self, Curvature, Gram, softmax};
use crate::parallel::{Monitor, Threads};

/// Variance below this part of the mean square is rounding: the column is constant.
const CONSTANT: f64 = 1e-13;
/// Variance below this part of the mean square has lost too many digits: the column is looked at from its mean.
const FAR: f64 = 1e-8;
/// Variance below this part of the mean square, seen from the mean, leaves predictors no digits: the column is constant.
const NOISE: f64 = 1e-24;

/// An approximate inverse of the Hessian by the weights and biases of all predictors.
///
/// That of softmax is taken to be block-diagonal, a block per class. What all classes have in common changes no
/// probability: the Hessian of the loss has nothing along it, and the blocks do not know; so it is taken out of gradients
/// and steps, which leaves weights and biases that sum to zero over the classes.
pub(crate) struct Preconditioner {
    blocks: Vec<Block>,
}

impl Preconditioner {
    /// From the blocks of all predictors.
    pub(crate) fn new(blocks: Vec<Block>) -> Self {
        Preconditioner { blocks }
    }

    /// Whether there are numbers in it: not where every prediction is so certain that no curvature is left.
    pub(crate) fn is_usable(&self) -> bool {
        self.blocks.iter().all(Block::is_usable)
    }

    /// Whether a column does not vary over the rows this was made from.
    pub(crate) fn has_constant_columns(&self) -> bool {
        self.blocks.iter().any(|block| !block.constant.is_empty())
    }

    /// Takes the scale of the columns that do not vary here from more rows, where they may.
    pub(crate) fn adopt_constant_columns(&mut self, other: &Preconditioner) {
        for (block, other) in self.blocks.iter_mut().zip(&other.blocks) {
            block.adopt_constant_columns(other);
        }
    }

    /// `out = P g`
    pub(crate) fn apply(&self, gradient: &[f64], out: &mut [f64]) {
        let classes = self.blocks.len();
        let centred = (classes > 1).then(|| {
            let mut centred = gradient.to_vec();
            centre(&mut centred, classes);
            centred
        });
        let gradient = centred.as_deref().unwrap_or(gradient);
        let (weights, biases) = gradient.split_at(gradient.len() - classes);
        let (out_weights, out_biases) = out.split_at_mut(weights.len());
        let n = weights.len() / classes;
        let slices = weights.chunks_exact(n).zip(out_weights.chunks_exact_mut(n));
        let numbers = biases.iter().zip(out_biases);
        for ((block, (weights, out)), (&bias, out_bias)) in
            self.blocks.iter().zip(slices).zip(numbers)
        {
            *out_bias = block.apply(weights, bias, out);
        }
        if classes > 1 {
            centre(out, classes);
        }
    }

    /// What steps are measured by.
    pub(crate) fn yardstick(&self) -> Yardstick {
        let block = |block: &Block| (block.mean.clone(), block.deviation.clone());
        Yardstick {
            blocks: self.blocks.iter().map(block).collect(),
        }
    }
}

/// Takes out what all classes have in common: weights and biases then sum to zero over the classes.
pub(crate) fn centre(v: &mut [f64], classes: usize) {
    let (weights, biases) = v.split_at_mut(v.len() - classes);
    for values in [weights, biases] {
        let n = values.len() / classes;
        for j in 0..n {
            let sum: f64 = values.iter().skip(j).step_by(n).sum();
            for x in values.iter_mut().skip(j).step_by(n) {
                *x -= sum / classes as f64;
            }
        }
    }
}

/// The part of one predictor's weights and bias.
pub(crate) struct Block {
    /// Mean of each column, weighted by curvature; zeros without bias.
    mean: Vec<f64>,
    /// Reciprocal of the curvature along the bias; 0 without bias.
    along_bias: f64,
    /// Reciprocal root of the curvature along each centred column.
    scale: Vec<f64>,
    factor: Option<Cholesky>,
    /// Standard deviation of each column, weighted by curvature.
    deviation: Vec<f64>,
    constant: Vec<usize>,
    /// Columns that are far from where they were looked at from, if they vary at all.
    far: Vec<usize>,
}

impl Block {
    /// From the diagonal alone.
    pub(crate) fn diagonal(curvature: &Curvature, about: &[f64], l2: f64, fit_bias: bool) -> Self {
        Self::centred(
            &curvature.diagonal,
            curvature.cross.clone(),
            curvature.bias,
            curvature.weight,
            about,
            l2,
            fit_bias,
        )
    }

    /// From the whole Hessian.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by the monitor.
    pub(crate) fn factored(
        gram: Gram,
        about: &[f64],
        l2: f64,
        fit_bias: bool,
        monitor: &mut dyn Monitor,
    ) -> Result<Self, Error> {
        let Gram {
            order,
            lower,
            weight,
        } = gram;
        let n = order - 1;
        let diagonal: Vec<f64> = (0..n).map(|j| lower[j * order + j]).collect();
        let cross = lower[n * order..n * order + n].to_vec();
        let curvature = lower[n * order + n];
        let mut result = Self::centred(&diagonal, cross, curvature, weight, about, l2, fit_bias);

        let mut matrix = vec![0.0; n * n];
        let mut is_constant = vec![false; n];
        for &j in &result.constant {
            is_constant[j] = true;
        }
        for i in 0..n {
            let row = &mut matrix[i * n..i * n + i + 1];
            row[i] = 1.0;
            if is_constant[i] {
                continue;
            }
            let mean_of = |j: usize| result.mean[j] - about[j];
            let (mean, scale) = (mean_of(i) * curvature, result.scale[i] / weight);
            for j in 0..i {
                if !is_constant[j] {
                    let covariance = lower[i * order + j] - mean * mean_of(j);
                    row[j] = covariance * scale * result.scale[j];
                }
            }
        }
        // Centring has cancelled all but the variance of the mean square.
        let precision: Vec<f64> = (0..n)
            .map(|j| diagonal[j] / weight * result.scale[j] * result.scale[j])
            .map(|cancelled| f64::EPSILON * cancelled.max(1.0))
            .collect();
        result.factor = Some(Cholesky::new(matrix, &precision, monitor)?);
        Ok(result)
    }

    fn centred(
        diagonal: &[f64],
        cross: Vec<f64>,
        curvature: f64,
        weight: f64,
        about: &[f64],
        l2: f64,
        fit_bias: bool,
    ) -> Self {
        // Where every prediction is certain, nothing is known of the bias.
        let fit_bias = fit_bias && (curvature > 0.0 || weight == 0.0);
        let mut mean = cross;
        for mean in &mut mean {
            *mean = if fit_bias { *mean / curvature } else { 0.0 };
        }
        let (mut scale, mut deviation) = (Vec::new(), Vec::new());
        let mut constant = Vec::new();
        let mut far = Vec::new();
        for (j, (&square, mean)) in diagonal.iter().zip(&mut mean).enumerate() {
            let centred = square - *mean * *mean * curvature;
            *mean += about[j];
            let from_zero = centred + *mean * *mean * curvature;
            let varies = centred > CONSTANT * square && centred > NOISE * from_zero;
            if centred < FAR * square {
                far.push(j);
            }
            if !varies {
                constant.push(j);
            }
            deviation.push(if varies || !centred.is_finite() {
                (centred / curvature).sqrt()
            } else {
                0.0
            });
            let centred = if varies {
                centred
            } else if l2 > 0.0 {
                CONSTANT * from_zero
            } else {
                from_zero // its gradient is rounding, which must not be blown up
            };
            let along = centred / weight + l2;
            scale.push(if along > 0.0 { 1.0 / along.sqrt() } else { 0.0 });
        }
        Block {
            mean,
            along_bias: if fit_bias { weight / curvature } else { 0.0 },
            scale,
            factor: None,
            deviation,
            constant,
            far,
        }
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

    /// Writes the weights' part of `P g` to `out` and returns the bias's.
    fn apply(&self, gradient: &[f64], along_bias: f64, out: &mut [f64]) -> f64 {
        for j in 0..out.len() {
            out[j] = (gradient[j] - self.mean[j] * along_bias) * self.scale[j];
        }
        if let Some(factor) = &self.factor {
            factor.solve(out);
        }
        for (out, scale) in out.iter_mut().zip(&self.scale) {
            *out *= scale;
        }
        if self.along_bias == 0.0 {
            0.0
        } else {
            along_bias * self.along_bias - dot(&self.mean, out)
        }
    }
}

/// Means and standard deviations of the columns.
///
/// Weighted by curvature, which vanishes where predictions are certain, deviations are the larger the earlier they are
/// taken: the largest of several is the one to measure by.
pub(crate) struct Yardstick {
    /// Means and deviations of each predictor.
    blocks: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Yardstick {
    pub(crate) fn update(&mut self, preconditioner: &Preconditioner) {
        for ((_, deviation), block) in self.blocks.iter_mut().zip(&preconditioner.blocks) {
            for (largest, &other) in deviation.iter_mut().zip(&block.deviation) {
                *largest = largest.max(other);
            }
        }
    }

    /// The largest change of a predictor that a standard deviation of one column, or the bias at their mean, makes.
    pub(crate) fn size(&self, v: &[f64]) -> f64 {
        let (weights, biases) = v.split_at(v.len() - self.blocks.len());
        let mut size = 0.0;
        for (k, ((mean, deviation), bias)) in self.blocks.iter().zip(biases).enumerate() {
            let weights = &weights[k * mean.len()..][..mean.len()];
            let at_mean = bias + dot(mean, weights);
            size = weights
                .iter()
                .zip(deviation)
                .map(|(w, deviation)| (w * deviation).abs())
                .fold(f64::max(size, at_mean.abs()), f64::max);
        }
        size
    }

    /// Of the columns, predictor by predictor.
    pub(crate) fn deviations(&self) -> impl Iterator<Item = f64> {
        self.blocks
            .iter()
            .flat_map(|(_, deviation)| deviation)
            .copied()
    }

    /// Of the columns, for the first predictor.
    pub(crate) fn mean(&self) -> &[f64] {
        self.blocks.first().map_or(&[], |(mean, _)| mean)
    }
}

/// That of the objective at `v` from all rows, on the account: factored, or its diagonal alone.
///
/// # Errors
///
/// [`Error::NotFinite`] and [`Error::Element`] for data that are not finite; [`Error::Number`] for features whose squares
/// are not; [`Error::Interrupted`] by the observer.
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
        Err(objective.points.not_finite())
    }
}

/// The preconditioner of the objective at `v`, or at zero where all predictions at `v` are certain, on the account.
pub(crate) fn from_rows(
    objective: &Objective<'_>,
    v: &[f64],
    factored: bool,
    run: &mut Run<'_>,
) -> Result<Preconditioner, Error> {
    let mut at = |v: &[f64]| {
        if objective.classes == 1 {
            let block = block(objective, v, factored, run)?;
            Ok(Preconditioner::new(vec![block]))
        } else {
            class_blocks(objective, v, factored, run).map(Preconditioner::new)
        }
    };
    let preconditioner = at(v)?;
    if preconditioner.is_usable() {
        Ok(preconditioner)
    } else {
        at(&vec![0.0; v.len()])
    }
}

/// Threads for products of all rows' columns with one another, and for one read of them.
pub(crate) fn threads_for(objective: &Objective<'_>, factored: bool) -> Threads {
    let (rows, order) = (objective.rows(), objective.columns() + 1);
    if factored {
        let products = rows.saturating_mul(order).saturating_mul(order);
        objective.threads.for_work(products / 8)
    } else {
        objective.threads_to_read()
    }
}

/// The preconditioner of labels in [0, 1].
fn block(
    objective: &Objective<'_>,
    v: &[f64],
    factored: bool,
    run: &mut Run<'_>,
) -> Result<Block, Error> {
    let (points, n) = (objective.points, objective.columns());
    let threads = threads_for(objective, factored);
    let Objective { l2, fit_bias, .. } = *objective;
    from_near(objective, factored, run, |factored, about, run| {
        let (w, b, monitor) = (&v[..n], v[n], run.monitor());
        if factored {
            let gram = kernel::gram(points, w, b, about, threads, monitor)?;
            Block::factored(gram, about, l2, fit_bias, monitor)
        } else {
            let curvature = kernel::curvature(points, w, b, about, threads, monitor)?;
            Ok(Block::diagonal(&curvature, about, l2, fit_bias))
        }
    })
}

/// Those of several classes.
fn class_blocks(
    objective: &Objective<'_>,
    v: &[f64],
    factored: bool,
    run: &mut Run<'_>,
) -> Result<Vec<Block>, Error> {
    let (points, rows) = (objective.points, objective.rows());
    let model = objective.model(v)?;
    let d = softmax::slopes(points, &model, objective.threads_to_read(), run.monitor())?;
    let weight = points.weight();
    let threads = threads_for(objective, factored);
    let Objective { l2, fit_bias, .. } = *objective;
    d.chunks_exact(rows)
        .map(|d| {
            from_near(objective, factored, run, |factored, about, run| {
                let monitor = run.monitor();
                if factored {
                    let gram = kernel::gram_of(points, d, weight, about, threads, monitor)?;
                    Block::factored(gram, about, l2, fit_bias, monitor)
                } else {
                    let curvature = kernel::curvature_of(points, d, about, threads, monitor)?;
                    Ok(Block::diagonal(&curvature, about, l2, fit_bias))
                }
            })
        })
        .collect()
}

/// What `make` makes of the columns as they are, or as they are seen from their means, where these are far from zero;
/// `make` is told whether it is to be factored.
fn from_near<'o>(
    objective: &Objective<'_>,
    factored: bool,
    run: &mut Run<'o>,
    make: impl Fn(bool, &[f64], &mut Run<'o>) -> Result<Block, Error>,
) -> Result<Block, Error> {
    run.passes += objective.cost;
    let block = make(factored, &vec![0.0; objective.columns()], run)?;
    let is_dense = matches!(objective.points.x, Features::Dense(_));
    if !is_dense || block.far.is_empty() || !block.is_usable() {
        return Ok(block);
    }
    run.passes += objective.cost;
    let near = make(false, &block.mean, run)?;
    let is_constant = |j: &usize| near.constant.binary_search(j).is_ok();
    if !factored {
        Ok(near)
    } else if block.far.iter().all(is_constant) {
        Ok(block) // a constant is no less so from its mean
    } else {
        run.passes += objective.cost;
        make(true, &block.mean, run)
    }
}
