//! What is minimised: E + (l2/2)‖w‖², by the weights and, last, the bias; for several classes by the weights of each, one
//! class after the other, and then their biases.

use crate::error::Error;
use crate::float::Precision;
use crate::kernel::{Labels, Parameters};
use crate::loss::Activation;
use crate::math::larger;
use crate::penalty::Penalty;
use crate::reduce::Job;
use crate::source::Source;

/// The objective over all rows, or over a sample of them.
#[derive(Clone, Copy)]
pub(crate) struct Objective<'a> {
    pub source: &'a dyn Source,
    /// Scores per row: one for labels in [0, 1], K for as many classes.
    pub classes: usize,
    pub penalty: Penalty,
    pub fit_bias: bool,
    /// What parameters are rounded to in the end.
    pub precision: Precision,
    /// Columns that are left out of an unpenalised fit: their weights stay 0.
    pub excluded: &'a [usize],
    /// What an evaluation reads, in passes over the whole data set.
    pub cost: f64,
    /// Σ s_i E_i below this proves that every label is predicted right with an unpenalised, thus unbounded, margin.
    pub separated_below: f64,
}

/// The objective and its gradient somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub objective: f64,
    /// E alone.
    pub loss: f64,
    /// Σ s_i E_i
    pub error: f64,
    /// Σ s_i
    pub weight: f64,
    /// By the weights, then by the bias; that is 0 where the bias is not fitted.
    pub gradient: Vec<f64>,
}

impl Value {
    /// The gradient's max-norm.
    pub(crate) fn gradient_norm(&self) -> f64 {
        self.gradient.iter().copied().fold(0.0, larger)
    }

    /// Differences of the objective that may be rounding.
    pub(crate) fn rounding(&self, precision: Precision) -> f64 {
        64.0 * precision.epsilon() * self.objective.abs()
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.objective.is_finite() && self.gradient.iter().all(|g| g.is_finite())
    }
}

/// Weights and, last, bias, with the objective there.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub v: Vec<f64>,
    pub value: Value,
}

impl<'a> Objective<'a> {
    /// Over all rows of a source, which has these labels.
    pub(crate) fn new(
        source: &'a dyn Source,
        labels: &Labels,
        penalty: Penalty,
        fit_bias: bool,
        precision: Precision,
    ) -> Self {
        let is_separable = penalty.is_none() && labels.are_classes;
        // If every prediction is right, each error is below ln 2. A little less, for rounding.
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

    /// n, the number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.source.columns()
    }

    /// Weights and biases: n + 1 for each score.
    pub(crate) fn order(&self) -> usize {
        self.classes * (self.columns() + 1)
    }

    /// Weights and biases apart.
    pub(crate) fn split<'v>(&self, v: &'v [f64]) -> (&'v [f64], &'v [f64]) {
        v.split_at(v.len() - self.classes)
    }

    /// Weights and biases as the kernel takes them.
    pub(crate) fn parameters<'v>(&self, v: &'v [f64]) -> Parameters<'v, f64> {
        let (weights, biases) = v.split_at(v.len() - self.classes);
        match biases {
            [bias] => Parameters::of_one_score(Activation::Sigmoid, weights, bias),
            _ => Parameters::of_classes(weights, biases),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.source.rows()
    }

    /// One pass over the rows, in a precision that every component of `v` must be a number of.
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
        for (g, w) in gradient.iter_mut().zip(v) {
            *g = *g / total + self.penalty.slope(*w);
        }
        let fit_bias = self.fit_bias;
        let by_bias = |b: &f64| if fit_bias { b / total } else { 0.0 };
        gradient.extend(sums.biases.iter().map(by_bias));
        let loss = error / total;
        Ok(Value {
            objective: loss + self.penalty.value(self.split(v).0),
            loss,
            error,
            weight: total,
            gradient,
        })
    }
}
