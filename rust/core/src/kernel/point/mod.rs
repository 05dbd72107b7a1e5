//! Gradient descent with one update per point (row of `X`): each prediction uses the weights as the update for the
//! previous point left them.
//!
//! Each update needs the one before, so updates cannot overlap. The time per point is the latency of dot product,
//! exponential, division and update. Rows, labels and the factor of the penalty do not depend on the predictions. They
//! are prepared ahead, so that they add nothing to this latency. If the weights fit registers, they stay there for a
//! whole tile (a block of rows). The result has the same bits, whether the weights are in registers or in memory.

mod output;
#[cfg(test)]
mod tests;
mod weights;

use fearless_simd::prelude::*;

pub(crate) use self::output::residuals_of_scores;
use self::output::{Output, step};
use self::weights::{Few, FewInMemory, Many, Vectors, Weights};
use crate::float::Float;
use crate::kernel::dataset::Dataset;
use crate::loss::{Activation, Loss};
use crate::matrix::{Matrix, Packed};
use crate::reduce::STRIPE;
use crate::simd::{Level, dispatch};
use crate::strips::Strips;
use crate::vector::RowSet;

/// Bytes of a tile (a block of rows) if its rows must be copied: so few that they fit the first-level cache.
const PACKED_BYTES: usize = 16 << 10;
/// Weights are stored as `scale · values`. If the scale would fall below this number, it is multiplied into the values
/// and becomes 1, long before anything could overflow or underflow.
const SMALLEST_SCALE: f64 = 1.0 / 1024.0;

/// One update, as passed to a [`Recorder`]. With K classes there are K scores, predictions, residuals and biases, and
/// the weights have shape (K, n).
pub(crate) struct PointUpdate<'a, F> {
    /// The point, as the number of its row in `X`.
    pub row: usize,
    /// The label of the point.
    pub y: F,
    /// The scores w·x + b before the update.
    pub z: &'a [F],
    /// The predictions ŷ before the update.
    pub y_hat: &'a [F],
    /// The residuals y − ŷ before the update; with K classes [y = k] − p_k.
    pub residual: &'a [F],
    /// The error of the point before the update.
    pub error: F,
    /// The change of the weights, Δw.
    pub delta_weights: &'a [F],
    /// The change of the biases, Δb.
    pub delta_biases: &'a [F],
    /// The weights w after the update.
    pub weights: &'a [F],
    /// The biases b after the update.
    pub biases: &'a [F],
}

/// A callback that is called for every update.
pub(crate) type Recorder<'a, F> = &'a mut dyn FnMut(PointUpdate<'_, F>);

/// Makes the updates w ← (1 − α·l2) w − α (ŷ − y) x, b ← b − α (ŷ − y), for one point (x, y) after the other. α is the
/// learning rate, l2 the strength of the ℓ2 penalty, ŷ the prediction. With K classes, the same formulas update the
/// weights and the bias of each class k, with p_k − [y = k] in place of ŷ − y.
///
/// The weights are stored as `scale · values`. The factor 1 − α·l2 of the penalty multiplies only the scale, so that
/// its cost does not grow with the number of columns.
///
/// Source: L. Bottou, "Stochastic gradient descent tricks", *Neural Networks: Tricks of the Trade*, 2nd ed. (2012),
/// §5.1, doi:10.1007/978-3-642-35289-8_25.
pub(crate) struct PointDescent<'a, F: Float> {
    iterate: ScaledIterate<'a, F>,
    packed: Packed<F>,
    y: [F; STRIPE],
}

impl<'a, F: Float> PointDescent<'a, F> {
    /// Starts from `weights` and `biases`, with one bias for each score. Both are updated in place; they hold the
    /// result after [`finish`](Self::finish). `rate` is α, and `shrinkage` is α·l2.
    pub(crate) fn new(
        weights: &'a mut [F],
        biases: &'a mut [F],
        rate: f64,
        shrinkage: f64,
    ) -> Self {
        PointDescent {
            iterate: ScaledIterate {
                values: weights,
                biases,
                scaling: Scaling::new(rate, shrinkage, 1.0),
            },
            packed: Packed::new(),
            y: [F::ZERO; STRIPE],
        }
    }

    /// Makes one update for each point, in the order of `points`. The labels must have been checked before.
    pub(crate) fn visit(
        &mut self,
        level: Level,
        loss: Loss,
        points: &Dataset<'_, Matrix<'_>>,
        mut record: Option<Recorder<'_, F>>,
    ) {
        let m = points.rows.count(points.x.rows());
        let mut first = 0;
        while first < m {
            let tile = Tile::new(points, first, &mut self.packed, &mut self.y);
            first += tile.labels.len();
            match (loss, &mut record) {
                (Loss::OneScore(activation), None) => {
                    dispatch!(level, simd => self.iterate.update(simd, activation, &tile))
                }
                (_, record) => {
                    let record = record
                        .as_mut()
                        .map(|record| &mut **record as Recorder<'_, F>);
                    dispatch!(level, simd => self.iterate.update_in_memory(simd, loss, &tile, record))
                }
            }
        }
    }

    /// Multiplies the values by the scale, so that `weights` holds the resulting weights.
    pub(crate) fn finish(self) {
        let ScaledIterate {
            values, scaling, ..
        } = self.iterate;
        for value in values {
            *value = unscaled(*value, scaling.scale);
        }
    }
}

/// The weights, as `scale · values`, where `scaling` has the scale; and the biases.
struct ScaledIterate<'a, F> {
    values: &'a mut [F],
    biases: &'a mut [F],
    scaling: Scaling<F>,
}

impl<F: Float> ScaledIterate<'_, F> {
    /// Makes the updates of a tile, for models with one score.
    #[inline(always)]
    fn update<S: Simd>(&mut self, simd: S, activation: Activation, tile: &Tile<'_, F>) {
        let n = self.values.len();
        match n.div_ceil(F::LANES) {
            1 if n < F::LANES => match n {
                1 => self.run::<S, Few<F, 1>>(simd, activation, tile),
                2 => self.run::<S, Few<F, 2>>(simd, activation, tile),
                3 => self.run::<S, Few<F, 3>>(simd, activation, tile),
                4 => self.run::<S, Few<F, 4>>(simd, activation, tile),
                5 => self.run::<S, Few<F, 5>>(simd, activation, tile),
                6 => self.run::<S, Few<F, 6>>(simd, activation, tile),
                7 => self.run::<S, Few<F, 7>>(simd, activation, tile),
                8 => self.run::<S, Few<F, 8>>(simd, activation, tile),
                _ => self.run::<S, FewInMemory<F>>(simd, activation, tile),
            },
            1 => self.run::<S, Vectors<F, S, 1>>(simd, activation, tile),
            2 => self.run::<S, Vectors<F, S, 2>>(simd, activation, tile),
            3 => self.run::<S, Vectors<F, S, 3>>(simd, activation, tile),
            4 => self.run::<S, Vectors<F, S, 4>>(simd, activation, tile),
            _ => self.run::<S, Many<F, S>>(simd, activation, tile),
        }
    }

    #[inline(always)]
    fn run<'w, S: Simd, W: Weights<'w, F, S>>(
        &'w mut self,
        simd: S,
        activation: Activation,
        tile: &Tile<'_, F>,
    ) {
        // Each activation has a loop of its own. In it, the activation is a constant, so that the loop does not branch
        // on it.
        match activation {
            Activation::Sigmoid => self.run_as::<S, W>(simd, Activation::Sigmoid, tile),
            Activation::Step => self.run_as::<S, W>(simd, Activation::Step, tile),
        }
    }

    #[inline(always)]
    fn run_as<'w, S: Simd, W: Weights<'w, F, S>>(
        &'w mut self,
        simd: S,
        activation: Activation,
        tile: &Tile<'_, F>,
    ) {
        let mut weights = W::load(simd, self.values);
        let (mut bias, mut scaling) = (self.biases[0], self.scaling);
        for (k, &y) in tile.labels.iter().enumerate() {
            let row = tile.rows.strip(tile.order.at(k));
            let z = weights.product(simd, row).mul_add(scaling.factor, bias);
            if let Some(factor) = scaling.shrink() {
                weights.multiply(simd, factor);
            }
            let step = step::<F, S>(simd, activation, z, y, scaling.minus_rate);
            weights.add(simd, step, row);
            bias += step * scaling.factor;
        }
        weights.store();
        (self.biases[0], self.scaling) = (bias, scaling);
    }

    /// Makes the updates of a tile, for any number of scores. Calls `record`, if it is given, for each update.
    #[inline(always)]
    fn update_in_memory<S: Simd>(
        &mut self,
        simd: S,
        loss: Loss,
        tile: &Tile<'_, F>,
        record: Option<Recorder<'_, F>>,
    ) {
        if self.values.len() / self.biases.len() < F::LANES {
            self.run_in_memory::<S, FewInMemory<F>>(simd, loss, tile, record);
        } else {
            self.run_in_memory::<S, Many<F, S>>(simd, loss, tile, record);
        }
    }

    /// Makes the updates of [`ScaledIterate::update_in_memory`]. For one score, they have the same bits as the updates
    /// of [`ScaledIterate::run`].
    #[inline(always)]
    fn run_in_memory<'w, S: Simd, W: Weights<'w, F, S>>(
        &'w mut self,
        simd: S,
        loss: Loss,
        tile: &Tile<'_, F>,
        record: Option<Recorder<'_, F>>,
    ) {
        let ScaledIterate {
            values,
            biases,
            scaling,
        } = self;
        let (scores, n) = (biases.len(), values.len() / biases.len());
        let mut log = record.map(|record| Log::new(record, values, scores, scaling));
        let mut weights: Vec<W> = (values.chunks_exact_mut(n))
            .map(|values| W::load(simd, values))
            .collect();
        let mut output = Output::new(loss, scores);
        let (mut z, mut steps) = (vec![F::ZERO; scores], vec![F::ZERO; scores]);
        for (k, &y) in tile.labels.iter().enumerate() {
            let row = tile.rows.strip(tile.order.at(k));
            for ((z, weights), &bias) in z.iter_mut().zip(&weights).zip(&**biases) {
                *z = weights.product(simd, row).mul_add(scaling.factor, bias);
            }
            if let Some(factor) = scaling.shrink() {
                for weights in &mut weights {
                    weights.multiply(simd, factor);
                }
            }
            output.steps(simd, &z, y, scaling.minus_rate, &mut steps);
            for ((weights, bias), step) in weights.iter_mut().zip(&mut **biases).zip(&mut steps) {
                weights.add(simd, *step, row);
                *step *= scaling.factor; // the change of the bias: biases have no scale
                *bias += *step;
            }
            if let Some(log) = &mut log {
                let error = output.predict(simd, &z, y, &mut log.y_hat);
                output.residuals(simd, &z, y, &mut log.residual);
                log.change(row, &steps);
                for (weights, after) in weights.iter().zip(log.after.chunks_exact_mut(n)) {
                    weights.copy_to(after);
                }
                for w in &mut log.after {
                    *w = unscaled(*w, scaling.scale);
                }
                (log.record)(PointUpdate {
                    row: tile.points.at(k),
                    y,
                    z: &z,
                    y_hat: &log.y_hat,
                    residual: &log.residual,
                    error,
                    delta_weights: &log.delta_weights,
                    delta_biases: &steps,
                    weights: &log.after,
                    biases,
                });
            }
        }
        for weights in weights {
            weights.store();
        }
    }
}

/// A recorder, with memory for the numbers of an update that are passed to it.
struct Log<'r, F> {
    record: Recorder<'r, F>,
    /// α·l2, the fraction of each weight that the penalty subtracts in an update.
    shrinkage: F,
    y_hat: Vec<F>,
    residual: Vec<F>,
    delta_weights: Vec<F>,
    /// The weights after the last update.
    after: Vec<F>,
}

impl<'r, F: Float> Log<'r, F> {
    fn new(record: Recorder<'r, F>, values: &[F], scores: usize, scaling: &Scaling<F>) -> Self {
        let after = values.iter().map(|&value| unscaled(value, scaling.scale));
        Log {
            record,
            shrinkage: F::from_f64(scaling.shrinkage),
            y_hat: vec![F::ZERO; scores],
            residual: vec![F::ZERO; scores],
            delta_weights: vec![F::ZERO; values.len()],
            after: after.collect(),
        }
    }

    /// Computes the change of the weights in one update, from the weights before it and the changes of the biases.
    fn change(&mut self, row: &[F], delta_biases: &[F]) {
        let deltas = self.delta_weights.chunks_exact_mut(row.len());
        let before = self.after.chunks_exact(row.len());
        for ((deltas, before), &delta_bias) in deltas.zip(before).zip(delta_biases) {
            for ((delta, &x), &w) in deltas.iter_mut().zip(row).zip(before) {
                *delta = x.mul_add(delta_bias, -(self.shrinkage * w));
            }
        }
    }
}

/// The weight `value · scale`, multiplied in `f64`.
#[inline(always)]
fn unscaled<F: Float>(value: F, scale: f64) -> F {
    F::from_f64(value.to_f64() * scale)
}

/// The scale of the weights `scale · values`, and numbers derived from it that an update uses. An update of `values` is
/// divided by the scale; the penalty changes the scale only. The scale is `f64`, because 1 − α·l2 may round to 1 in
/// `f32`.
#[derive(Clone, Copy)]
struct Scaling<F> {
    rate: f64,
    shrinkage: f64,
    scale: f64,
    /// The scale, rounded to `F`. This times `values · x` is the product of the weights with a row x.
    factor: F,
    /// −α / scale, with the learning rate α: the factor of (ŷ − y) x in an update of `values`.
    minus_rate: F,
}

impl<F: Float> Scaling<F> {
    #[inline(always)]
    fn new(rate: f64, shrinkage: f64, scale: f64) -> Self {
        Scaling {
            rate,
            shrinkage,
            scale,
            factor: F::from_f64(scale),
            minus_rate: F::from_f64(-rate / scale),
        }
    }

    /// Multiplies the scale by 1 − α·l2. If the product is too small, negative or NaN, the scale becomes 1 instead, and
    /// the caller must multiply the values by the factor that is returned.
    #[inline(always)]
    fn shrink(&mut self) -> Option<F> {
        if self.shrinkage == 0.0 {
            return None;
        }
        let scale = self.scale.mul_add(-self.shrinkage, self.scale);
        if (SMALLEST_SCALE..=1.0).contains(&scale) {
            *self = Scaling::new(self.rate, self.shrinkage, scale);
            None
        } else {
            *self = Scaling::new(self.rate, self.shrinkage, 1.0);
            Some(F::from_f64(scale))
        }
    }
}

/// Up to 256 points with their rows and labels.
struct Tile<'t, F> {
    rows: Strips<'t, F>,
    /// For each point, the index of its row within `rows`.
    order: RowSet<'t>,
    /// For each point, the number of its row in `X`.
    points: RowSet<'t>,
    labels: &'t [F],
}

impl<'t, F: Float> Tile<'t, F> {
    /// A tile of consecutive points in the order of `points`, from place `first` on: as many points as fit, at least
    /// one.
    fn new(
        points: &Dataset<'t, Matrix<'t>>,
        first: usize,
        packed: &'t mut Packed<F>,
        y: &'t mut [F; STRIPE],
    ) -> Self {
        let m = points.x.rows();
        let left = points.rows.count(m) - first;
        let all = points.x.select(RowSet::All);
        let in_place = all.rows_in_place::<F>().is_some();
        let count = if in_place {
            STRIPE
        } else {
            let rows = PACKED_BYTES / (points.x.columns() * size_of::<F>());
            rows.clamp(F::LANES, STRIPE)
        };
        let count = count.min(left);
        let (rows, order) = if in_place {
            // The tile is all of `X`, used in place; `order` picks its rows.
            let order = points.rows.part(first..first + count);
            (all.row_tile(0, m, packed), order)
        } else {
            let tile = points.x.select(points.rows).row_tile(first, count, packed);
            (tile, RowSet::Range { first: 0, count })
        };
        let labels = if let Some(labels) = points.y.in_place(points.rows, first, count) {
            labels
        } else {
            let y = &mut y[..count];
            match points.y.in_place::<F>(RowSet::All, 0, m) {
                Some(all) => {
                    for (k, y) in y.iter_mut().enumerate() {
                        *y = all[points.rows.at(first + k)];
                    }
                }
                None => points.y.copy(points.rows, first, y),
            }
            y
        };
        Tile {
            rows,
            order,
            points: points.rows.part(first..first + count),
            labels,
        }
    }
}
