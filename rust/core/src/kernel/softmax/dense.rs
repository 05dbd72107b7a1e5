//! Products of a tile of dense rows with all classes: each element that is loaded from cache is used for several.
//!
//! Scores are summed a vector of rows at a time, over panels of columns that lie in registers' order in the
//! first-level cache; gradients a vector of columns at a time, over rows as they lie. Both are small matrix products
//! whose sums stay in registers. How many classes and vectors these are does not show in the result.

use fearless_simd::prelude::*;

use super::tile::{Classes, Samples, Scratch};
use crate::float::Float;
use crate::kernel::columns::load;
use crate::kernel::sums::Sums;
use crate::lanes::{MAX_LANES, transpose};
use crate::matrix::Matrix;
use crate::reduce::STRIPE;
use crate::simd::{MulAdd, is_roomy};
use crate::strips::Strips;
use crate::vector::RowSet;

/// Columns of a panel: with [`GROUP`] vectors of rows, half of a small first-level cache.
const PANEL: usize = 64;
/// Vectors of rows of a panel.
const GROUP: usize = 4;
/// Bytes of a tile: it stays in the second-level cache between its two uses.
const TILE_BYTES: usize = 256 << 10;

/// Dense features and the model.
pub(super) struct Dense<'a, F> {
    x: Matrix<'a>,
    rows: RowSet<'a>,
    model: Classes<'a, F>,
}

impl<'a, F> Dense<'a, F> {
    pub(super) fn new(x: Matrix<'a>, rows: RowSet<'a>, model: Classes<'a, F>) -> Self {
        Dense { x, rows, model }
    }
}

impl<F: Float> Samples<F> for Dense<'_, F> {
    fn tile_rows(&self) -> usize {
        let group = GROUP * F::LANES;
        let rows = TILE_BYTES / (self.model.columns * size_of::<F>()) / group * group;
        rows.clamp(group, STRIPE)
    }

    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        first: usize,
        count: usize,
        scratch: &mut Scratch<F>,
        gradient: Option<&mut Sums>,
        transform: impl FnOnce(&mut [F]),
    ) -> bool {
        let Scratch {
            packed,
            panel,
            tail,
            lanes,
            z,
        } = scratch;
        let tile = self.x.row_tile(self.rows, first, count, packed);
        panel.resize(PANEL * GROUP * F::LANES, F::ZERO);
        multiply(simd, &tile, count, &self.model, panel, z);
        transform(z);
        if gradient.is_some() {
            let columns = self.model.columns;
            lanes.resize(
                self.model.count() * columns.next_multiple_of(F::LANES),
                F::ZERO,
            );
            add(simd, &tile, count, columns, z, lanes, tail);
        }
        true
    }

    #[inline(always)]
    fn end_stripe(&self, scratch: &mut Scratch<F>, sums: &mut Sums) {
        let columns = self.model.columns;
        let lanes = scratch
            .lanes
            .chunks_exact(columns.next_multiple_of(F::LANES));
        for (sums, lanes) in sums.weights.chunks_exact_mut(columns).zip(lanes) {
            for (sum, lane) in sums.iter_mut().zip(lanes) {
                *sum += lane.to_f64();
            }
        }
        scratch.lanes.clear();
    }
}

/// `z_ik = x_i · w_k + b_k` of the tile's rows, in whole groups.
#[inline(always)]
fn multiply<F: Float, S: Simd>(
    simd: S,
    tile: &Strips<'_, F>,
    count: usize,
    model: &Classes<'_, F>,
    panel: &mut [F],
    z: &mut [F],
) {
    let (width, columns, classes) = (GROUP * F::LANES, model.columns, model.count());
    for (z, &bias) in z.chunks_exact_mut(STRIPE).zip(model.biases) {
        z[..count.next_multiple_of(width)].fill(bias);
    }
    for first in (0..count).step_by(width) {
        let rows = first..count.min(first + width);
        for left in (0..columns).step_by(PANEL) {
            let right = columns.min(left + PANEL);
            let panel = &mut panel[..(right - left) * width];
            load_panel(simd, tile, rows.clone(), left, panel);
            for k in (0..classes).step_by(4) {
                match classes - k {
                    1 => panel_products::<F, S, 1>(simd, panel, model, k, left, first, z),
                    2 => panel_products::<F, S, 2>(simd, panel, model, k, left, first, z),
                    3 => panel_products::<F, S, 3>(simd, panel, model, k, left, first, z),
                    _ => panel_products::<F, S, 4>(simd, panel, model, k, left, first, z),
                }
            }
        }
    }
}

/// Columns from `left` on as the panel has them: [`GROUP`] vectors of rows each, zeros beyond the last row.
#[inline(always)]
fn load_panel<F: Float, S: Simd>(
    simd: S,
    tile: &Strips<'_, F>,
    rows: std::ops::Range<usize>,
    left: usize,
    panel: &mut [F],
) {
    let width = GROUP * F::LANES;
    for (v, first) in (rows.start..rows.start + width)
        .step_by(F::LANES)
        .enumerate()
    {
        for (c, square_out) in panel.chunks_mut(F::LANES * width).enumerate() {
            let mut square = [F::Lanes::<S>::splat(simd, F::ZERO); MAX_LANES];
            for i in 0..F::LANES.min(rows.end.saturating_sub(first)) {
                square[i] = load(simd, tile.strip(first + i), left + c * F::LANES);
            }
            transpose::<F, S>(&mut square);
            for (j, out) in square_out.chunks_exact_mut(width).enumerate() {
                square[j].store_slice(&mut out[v * F::LANES..][..F::LANES]);
            }
        }
    }
}

/// Adds the panel's products with some classes to their scores.
#[inline(always)]
fn panel_products<F: Float, S: Simd, const CLASSES: usize>(
    simd: S,
    panel: &[F],
    model: &Classes<'_, F>,
    class: usize,
    left: usize,
    first: usize,
    z: &mut [F],
) {
    let columns = panel.len() / (GROUP * F::LANES);
    let mut weights: [&[F]; CLASSES] = [&[]; CLASSES];
    for (c, weights) in weights.iter_mut().enumerate() {
        *weights = &model.weights_of(class + c)[left..left + columns];
    }
    let z = &mut z[class * STRIPE + first..];
    if is_roomy(simd) {
        vector_products::<F, S, CLASSES, GROUP>(simd, panel, 0, &weights, z);
    } else {
        for v in 0..GROUP {
            vector_products::<F, S, CLASSES, 1>(simd, panel, v, &weights, z);
        }
    }
}

#[inline(always)]
fn vector_products<F: Float, S: Simd, const CLASSES: usize, const VECTORS: usize>(
    simd: S,
    panel: &[F],
    vector: usize,
    weights: &[&[F]; CLASSES],
    z: &mut [F],
) {
    let mut sums = [[F::Lanes::<S>::splat(simd, F::ZERO); VECTORS]; CLASSES];
    for (j, column) in panel.chunks_exact(GROUP * F::LANES).enumerate() {
        let column = &column[vector * F::LANES..][..VECTORS * F::LANES];
        let mut x = [sums[0][0]; VECTORS];
        for v in 0..VECTORS {
            x[v] = F::Lanes::<S>::from_slice(simd, &column[v * F::LANES..][..F::LANES]);
        }
        for c in 0..CLASSES {
            let w = F::Lanes::<S>::splat(simd, weights[c][j]);
            for v in 0..VECTORS {
                sums[c][v] = x[v].mul_add_fused(w, sums[c][v]);
            }
        }
    }
    for c in 0..CLASSES {
        for v in 0..VECTORS {
            let out = &mut z[c * STRIPE + (vector + v) * F::LANES..][..F::LANES];
            (F::Lanes::<S>::from_slice(simd, out) + sums[c][v]).store_slice(out);
        }
    }
}

/// `lanes_k += Σ_i r_ik x_i`, rows in order; the last columns by way of `tail`, in which zeros fill their vector.
#[inline(always)]
fn add<F: Float, S: Simd>(
    simd: S,
    tile: &Strips<'_, F>,
    count: usize,
    columns: usize,
    residual: &[F],
    lanes: &mut [F],
    tail: &mut Vec<F>,
) {
    let whole = columns / F::LANES * F::LANES;
    let padded = columns.next_multiple_of(F::LANES);
    let most = if is_roomy(simd) { 4 * F::LANES } else { 0 };
    let mut column = 0;
    while column < whole {
        if whole - column >= most && most > 0 {
            add_columns::<F, S, 4>(simd, tile, count, column, residual, lanes, padded, column);
            column += most;
        } else {
            add_columns::<F, S, 1>(simd, tile, count, column, residual, lanes, padded, column);
            column += F::LANES;
        }
    }
    if whole < columns {
        tail.clear();
        tail.resize(count * F::LANES, F::ZERO);
        for (i, out) in tail.chunks_exact_mut(F::LANES).enumerate() {
            out[..columns - whole].copy_from_slice(&tile.strip(i)[whole..]);
        }
        let tail = Strips::new(tail, 0, F::LANES as isize, count, F::LANES);
        add_columns::<F, S, 1>(simd, &tail, count, 0, residual, lanes, padded, whole);
    }
}

/// [`add`] of some vectors of columns, those from `column` of the tile on, to the lanes from `to` on.
#[inline(always)]
fn add_columns<F: Float, S: Simd, const VECTORS: usize>(
    simd: S,
    tile: &Strips<'_, F>,
    count: usize,
    column: usize,
    residual: &[F],
    lanes: &mut [F],
    padded: usize,
    to: usize,
) {
    let classes = lanes.len() / padded;
    for k in (0..classes).step_by(4) {
        let lanes = &mut lanes[k * padded + to..];
        let residual = &residual[k * STRIPE..];
        match classes - k {
            1 => {
                add_classes::<F, S, 1, VECTORS>(simd, tile, count, column, residual, lanes, padded)
            }
            2 => {
                add_classes::<F, S, 2, VECTORS>(simd, tile, count, column, residual, lanes, padded)
            }
            3 => {
                add_classes::<F, S, 3, VECTORS>(simd, tile, count, column, residual, lanes, padded)
            }
            _ => {
                add_classes::<F, S, 4, VECTORS>(simd, tile, count, column, residual, lanes, padded)
            }
        }
    }
}

#[inline(always)]
fn add_classes<F: Float, S: Simd, const CLASSES: usize, const VECTORS: usize>(
    simd: S,
    tile: &Strips<'_, F>,
    count: usize,
    column: usize,
    residual: &[F],
    lanes: &mut [F],
    padded: usize,
) {
    let mut sums = [[F::Lanes::<S>::splat(simd, F::ZERO); VECTORS]; CLASSES];
    let mut r: [&[F]; CLASSES] = [&[]; CLASSES];
    for c in 0..CLASSES {
        r[c] = &residual[c * STRIPE..][..count];
        for v in 0..VECTORS {
            let lanes = &lanes[c * padded + v * F::LANES..][..F::LANES];
            sums[c][v] = F::Lanes::<S>::from_slice(simd, lanes);
        }
    }
    for i in 0..count {
        let row = &tile.strip(i)[column..][..VECTORS * F::LANES];
        let mut x = [sums[0][0]; VECTORS];
        for v in 0..VECTORS {
            x[v] = F::Lanes::<S>::from_slice(simd, &row[v * F::LANES..][..F::LANES]);
        }
        for c in 0..CLASSES {
            let r = F::Lanes::<S>::splat(simd, r[c][i]);
            for v in 0..VECTORS {
                sums[c][v] = x[v].mul_add_fused(r, sums[c][v]);
            }
        }
    }
    for c in 0..CLASSES {
        for v in 0..VECTORS {
            sums[c][v].store_slice(&mut lanes[c * padded + v * F::LANES..][..F::LANES]);
        }
    }
}
