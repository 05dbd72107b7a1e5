//! What is minimised: E + (l2/2)‖w‖², by the weights and, last, the bias; for several classes by the weights of each, one
//! class after the other, and then their biases.

use crate::activation::Activation;
use crate::error::Error;
use crate::float::Float;
use crate::kernel::softmax::{self, Classes};
use crate::kernel::{self, Points, Want, rows_of};
use crate::math::larger;
use crate::parallel::{Monitor, Threads};

/// The objective over a data set, or over a sample of it.
#[derive(Clone, Copy)]
pub(crate) struct Objective<'a> {
    pub points: &'a Points<'a>,
    /// Predictors per sample: one for labels in [0, 1], K for as many classes.
    pub classes: usize,
    pub l2: f64,
    pub fit_bias: bool,
    pub threads: Threads,
    /// The distance from 1 to the next number of the type that parameters are rounded to in the end.
    pub epsilon: f64,
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
    pub(crate) fn rounding<F: Float>(&self) -> f64 {
        64.0 * F::EPSILON.to_f64() * self.objective.abs()
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

impl Objective<'_> {
    /// n
    pub(crate) fn columns(&self) -> usize {
        self.points.x.columns()
    }

    /// Weights and biases: n + 1 for each predictor.
    pub(crate) fn order(&self) -> usize {
        self.classes * (self.columns() + 1)
    }

    /// Weights and biases apart.
    pub(crate) fn split<'v>(&self, v: &'v [f64]) -> (&'v [f64], &'v [f64]) {
        v.split_at(v.len() - self.classes)
    }

    /// A model of several classes.
    ///
    /// # Errors
    ///
    /// As [`Classes::new`].
    pub(crate) fn model<'v, F>(&self, v: &'v [F]) -> Result<Classes<'v, F>, Error> {
        let (weights, biases) = v.split_at(v.len() - self.classes);
        Classes::new(weights, biases, self.columns())
    }

    pub(crate) fn rows(&self) -> usize {
        rows_of(self.points)
    }

    /// What a pass over the rows reads, as a part of what it would if all elements were stored.
    pub(crate) fn density(&self) -> f64 {
        let (m, n) = (self.rows() as f64, self.columns() as f64);
        (self.points.x.reads(self.rows()) as f64 / (m * n)).min(1.0)
    }

    /// Threads for one pass over the rows.
    pub(crate) fn threads_to_read(&self) -> Threads {
        self.threads.for_work(self.points.x.reads(self.rows()))
    }

    /// One pass over the rows, computed in `F`, which every component of `v` must be representable in.
    ///
    /// # Errors
    ///
    /// Those of [`kernel::evaluate`].
    pub(crate) fn evaluate<F: Float>(
        &self,
        v: &[f64],
        monitor: &mut dyn Monitor,
    ) -> Result<Value, Error> {
        let model: Vec<F> = v.iter().map(|&v| F::from_f64(v)).collect();
        let (want, threads) = (Want::LossAndGradient, self.threads_to_read());
        let (points, n) = (self.points, self.columns());
        let (total, error, mut gradient, biases) = if self.classes == 1 {
            let sums = kernel::evaluate(
                points,
                &model[..n],
                model[n],
                Activation::Sigmoid,
                want,
                threads,
                monitor,
            )?;
            (sums.weight, sums.error, sums.weights, vec![sums.bias])
        } else {
            let sums = softmax::evaluate(points, &self.model(&model)?, want, threads, monitor)?;
            (sums.weight, sums.error, sums.weights, sums.biases)
        };
        for (g, w) in gradient.iter_mut().zip(v) {
            *g = *g / total + self.l2 * w;
        }
        let fit_bias = self.fit_bias;
        gradient.extend(
            biases
                .iter()
                .map(|b| if fit_bias { b / total } else { 0.0 }),
        );
        let loss = error / total;
        Ok(Value {
            objective: loss + self.penalty(v),
            loss,
            error,
            weight: total,
            gradient,
        })
    }

    /// (l2/2)‖w‖²
    pub(crate) fn penalty(&self, v: &[f64]) -> f64 {
        if self.l2 == 0.0 {
            return 0.0; // of weights whose squares overflow, too
        }
        0.5 * self.l2 * self.split(v).0.iter().map(|w| w * w).sum::<f64>()
    }
}

/// Every component rounded to `F`.
pub(crate) fn round<F: Float>(v: &mut [f64]) {
    for x in v {
        *x = F::from_f64(*x).to_f64();
    }
}

pub(crate) fn norm(x: &[f64]) -> f64 {
    match x {
        [x] => x.abs(), // a square may overflow
        _ => dot(x, x).sqrt(),
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// `y += a·x`
pub(crate) fn add_multiple(y: &mut [f64], a: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}
