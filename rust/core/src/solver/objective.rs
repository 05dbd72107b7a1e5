//! The function that is minimised: the mean error E plus the penalty. Its argument is one vector `v`: the n weights,
//! then the bias. For K classes, `v` has the n weights of each class, class after class, and then the K biases.

use crate::error::Error;
use crate::float::Precision;
use crate::kernel::{Labels, Parameters};
use crate::math::larger;
use crate::penalty::Penalty;
use crate::reduce::Job;
use crate::source::Source;

/// The objective over all rows, over a sample of them, or over some of the columns.
#[derive(Clone, Copy)]
pub(crate) struct Objective<'a> {
    pub source: &'a dyn Source,
    /// Number of scores per row: 1 for labels in [0, 1], K for K ≥ 3 classes.
    pub classes: usize,
    pub penalty: &'a Penalty,
    pub fit_bias: bool,
    /// The precision of the result's parameters.
    pub precision: Precision,
    /// Columns left out of a fit without penalty: their weights stay 0.
    pub excluded: &'a [usize],
    /// The cost of one evaluation, in passes over the whole dataset; less than 1 for a sample of rows.
    pub cost: f64,
    /// If the weighted sum of the errors, Σ s_i E_i, is below this number, every label is predicted right. Then a
    /// hyperplane separates the labels, and without a penalty there is no minimum. The number is 0 (the sum is never
    /// below it) with a smooth penalty, with offsets, for a sample, or if a label lies strictly between 0 and 1.
    pub separated_below: f64,
}

/// The objective and its gradient at some parameters v.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub objective: f64,
    /// E, the mean error.
    pub loss: f64,
    /// Σ s_i E_i, the weighted sum of the errors.
    pub error: f64,
    /// Σ s_i, the sum of the sample weights.
    pub weight: f64,
    /// The gradient of the smooth part (the objective without l1) by the weights and, last, the biases. 0 for biases
    /// that are not fitted.
    pub gradient: Vec<f64>,
    /// Max-norm of the objective's gradient; with l1 or bounds, max-norm of the objective's smallest subgradient.
    pub gradient_norm: f64,
}

impl Value {
    /// An estimate of rounding errors: differences of the objective below this mean nothing.
    pub(crate) fn rounding(&self, precision: Precision) -> f64 {
        64.0 * precision.epsilon() * self.objective.abs()
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.objective.is_finite() && self.gradient.iter().all(|g| g.is_finite())
    }
}

/// An iterate: the parameters `v` (weights and, last, biases), with objective and gradient there.
#[derive(Clone, Debug)]
pub(crate) struct Iterate {
    pub v: Vec<f64>,
    pub value: Value,
}

impl<'a> Objective<'a> {
    /// The objective over all rows of a source with these labels.
    pub(crate) fn new(
        source: &'a dyn Source,
        labels: &Labels,
        penalty: &'a Penalty,
        fit_bias: bool,
        precision: Precision,
    ) -> Self {
        // Offsets alone may make all predictions right. Right predictions then do not show that a hyperplane separates
        // the labels.
        let may_be = penalty.is_none() || !penalty.is_smooth();
        let is_separable = may_be && labels.are_classes && !source.has_offsets();
        // A row whose label is predicted wrong has an error of at least ln 2. The threshold is slightly smaller, to
        // allow for rounding errors.
        let ln_2 = 0.99 * std::f64::consts::LN_2;
        Objective {
            source,
            classes: labels.scores,
            penalty,
            fit_bias,
            precision,
            excluded: &[],
            cost: 1.0,
            separated_below: if is_separable {
                ln_2 * labels.smallest_weight
            } else {
                0.0
            },
        }
    }

    /// The same objective over `source`, which has some of the rows of this objective's source.
    pub(crate) fn over<'s>(&self, source: &'s dyn Source) -> Objective<'s>
    where
        'a: 's,
    {
        Objective {
            source,
            cost: self.cost * (source.reads() as f64 / self.source.reads() as f64),
            separated_below: 0.0,
            ..*self
        }
    }

    /// The same objective over some of the columns: the weights of all other columns are 0. `penalty` is the penalty of
    /// these columns alone.
    pub(crate) fn over_columns<'s>(
        &self,
        source: &'s dyn Source,
        penalty: &'s Penalty,
    ) -> Objective<'s>
    where
        'a: 's,
    {
        Objective {
            penalty,
            separated_below: self.separated_below,
            ..self.over(source)
        }
    }

    /// n, the number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.source.columns()
    }

    /// Length of `v`: n + 1 for each score.
    pub(crate) fn order(&self) -> usize {
        self.classes * (self.columns() + 1)
    }

    /// Splits `v` into weights and biases.
    pub(crate) fn split<'v>(&self, v: &'v [f64]) -> (&'v [f64], &'v [f64]) {
        v.split_at(v.len() - self.classes)
    }

    /// `v` as the kernels' parameters.
    pub(crate) fn parameters<'v>(&self, v: &'v [f64]) -> Parameters<'v, f64> {
        let (weights, biases) = self.split(v);
        Parameters::of_scores(weights, biases)
    }

    /// The work of a pass, as a fraction of the work if every element of X were stored: 1 for dense X.
    pub(crate) fn density(&self) -> f64 {
        let (m, n) = (self.rows() as f64, self.columns() as f64);
        (self.source.reads() as f64 / (m * n)).min(1.0)
    }

    pub(crate) fn rows(&self) -> usize {
        self.source.rows()
    }

    /// The objective and its gradient at `v`, from one pass over the rows, computed in `precision`. Every component of
    /// `v` must be representable in `precision`.
    ///
    /// # Errors
    ///
    /// Those of [`Source::evaluate`].
    pub(crate) fn evaluate(
        &self,
        v: &[f64],
        precision: Precision,
        job: &mut Job<'_>,
    ) -> Result<Value, Error> {
        let sums = self.source.evaluate(&self.parameters(v), precision, job)?;
        let (total, error) = (sums.weight, sums.error);
        let mut gradient = sums.weights;
        for (i, (g, w)) in gradient.iter_mut().zip(v).enumerate() {
            *g = *g / total + self.penalty.of(i).slope(*w);
        }
        let fit_bias = self.fit_bias;
        let by_bias = |b: &f64| if fit_bias { b / total } else { 0.0 };
        gradient.extend(sums.biases.iter().map(by_bias));
        Ok(self.value(v, error, total, gradient))
    }

    /// The objective at `v`, from Σ s_i E_i (`error`), Σ s_i (`weight`) and the gradient of the objective's smooth
    /// part.
    pub(crate) fn value(&self, v: &[f64], error: f64, weight: f64, gradient: Vec<f64>) -> Value {
        let loss = error / weight;
        let (weights, _) = self.split(v);
        let (by_weights, by_biases) = self.split(&gradient);
        let steepest = match self.penalty.is_smooth() {
            true => by_weights.iter().copied().fold(0.0, larger),
            false => {
                let least = self.penalty.least_slopes(weights, by_weights);
                least.into_iter().fold(0.0, larger)
            }
        };
        Value {
            objective: loss + self.penalty.value(weights),
            loss,
            error,
            weight,
            gradient_norm: by_biases.iter().copied().fold(steepest, larger),
            gradient,
        }
    }
}
