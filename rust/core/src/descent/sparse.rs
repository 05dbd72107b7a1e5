//! An epoch over sparse rows. If a batch stores fewer elements than there are columns, the cost of its step is
//! proportional to the number of these elements.
//!
//! In a column that no row of the batch stores, the gradient of the error is zero. Only the penalty changes its weight,
//! by the factor 1 − α·l2, which is the same for all columns. (α is the learning rate; with
//! [`Reduction::Sum`](super::Reduction::Sum), it is multiplied by the weight of the batch.) Therefore the weights are
//! stored as w = scale·v, and the factor multiplies only the scale. A step then changes v only in the columns that the
//! batch stores (L. Bottou, "Stochastic gradient descent tricks", 2012, §5.1).

use fearless_simd::prelude::*;

use super::batch::Progress;
use super::iterate::Iterate;
use super::options::{Observer, Options, Polling};
use super::step::Step;
use crate::error::Error;
use crate::float::Float;
use crate::kernel::sparse::{ScaledWeights, SparseScratch, row_products, work};
use crate::kernel::{self, ClassScratch, Dataset, LazyBatch, Pass, Sums, Want};
use crate::loss::Loss;
use crate::reduce::Monitor;
use crate::simd::{self, dispatch};
use crate::sparse::{Index, Sparse, SparseRows, with_indices};

/// How many elements are read between two polls of the observer: much less than a millisecond of work.
const POLLED: usize = 1 << 17;

/// Makes one epoch: a step by each batch. The rows of `dataset` are in the order of this epoch.
pub(super) fn epoch<F: Float>(
    progress: &mut Progress<'_, F>,
    dataset: &Dataset<'_>,
    x: &Sparse<'_>,
    observer: &mut dyn Observer<F>,
) -> Result<(), Error> {
    let (m, size) = (x.rows(), progress.options.batch(x.rows()));
    let values = x.values::<F>();
    let level = simd::level()?;
    let (weights, scores) = (
        progress.iterate.weights.len(),
        progress.iterate.biases.len(),
    );
    let mut lazy = Lazy {
        progress,
        scale: 1.0,
        scratch: SparseScratch::new(),
        class_scratch: ClassScratch::new(scores),
        sums: Sums::zero(weights, scores),
    };
    let mut done = 0;
    for first in (0..m).step_by(size) {
        let places = first..m.min(first.saturating_add(size));
        let batch = dataset.part(places);
        let work = work(x, batch.rows);
        // The proximal step of l1 changes the weights of all columns, so that [`Lazy::step`] cannot make it.
        if work < x.columns() && lazy.progress.options.penalty.is_smooth() {
            with_indices!(x.indices(), indices => {
                let x = SparseRows::new(x, batch.rows, &values, indices);
                dispatch!(level, simd => lazy.step(simd, &batch, &x))
            })?;
        } else {
            lazy.fold();
            lazy.progress.step(&batch, &batch, observer)?;
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

/// A descent whose weights are `scale · progress.iterate.weights`, and scratch memory for its steps.
struct Lazy<'p, 'a, F: Float> {
    progress: &'p mut Progress<'a, F>,
    scale: f64,
    scratch: SparseScratch<F>,
    class_scratch: ClassScratch<F>,
    /// The sums over a batch. Between batches, `sums.weights` are zeros. After a batch, only the columns in which
    /// its rows have stored elements must be set to zero again.
    sums: Sums,
}

impl<F: Float> Lazy<'_, '_, F> {
    /// Weight `j`: the stored number times the scale.
    fn weight(&self, j: usize) -> F {
        F::from_f64(self.scale * self.progress.iterate.weights[j].to_f64())
    }

    /// Multiplies the scale into the stored weights; the scale is then 1.
    fn fold(&mut self) {
        if self.scale != 1.0 {
            for j in 0..self.progress.iterate.weights.len() {
                self.progress.iterate.weights[j] = self.weight(j);
            }
            self.scale = 1.0;
        }
    }

    /// Multiplies all weights by `factor`, by which the l2 penalty shrinks them. To do so, only the scale is
    /// multiplied.
    fn shrink(&mut self, factor: f64) {
        /// The least scale; the largest is its reciprocal. Both are far from underflow and overflow in `f32` and `f64`.
        const LEAST: f64 = 1.0 / (1 << 20) as f64;
        self.scale *= factor;
        if !(LEAST..=1.0 / LEAST).contains(&self.scale) {
            self.fold();
        }
    }

    /// Makes the step by a batch that stores fewer elements than there are columns.
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
            ref penalty,
            ..
        } = *options;
        let (divisor, factor) = self.progress.scales(count);
        let delta_bias = |&sum: &f64| match options.fit_bias {
            true => F::from_f64(-learning_rate * (sum / divisor)),
            false => F::ZERO,
        };
        let deltas = self.progress.trace.is_some().then(|| {
            let weights = sums.weights.iter().enumerate();
            let weights = weights
                .map(|(j, sum)| {
                    sum / divisor + factor * penalty.of(j).slope(self.weight(j).to_f64())
                })
                .map(|gradient| F::from_f64(-learning_rate * gradient))
                .collect();
            let biases = sums.biases.iter().map(delta_bias).collect();
            Step { weights, biases }
        });
        if !penalty.is_none() {
            self.shrink(1.0 - penalty.shrinkage(learning_rate * factor));
        }
        self.sums = sums;
        let iterate = &mut self.progress.iterate;
        for (bias, sum) in iterate.biases.iter_mut().zip(&self.sums.biases) {
            *bias += delta_bias(sum);
        }
        let columns = iterate.weights.len() / iterate.biases.len();
        let of_scores = (self.sums.weights.chunks_exact_mut(columns))
            .zip(iterate.weights.chunks_exact_mut(columns));
        for (sums, weights) in of_scores {
            for i in 0..count {
                for column in x.row(i).unwrap_or_default().0 {
                    let column = column.at();
                    let (Some(sum), Some(w)) = (sums.get_mut(column), weights.get_mut(column))
                    else {
                        continue;
                    };
                    let sum = std::mem::take(sum);
                    if sum != 0.0 {
                        *w += F::from_f64(-learning_rate * (sum / divisor) / self.scale);
                    }
                }
            }
        }
        if let Some(deltas) = deltas {
            let Iterate { loss, biases, .. } = &self.progress.iterate;
            let after = Iterate {
                loss: *loss,
                weights: (0..deltas.weights.len()).map(|j| self.weight(j)).collect(),
                biases: biases.clone(),
            };
            if let Some(trace) = &mut self.progress.trace {
                trace.push_update(&deltas, &after);
            }
        }
        Ok(())
    }

    /// Computes the sums over a batch, in the memory of `self.sums.weights`. If there is a trace, also adds the batch
    /// to the trace, with its scores and predictions.
    #[inline(always)]
    fn sums<I: Index, S: Simd>(
        &mut self,
        simd: S,
        batch: &Dataset<'_>,
        x: &SparseRows<'_, F, I>,
    ) -> Result<Sums, Error> {
        let Progress {
            epoch,
            iterate,
            trace,
            ..
        } = &mut *self.progress;
        let (count, scores) = (kernel::rows_of(batch), iterate.biases.len());
        let mut sums = Sums {
            weights: std::mem::take(&mut self.sums.weights),
            ..Sums::zero(0, scores)
        };
        let mut predictions = trace.is_some().then(|| {
            let z = vec![F::ZERO; count * scores];
            [z.clone(), z]
        });
        match iterate.loss {
            Loss::OneScore(activation) => {
                let weights = ScaledWeights {
                    weights: &iterate.weights,
                    scale: self.scale,
                    bias: iterate.biases[0],
                };
                let pass = Pass {
                    dataset: batch,
                    x: *x,
                    weights,
                    activation,
                    want: Want::LossAndGradient,
                };
                pass.leaf(simd, 0..count, &mut self.scratch, &mut sums);
                if !sums.valid {
                    return Err(batch.first_invalid::<F>());
                }
                if let Some([z, y_hat]) = &mut predictions {
                    row_products(x, &weights, 0, z);
                    batch.add_offsets(0, z);
                    kernel::predictions(simd, activation, z, y_hat);
                }
            }
            Loss::Softmax => {
                let tiles = LazyBatch {
                    x: *x,
                    weights: &iterate.weights,
                    scale: self.scale,
                    biases: &iterate.biases,
                };
                tiles.add_to(
                    simd,
                    batch,
                    &mut self.class_scratch,
                    &mut sums,
                    predictions.as_mut(),
                )?;
            }
        }
        if let (Some(trace), Some([z, y_hat])) = (trace, predictions) {
            trace.push(*epoch, iterate.loss, batch, [&z, &y_hat], sums.mean_error())?;
        }
        Ok(sums)
    }
}
