//! Batches of sparse rows that store less than a number per column: a step costs what its rows store.
//!
//! In a column that none of its rows stores, the gradient of a batch is zero, and only the penalty changes the weight:
//! by one factor, 1 − α·l2, for all columns. It is kept apart from the weights, w = scale·v (L. Bottou, "Stochastic
//! gradient descent tricks", 2012, §5.1), so that only the columns stored are touched.

use fearless_simd::prelude::*;

use super::batch::Progress;
use super::iterate::Iterate;
use super::options::{Observer, Options, Polling};
use super::step;
use crate::error::Error;
use crate::float::Float;
use crate::kernel::sparse::{ScaledWeights, SparseScratch, row_products, work};
use crate::kernel::{self, Dataset, Pass, Sums, Want};
use crate::reduce::Monitor;
use crate::simd::{self, dispatch};
use crate::sparse::{Index, Sparse, SparseRows, with_indices};

/// Elements between two polls: well under a millisecond.
const POLLED: usize = 1 << 17;

/// A step for each batch of the rows, which are in the epoch's order.
pub(super) fn epoch<F: Float>(
    progress: &mut Progress<'_, F>,
    dataset: &Dataset<'_>,
    x: &Sparse<'_>,
    observer: &mut dyn Observer<F>,
) -> Result<(), Error> {
    let (m, size) = (x.rows(), progress.options.batch(x.rows()));
    let values = x.values::<F>();
    let level = simd::level()?;
    let mut lazy = Lazy {
        progress,
        scale: 1.0,
        scratch: SparseScratch::new(),
        sums: Sums::zero(x.columns(), 1),
    };
    let mut done = 0;
    for first in (0..m).step_by(size) {
        let places = first..m.min(first.saturating_add(size));
        let batch = dataset.part(places);
        let work = work(x, batch.rows);
        if work < x.columns() {
            with_indices!(x.indices(), indices => {
                let x = SparseRows::new(x, batch.rows, &values, indices);
                dispatch!(level, simd => lazy.step(simd, &batch, &x))
            })?;
        } else {
            lazy.fold();
            lazy.progress.step(&batch, observer)?;
        }
        done += work;
        if done >= POLLED {
            done = 0;
            if Polling(observer).poll().is_break() {
                return Err(Error::Interrupted);
            }
        }
    }
    lazy.fold();
    Ok(())
}

/// A descent whose weights are `scale · iterate.weights`, and what its steps are made with.
struct Lazy<'p, 'a, F> {
    progress: &'p mut Progress<'a, F>,
    scale: f64,
    scratch: SparseScratch<F>,
    /// Of a batch; `weights` are zeros between batches.
    sums: Sums,
}

impl<F: Float> Lazy<'_, '_, F> {
    /// Weight `j`.
    fn weight(&self, j: usize) -> F {
        F::from_f64(self.scale * self.progress.iterate.weights[j].to_f64())
    }

    /// Multiplies the scale into the weights.
    fn fold(&mut self) {
        if self.scale != 1.0 {
            for j in 0..self.progress.iterate.weights.len() {
                self.progress.iterate.weights[j] = self.weight(j);
            }
            self.scale = 1.0;
        }
    }

    /// Multiplies the weights by the penalty's factor.
    fn shrink(&mut self, factor: f64) {
        /// Far from under- and overflow in either type.
        const LEAST: f64 = 1.0 / (1 << 20) as f64;
        self.scale *= factor;
        if !(LEAST..=1.0 / LEAST).contains(&self.scale) {
            self.fold();
        }
    }

    /// One step of a batch that stores less than a number per column.
    #[inline(always)]
    fn step<I: Index, S: Simd>(
        &mut self,
        simd: S,
        batch: &Dataset<'_>,
        x: &SparseRows<'_, F, I>,
    ) -> Result<(), Error> {
        let sums = self.sums(simd, batch, x)?;
        let (options, count) = (self.progress.options, kernel::rows_of(batch));
        let Options {
            learning_rate,
            penalty,
            ..
        } = *options;
        let (divisor, factor) = step::scales(&sums, options.reduction);
        let delta_bias = F::from_f64(-learning_rate * (sums.bias() / divisor));
        let delta_weights = self.progress.trace.is_some().then(|| {
            let sums = sums.weights.iter().enumerate();
            sums.map(|(j, sum)| sum / divisor + factor * penalty.slope(self.weight(j).to_f64()))
                .map(|gradient| F::from_f64(-learning_rate * gradient))
                .collect::<Vec<F>>()
        });
        if !penalty.is_none() {
            self.shrink(1.0 - penalty.shrinkage(learning_rate * factor));
        }
        self.sums = sums;
        let (sums, weights) = (&mut self.sums.weights, &mut self.progress.iterate.weights);
        for i in 0..count {
            for column in x.row(i).unwrap_or_default().0 {
                let column = column.at();
                let (Some(sum), Some(w)) = (sums.get_mut(column), weights.get_mut(column)) else {
                    continue;
                };
                let sum = std::mem::take(sum);
                if sum != 0.0 {
                    *w += F::from_f64(-learning_rate * (sum / divisor) / self.scale);
                }
            }
        }
        self.progress.iterate.bias += delta_bias;
        if let Some(delta_weights) = delta_weights {
            let weights = (0..delta_weights.len()).map(|j| self.weight(j)).collect();
            let bias = self.progress.iterate.bias;
            if let Some(trace) = &mut self.progress.trace {
                trace.push_update(&delta_weights, delta_bias, &Iterate { weights, bias });
            }
        }
        Ok(())
    }

    /// The batch's sums, made in the memory of `self.sums`; with a trace, its scores and predictions are recorded.
    #[inline(always)]
    fn sums<I: Index, S: Simd>(
        &mut self,
        simd: S,
        batch: &Dataset<'_>,
        x: &SparseRows<'_, F, I>,
    ) -> Result<Sums, Error> {
        let Progress {
            options,
            epoch,
            iterate,
            trace,
        } = &mut *self.progress;
        let pass = Pass {
            dataset: batch,
            x: *x,
            weights: ScaledWeights {
                weights: &iterate.weights,
                scale: self.scale,
                bias: iterate.bias,
            },
            activation: options.activation,
            want: Want::LossAndGradient,
        };
        let mut sums = Sums {
            weights: std::mem::take(&mut self.sums.weights),
            ..Sums::zero(0, 1)
        };
        let count = kernel::rows_of(batch);
        pass.leaf(simd, 0..count, &mut self.scratch, &mut sums);
        if !sums.valid {
            return Err(batch.first_invalid::<F>());
        }
        if let Some(trace) = trace {
            let mut z = vec![F::ZERO; count];
            let mut y_hat = z.clone();
            row_products(x, &pass.weights, 0, &mut z);
            kernel::predictions(simd, options.activation, &z, &mut y_hat);
            trace.push(*epoch, batch.rows, &z, &y_hat, sums.mean_error());
        }
        Ok(sums)
    }
}
