//! A quadratic model of the smooth part of an objective. Its Hessian is computed from a sample of the rows, and is then
//! updated by BFGS after every step.

use super::objective::{Iterate, Objective};
use super::quadratic::{Elements, Quadratic};
use super::run::Run;
use crate::error::{Error, zeros};
use crate::kernel::{Basis, Gram};
use crate::kinks::AllKinks;
use crate::linalg::{add_multiple, dot};
use crate::penalty::Penalty;
use crate::reduce::Job;
use crate::source::RowScores;

/// A column is taken to be constant in a sample if its variance is below this fraction of its mean square.
const CONSTANT: f64 = 1e-13;

/// A quadratic model of the objective's smooth part near some parameters. A proximal iteration minimises the model plus
/// the penalty.
pub(super) trait Model {
    fn coordinates(&self) -> &Coordinates;
    /// l1 and bounds of each coordinate.
    fn kinks(&self) -> &AllKinks;
    /// Makes this the model of the objective with another penalty.
    fn set_penalty(&mut self, penalty: &Penalty);
    /// The second derivative along a coordinate.
    fn curvature(&self, j: usize) -> f64;
    /// The minimum of the model plus the penalty. `gradient` is the gradient of the smooth part at `start`. For
    /// `forcing` see [`Quadratic::minimum`].
    fn minimum(
        &mut self,
        gradient: &[f64],
        start: &[f64],
        forcing: f64,
        job: &mut Job<'_>,
    ) -> Result<Vec<f64>, Error>;
    /// Updates the model after the step to `next`. `step_and_change` holds the step, and the change of the gradient
    /// that the step causes, in the model's coordinates.
    fn learn(
        &mut self,
        objective: &Objective<'_>,
        next: &Iterate,
        step_and_change: [&[f64]; 2],
        run: &mut Run<'_>,
    ) -> Result<(), Error>;
}

impl dyn Model + '_ {
    /// Σ g_j² / h_j over the coordinates j, with the smallest subgradient g and the second derivatives h_j.
    pub(super) fn steepness(&self, iterate: &Iterate) -> f64 {
        let x = self.coordinates().of(&iterate.v);
        let slopes = self.coordinates().gradient(&iterate.value.gradient);
        let least = self.kinks().least_slopes(&x, &slopes);
        let square = |(j, slope): (usize, &f64)| {
            let h = self.curvature(j);
            if h > 0.0 { slope * slope / h } else { 0.0 }
        };
        least.iter().enumerate().map(square).sum()
    }
}

/// The coordinates of a model. For each class, they are the weights of the columns as transformed by the basis, and
/// last the score at the means of the columns. In these means, the weight of a row is its curvature for the class. In
/// these coordinates, the second derivative by a weight and the last coordinate of the same class is 0.
pub(super) struct Coordinates {
    pub(super) basis: Basis,
    /// For each class, the means of the columns as transformed by the basis, shape (n); zeros without bias.
    pub(super) means: Vec<Vec<f64>>,
    pub(super) fit_bias: bool,
}

/// A model with the Hessian of a sample of the rows, which BFGS updates after each step.
pub(super) struct SmoothModel {
    coordinates: Coordinates,
    /// Shape (K (n + 1), K (n + 1)); without bias, rows and columns of biases are zero.
    hessian: Vec<f64>,
    /// The second derivatives of the penalty by the weights of a class, shape (n). They are a part of the Hessian's
    /// diagonal.
    of_penalty: Vec<f64>,
    kinks: AllKinks,
}

impl SmoothModel {
    /// The model at `v`, from the rows of `part`. For columns that are constant in these rows, the second derivatives
    /// are computed from the rows of `whole`. `None` if all second derivatives by the scores of some class are 0.
    pub(super) fn new(
        part: &Objective<'_>,
        whole: &Objective<'_>,
        v: &[f64],
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        let (n, classes, fit_bias) = (part.columns(), part.classes, part.fit_bias);
        let basis = part.source.basis(fit_bias, true)?;
        let (order, size) = (n + 1, classes * (n + 1));
        let elements = size.saturating_mul(size);
        let mut hessian = zeros("weights", elements, "elements of their Hessian")?;
        let grams = Grams::new(part, v, &basis, run)?;
        let means = grams.own.iter().map(|gram| mean(gram, fit_bias));
        let Some(means) = means.collect::<Option<Vec<Vec<f64>>>>() else {
            return Ok(None);
        };
        for k in 0..classes {
            for l in 0..=k {
                let between = (k != l).then(|| grams.between(k, l, part, &basis, run));
                let between = between.transpose()?;
                let gram = between.as_ref().unwrap_or(&grams.own[k]);
                for i in 0..order {
                    for j in 0..order {
                        let element = match k == l {
                            true => centred(gram, [i, j], &means[k], fit_bias),
                            false => {
                                between_classes(gram, [i, j], [&means[k], &means[l]], fit_bias)
                            }
                        };
                        hessian[(k * order + i) * size + l * order + j] = element / gram.weight;
                        hessian[(l * order + j) * size + k * order + i] = element / gram.weight;
                    }
                }
            }
        }
        for (k, gram) in grams.own.iter().enumerate() {
            let is_constant = |j: &usize| {
                let square = gram.lower[j * (order + 1)] / gram.weight;
                hessian[(k * order + j) * (size + 1)] <= CONSTANT * square
            };
            let constant: Vec<usize> = (0..n).filter(is_constant).collect();
            let left = left_of_constant(whole, (k, &constant), v, &basis, run)?;
            for (&j, left) in constant.iter().zip(left) {
                let at = k * order + j;
                for other in 0..size {
                    (hessian[at * size + other], hessian[other * size + at]) = (0.0, 0.0);
                }
                hessian[at * (size + 1)] = left;
            }
        }
        let mut model = SmoothModel {
            kinks: part.penalty.kinks(classes, basis.per_unit()),
            of_penalty: vec![0.0; n],
            coordinates: Coordinates {
                basis,
                means,
                fit_bias,
            },
            hessian,
        };
        model.set_penalty(part.penalty);
        Ok(Some(model))
    }
}

impl Coordinates {
    /// Converts weights and biases `v` to these coordinates.
    pub(super) fn of(&self, v: &[f64]) -> Vec<f64> {
        let (weights, biases) = v.split_at(v.len() - self.means.len());
        let n = weights.len() / biases.len();
        let mut x = Vec::with_capacity(v.len());
        for ((weights, bias), mean) in weights.chunks_exact(n).zip(biases).zip(&self.means) {
            let mut weights = weights.to_vec();
            let shift = self.basis.to_coordinates(&mut weights);
            let at_mean = bias + shift + dot(mean, &weights);
            x.extend(weights);
            x.push(at_mean);
        }
        x
    }

    /// Converts coordinates back to weights and biases: the inverse of [`Coordinates::of`].
    pub(super) fn natural(&self, x: &[f64]) -> Vec<f64> {
        let order = x.len() / self.means.len();
        let (mut v, mut biases) = (Vec::with_capacity(x.len()), Vec::new());
        for (x, mean) in x.chunks_exact(order).zip(&self.means) {
            let (weights, at_mean) = (&x[..order - 1], x[order - 1]);
            let at_origin = at_mean - dot(mean, weights);
            let mut weights = weights.to_vec();
            let shift = self.basis.to_natural(&mut weights);
            v.extend(weights);
            biases.push(match self.fit_bias {
                true => at_origin + shift,
                false => 0.0,
            });
        }
        v.extend(biases);
        v
    }

    /// Converts a gradient by weights and biases to a gradient by these coordinates.
    pub(super) fn gradient(&self, natural: &[f64]) -> Vec<f64> {
        let (by_weights, by_biases) = natural.split_at(natural.len() - self.means.len());
        let n = by_weights.len() / by_biases.len();
        let mut gradient = Vec::with_capacity(natural.len());
        let classes = by_weights.chunks_exact(n).zip(by_biases);
        for ((by_weights, &by_bias), mean) in classes.zip(&self.means) {
            let mut by_weights = by_weights.to_vec();
            self.basis.gradient(&mut by_weights, by_bias);
            add_multiple(&mut by_weights, -by_bias, mean);
            gradient.extend(by_weights);
            gradient.push(by_bias);
        }
        gradient
    }
}

impl Model for SmoothModel {
    fn coordinates(&self) -> &Coordinates {
        &self.coordinates
    }

    fn kinks(&self) -> &AllKinks {
        &self.kinks
    }

    fn set_penalty(&mut self, penalty: &Penalty) {
        let basis = &self.coordinates.basis;
        let (size, order) = (self.kinks.len(), self.of_penalty.len() + 1);
        let last = std::mem::replace(&mut self.of_penalty, penalty.diagonal(basis));
        for first in (0..size).step_by(order) {
            for (j, (along, last)) in self.of_penalty.iter().zip(&last).enumerate() {
                self.hessian[(first + j) * (size + 1)] += along - last;
            }
        }
        self.kinks = penalty.kinks(size / order, basis.per_unit());
    }

    fn curvature(&self, j: usize) -> f64 {
        self.hessian[j * (self.kinks.len() + 1)]
    }

    fn minimum(
        &mut self,
        gradient: &[f64],
        start: &[f64],
        forcing: f64,
        job: &mut Job<'_>,
    ) -> Result<Vec<f64>, Error> {
        let quadratic = Quadratic {
            gradient,
            kinks: &self.kinks,
            start,
        };
        let mut hessian = Elements::new(&self.hessian, start.len());
        quadratic.minimum(&mut hessian, forcing, job)
    }

    /// BFGS: replaces the Hessian by the nearest matrix that maps this step to this change of the gradient.
    fn learn(
        &mut self,
        _: &Objective<'_>,
        _: &Iterate,
        [step, change]: [&[f64]; 2],
        _: &mut Run<'_>,
    ) -> Result<(), Error> {
        let order = step.len();
        let product = dot(step, change);
        let terms = step.iter().zip(change).map(|(s, y)| (s * y).abs());
        if product.is_nan() || product <= 1e-14 * terms.sum::<f64>() {
            return Ok(());
        }
        let row = |i: usize| &self.hessian[i * order..][..order];
        let image: Vec<f64> = (0..order).map(|i| dot(row(i), step)).collect();
        let along = dot(step, &image);
        if along <= 0.0 || along.is_nan() {
            return Ok(());
        }
        for i in 0..order {
            let row = &mut self.hessian[i * order..][..order];
            add_multiple(row, change[i] / product, change);
            add_multiple(row, -image[i] / along, &image);
        }
        Ok(())
    }
}

/// The Gram matrices `[X 1]ᵀ D [X 1]` of the classes. D is the diagonal matrix of the second derivatives of the rows'
/// errors by their scores.
struct Grams<'a> {
    /// The Gram matrix of each class. Its D has the second derivatives by the score of that class.
    own: Vec<Gram>,
    /// The scores, from which the Gram matrices of pairs of classes are computed.
    scores: Option<Box<dyn RowScores + 'a>>,
}

impl<'a> Grams<'a> {
    fn new(
        part: &Objective<'a>,
        v: &[f64],
        basis: &Basis,
        run: &mut Run<'_>,
    ) -> Result<Self, Error> {
        if part.classes == 1 {
            run.passes += part.cost;
            let at = part.parameters(v);
            let curvatures = part.source.curvatures(&at);
            return Ok(Grams {
                own: curvatures.grams(&[0], basis, &mut run.job())?,
                scores: None,
            });
        }
        let scores = run.scores(part, v)?;
        let mut of_class = |k: usize| {
            run.passes += part.cost;
            scores.gram([k, k], basis, &mut run.job())
        };
        Ok(Grams {
            own: (0..part.classes)
                .map(&mut of_class)
                .collect::<Result<_, _>>()?,
            scores: Some(scores),
        })
    }

    /// The Gram matrix of two different classes k and l. Its D has the mixed second derivatives by the scores of both.
    fn between(
        &self,
        k: usize,
        l: usize,
        part: &Objective<'_>,
        basis: &Basis,
        run: &mut Run<'_>,
    ) -> Result<Gram, Error> {
        run.passes += part.cost;
        let scores = self.scores.as_ref();
        let scores = scores.unwrap_or_else(|| unreachable!("of one class there are no pairs"));
        scores.gram([k, l], basis, &mut run.job())
    }
}

/// The means of the columns, where row i has the weight D_ii in the Gram matrix `[X 1]ᵀ D [X 1]`; zeros without bias.
/// `None` if D is 0 or a number is not finite.
fn mean(gram: &Gram, fit_bias: bool) -> Option<Vec<f64>> {
    let (n, order) = (gram.order - 1, gram.order);
    let total = gram.lower[n * order + n];
    if total <= 0.0 || !gram.lower.iter().all(|x| x.is_finite()) {
        return None;
    }
    let cross = &gram.lower[n * order..][..n];
    Some(match fit_bias {
        true => cross.iter().map(|cross| cross / total).collect(),
        false => vec![0.0; n],
    })
}

/// Element (i, j) of the Gram matrix of one class, after the columns of X are shifted to mean 0. The elements between a
/// column and the bias are then 0.
fn centred(gram: &Gram, [i, j]: [usize; 2], mean: &[f64], fit_bias: bool) -> f64 {
    let (n, order) = (gram.order - 1, gram.order);
    let at = |i: usize, j: usize| gram.lower[i.max(j) * order + i.min(j)];
    match (i < n, j < n) {
        (true, true) => at(i, j) - mean[i] * mean[j] * at(n, n),
        (false, false) if fit_bias => at(n, n),
        _ => 0.0,
    }
}

/// Element (i, j) of the Gram matrix of two classes, after the columns of X are shifted: the column of index i by its
/// mean in the first class, the column of index j by its mean in the second class.
fn between_classes(gram: &Gram, [i, j]: [usize; 2], means: [&[f64]; 2], fit_bias: bool) -> f64 {
    let (n, order) = (gram.order - 1, gram.order);
    if !fit_bias && (i == n || j == n) {
        return 0.0;
    }
    let at = |i: usize, j: usize| gram.lower[i.max(j) * order + i.min(j)];
    let mean = |class: usize, j: usize| means[class].get(j).copied().unwrap_or(0.0);
    let (first, second) = (mean(0, i), mean(1, j));
    match (i < n, j < n) {
        (true, true) => at(i, j) - first * at(n, j) - second * at(i, n) + first * second * at(n, n),
        _ => at(i, j) - (first + second) * at(n, n),
    }
}

/// The second derivatives by the weights of one class for some columns, from all rows of `whole`. 0 for columns that
/// are constant in `whole`, too.
fn left_of_constant(
    whole: &Objective<'_>,
    (class, columns): (usize, &[usize]),
    v: &[f64],
    basis: &Basis,
    run: &mut Run<'_>,
) -> Result<Vec<f64>, Error> {
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    run.passes += whole.cost;
    let curvatures = whole.source.curvatures(&whole.parameters(v));
    let curvature = curvatures.diagonal(class, basis, &mut run.job())?;
    let left = |&j: &usize| {
        let squared_mean = match whole.fit_bias {
            true => curvature.cross[j] * (curvature.cross[j] / curvature.bias),
            false => 0.0,
        };
        let left = (curvature.diagonal[j] - squared_mean) / curvature.weight;
        let is_some = left > CONSTANT * curvature.diagonal[j] / curvature.weight;
        if is_some { left } else { 0.0 }
    };
    Ok(columns.iter().map(left).collect())
}
