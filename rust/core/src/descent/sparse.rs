//! Batches of a sparse matrix that store less than a number per column: a step costs what its rows store.
//!
//! In a column that none of its rows stores, the gradient of a batch is zero, and only the penalty changes the weight:
//! by one factor, 1 − α·l2, for all columns. It is kept apart from the weights, w = scale·v (L. Bottou, "Stochastic
//! gradient descent tricks", 2012, §5.1), so that only the columns stored are touched.

use fearless_simd::prelude::*;

use super::batch::batch_step;
use super::model::Model;
use super::options::{Observer, Options, Polling};
use super::step;
use super::trace::Trace;
use crate::error::Error;
use crate::features::Features;
use crate::float::Float;
use crate::kernel::sparse::{Scaled, Scratch, leaf, row_products, work};
use crate::kernel::{Dataset, Sums, predictions};
use crate::reduce::Monitor;
use crate::simd::{self, dispatch};
use crate::sparse::{Index, Rows, Sparse, with_indices};
use crate::vector::RowSet;

/// Elements between two polls: well under a millisecond.
const CHUNK: usize = 1 << 17;

/// A step for each batch.
pub(super) fn epoch<F: Float>(
    dataset: &Dataset<'_, Sparse<'_>>,
    order: RowSet<'_>,
    batch: usize,
    model: &mut Model<F>,
    options: &Options,
    epoch: usize,
    trace: &mut Option<Trace<F>>,
    observer: &mut dyn Observer<F>,
) -> Result<(), Error> {
    let x = &dataset.x;
    let values = x.values::<F>();
    let level = simd::level()?;
    let mut lazy = Lazy {
        model,
        scale: 1.0,
        options,
        epoch,
        trace,
        scratch: Scratch::new(),
        sums: Sums::zero(x.columns(), 1),
    };
    let mut done = 0;
    for first in (0..x.rows()).step_by(batch) {
        let part = Dataset {
            rows: order.part(first..x.rows().min(first.saturating_add(batch))),
            ..*dataset
        };
        let work = work(x, part.rows);
        if work < x.columns() {
            with_indices!(x.indices(), indices => {
                let matrix = Rows::new(x, &values, indices);
                dispatch!(level, simd => lazy.step(simd, &part, &matrix))
            })?;
        } else {
            lazy.fold();
            let part = part.with(Features::Sparse(*x));
            let Lazy { model, trace, .. } = &mut lazy;
            batch_step(&part, model, options, epoch, trace, observer)?;
        }
        done += work;
        if done >= CHUNK {
            done = 0;
            if Polling(observer).poll().is_break() {
                return Err(Error::Interrupted);
            }
        }
    }
    lazy.fold();
    Ok(())
}

/// A model whose weights are `scale · model.weights`, and what its steps are made with.
struct Lazy<'a, F> {
    model: &'a mut Model<F>,
    scale: f64,
    options: &'a Options,
    epoch: usize,
    trace: &'a mut Option<Trace<F>>,
    scratch: Scratch<F>,
    /// Of a batch; `weights` are zeros between batches.
    sums: Sums,
}

impl<F: Float> Lazy<'_, F> {
    /// Weight `j`.
    fn weight(&self, j: usize) -> F {
        F::from_f64(self.scale * self.model.weights[j].to_f64())
    }

    /// Brings the scale back to 1.
    fn fold(&mut self) {
        if self.scale != 1.0 {
            for j in 0..self.model.weights.len() {
                self.model.weights[j] = self.weight(j);
            }
            self.scale = 1.0;
        }
    }

    /// The factor of the penalty.
    fn shrink(&mut self, factor: f64) {
        /// Far from under- and overflow in either type.
        const LEAST: f64 = 1.0 / (1 << 20) as f64;
        self.scale *= factor;
        if !(LEAST..=1.0 / LEAST).contains(&self.scale) {
            self.fold();
        }
    }

    #[inline(always)]
    fn step<I: Index, S: Simd>(
        &mut self,
        simd: S,
        batch: &Dataset<'_, Sparse<'_>>,
        x: &Rows<'_, F, I>,
    ) -> Result<(), Error> {
        let rows = batch.rows;
        let count = rows.count(batch.x.rows());
        let model = Scaled {
            weights: &self.model.weights,
            scale: self.scale,
            bias: self.model.bias,
        };
        let mut sums = Sums {
            weights: std::mem::take(&mut self.sums.weights),
            ..Sums::zero(0, 1)
        };
        let activation = self.options.activation;
        leaf(
            simd,
            batch,
            x,
            &model,
            activation,
            0..count,
            true,
            &mut self.scratch,
            &mut sums,
        );
        if !sums.valid {
            return Err(batch.with(Features::Sparse(batch.x)).first_invalid::<F>());
        }
        if let Some(trace) = self.trace {
            let mut z = vec![F::ZERO; count];
            let mut y_hat = z.clone();
            row_products(x, rows, &model, 0, &mut z);
            predictions(simd, self.options.activation, &z, &mut y_hat);
            trace.push(self.epoch, rows, &z, &y_hat, sums.mean_error());
        }

        let Options {
            learning_rate,
            penalty,
            ..
        } = *self.options;
        let (divisor, factor) = step::scales(&sums, self.options.reduction);
        let delta_bias = F::from_f64(-learning_rate * (sums.bias() / divisor));
        let delta_weights = self.trace.is_some().then(|| {
            let sums = sums.weights.iter().enumerate();
            sums.map(|(j, sum)| sum / divisor + factor * penalty.slope(self.weight(j).to_f64()))
                .map(|gradient| F::from_f64(-learning_rate * gradient))
                .collect::<Vec<F>>()
        });
        if !penalty.is_none() {
            self.shrink(1.0 - penalty.shrinkage(learning_rate * factor));
        }
        for i in 0..count {
            for column in x.row(rows.at(i)).unwrap_or_default().0 {
                let sum = sums.weights.get_mut(column.at());
                let (Some(sum), Some(w)) = (sum, self.model.weights.get_mut(column.at())) else {
                    continue;
                };
                let sum = std::mem::take(sum);
                if sum != 0.0 {
                    *w += F::from_f64(-learning_rate * (sum / divisor) / self.scale);
                }
            }
        }
        self.sums = sums;
        self.model.bias += delta_bias;
        if let Some(delta_weights) = delta_weights {
            let weights = (0..delta_weights.len()).map(|j| self.weight(j)).collect();
            let bias = self.model.bias;
            if let Some(trace) = self.trace {
                trace.push_update(&delta_weights, delta_bias, &Model { weights, bias });
            }
        }
        Ok(())
    }
}
