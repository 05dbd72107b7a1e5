//! Products of a tile (a block of dense rows in the cache) with the weights of all classes. Each element of the tile is
//! used for several classes when it is loaded.
//!
//! For scores, a SIMD vector holds one column of several rows: some columns of the tile (a panel) are transposed into
//! the first-level cache. For gradients, a vector holds several columns of one row, read in place. Both are small
//! matrix products, whose sums stay in registers. How many classes and vectors are computed at once does not change the
//! result.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::tile::{ClassScratch, ClassWeights, RowTiles};
use crate::float::Float;
use crate::kernel::columns::load;
use crate::kernel::sums::Sums;
use crate::lanes::{MAX_LANES, transpose};
use crate::matrix::DenseRows;
use crate::reduce::STRIPE;
use crate::simd::{MulAdd, is_roomy};
use crate::strips::Strips;

/// Columns of a panel (a transposed block of `X`). A panel of [`GROUP`] vectors of rows takes half of a small
/// first-level cache.
const PANEL: usize = 64;
/// Rows of a panel (a transposed block of `X`), in SIMD vectors.
const GROUP: usize = 4;
/// Bytes of a tile (a block of rows): so few that the tile stays in the second-level cache between scores and gradient.
const TILE_BYTES: usize = 256 << 10;

/// Dense rows and the weights of all classes.
pub(in crate::kernel) struct DenseTiles<'a, F> {
    x: DenseRows<'a>,
    weights: ClassWeights<'a, F>,
}

impl<'a, F> DenseTiles<'a, F> {
    pub(in crate::kernel) fn new(x: DenseRows<'a>, weights: ClassWeights<'a, F>) -> Self {
        DenseTiles { x, weights }
    }
}

impl<F: Float> RowTiles<F> for DenseTiles<'_, F> {
    fn tile_rows(&self) -> usize {
        let group = GROUP * F::LANES;
        let rows = TILE_BYTES / (self.weights.columns * size_of::<F>()) / group * group;
        rows.clamp(group, STRIPE)
    }

    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut ClassScratch<F>,
        gradient: Option<&mut Sums>,
        transform: impl FnOnce(&mut [F]),
    ) -> bool {
        let ClassScratch {
            packed,
            panel,
            tail,
            lanes,
            z,
        } = scratch;
        let tile = self
            .x
            .transposed_row_tile(simd, rows.start, rows.len(), packed);
        panel.resize(PANEL * GROUP * F::LANES, F::ZERO);
        multiply(simd, &tile, &self.weights, panel, z);
        transform(z);
        if gradient.is_some() {
            let padded = self.weights.columns.next_multiple_of(F::LANES);
            lanes.resize(self.weights.classes() * padded, F::ZERO);
            add(simd, &tile, z, lanes, tail);
        }
        true
    }

    #[inline(always)]
    fn end_stripe(&self, scratch: &mut ClassScratch<F>, sums: &mut Sums) {
        let columns = self.weights.columns;
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

/// Writes `z_ik = x_i · w_k + b_k` to `z`, for the rows i of the tile and all classes k. Computes [`GROUP`] vectors of
/// rows at a time.
#[inline(always)]
fn multiply<F: Float, S: Simd>(
    simd: S,
    tile: &Strips<'_, F>,
    weights: &ClassWeights<'_, F>,
    memory: &mut [F],
    z: &mut [F],
) {
    let (width, count, columns) = (GROUP * F::LANES, tile.count(), tile.length());
    for (z, &bias) in z.chunks_exact_mut(STRIPE).zip(weights.biases) {
        z[..count.next_multiple_of(width)].fill(bias);
    }
    for first in (0..count).step_by(width) {
        for left in (0..columns).step_by(PANEL) {
            let right = columns.min(left + PANEL);
            let panel = Panel::load(simd, tile, first, left..right, memory);
            for k in (0..weights.classes()).step_by(4) {
                match weights.classes() - k {
                    1 => panel.multiply::<S, 1>(simd, weights, k, z),
                    2 => panel.multiply::<S, 2>(simd, weights, k, z),
                    3 => panel.multiply::<S, 3>(simd, weights, k, z),
                    _ => panel.multiply::<S, 4>(simd, weights, k, z),
                }
            }
        }
    }
}

/// Some columns of some rows of a tile, stored column by column. Each column has [`GROUP`] vectors of rows, with zeros
/// beyond the last row.
struct Panel<'p, F> {
    /// The first row of the panel, as an index in the tile.
    first: usize,
    columns: Range<usize>,
    elements: &'p [F],
}

impl<'p, F: Float> Panel<'p, F> {
    #[inline(always)]
    fn load<S: Simd>(
        simd: S,
        tile: &Strips<'_, F>,
        first: usize,
        columns: Range<usize>,
        memory: &'p mut [F],
    ) -> Self {
        let width = GROUP * F::LANES;
        let end = tile.count().min(first + width);
        let elements = &mut memory[..columns.len() * width];
        for (v, first) in (first..first + width).step_by(F::LANES).enumerate() {
            for (c, square_out) in elements.chunks_mut(F::LANES * width).enumerate() {
                let mut square = [F::Lanes::<S>::splat(simd, F::ZERO); MAX_LANES];
                for i in 0..F::LANES.min(end.saturating_sub(first)) {
                    let row = tile.strip(first + i);
                    square[i] = load(simd, row, columns.start + c * F::LANES);
                }
                transpose::<F, S>(&mut square);
                for (j, out) in square_out.chunks_exact_mut(width).enumerate() {
                    square[j].store_slice(&mut out[v * F::LANES..][..F::LANES]);
                }
            }
        }
        Panel {
            first,
            columns,
            elements,
        }
    }

    /// Multiplies the panel with the weights of `CLASSES` classes, from `class` on, and adds the products to the scores
    /// `z`.
    #[inline(always)]
    fn multiply<S: Simd, const CLASSES: usize>(
        &self,
        simd: S,
        weights: &ClassWeights<'_, F>,
        class: usize,
        z: &mut [F],
    ) {
        let mut of_classes: [&[F]; CLASSES] = [&[]; CLASSES];
        for (c, of_class) in of_classes.iter_mut().enumerate() {
            *of_class = &weights.of_class(class + c)[self.columns.clone()];
        }
        let z = &mut z[class * STRIPE + self.first..];
        if is_roomy(simd) {
            vector_products::<F, S, CLASSES, GROUP>(simd, self.elements, 0, &of_classes, z);
        } else {
            for v in 0..GROUP {
                vector_products::<F, S, CLASSES, 1>(simd, self.elements, v, &of_classes, z);
            }
        }
    }
}

/// Multiplies `VECTORS` SIMD vectors of rows of the panel, from `vector` on, with the weights of `CLASSES` classes, and
/// adds the products to the scores `z`.
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

/// `lanes_k += Σ_i r_ik x_i` for each class k, over the rows x_i of the tile in their order, with residuals r_ik.
/// Columns that do not fill a vector are copied to `tail`, padded with zeros.
#[inline(always)]
fn add<F: Float, S: Simd>(
    simd: S,
    tile: &Strips<'_, F>,
    residual: &[F],
    lanes: &mut [F],
    tail: &mut Vec<F>,
) {
    let (count, columns) = (tile.count(), tile.length());
    let whole = columns / F::LANES * F::LANES;
    let most = if is_roomy(simd) { 4 * F::LANES } else { 0 };
    let lanes = &mut ClassLanes {
        lanes,
        padded: columns.next_multiple_of(F::LANES),
    };
    let mut column = 0;
    while column < whole {
        if whole - column >= most && most > 0 {
            lanes.add::<S, 4>(simd, &tile.within(column, most), residual, column);
            column += most;
        } else {
            lanes.add::<S, 1>(simd, &tile.within(column, F::LANES), residual, column);
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
        lanes.add::<S, 1>(simd, &tail, residual, whole);
    }
}

/// The sums Σ_i r_ik x_i for all classes k, with rows x_i and residuals r_ik. Each class has `padded` numbers: the
/// number of columns, rounded up to whole vectors.
struct ClassLanes<'l, F> {
    lanes: &'l mut [F],
    padded: usize,
}

impl<F: Float> ClassLanes<'_, F> {
    /// Adds Σ_i r_ik x_i over the rows x_i of `tile`, with residuals r_ik, to the sums of each class k. The columns of
    /// `tile` are `VECTORS` SIMD vectors; in the sums, they are the columns from `to` on.
    #[inline(always)]
    fn add<S: Simd, const VECTORS: usize>(
        &mut self,
        simd: S,
        tile: &Strips<'_, F>,
        residual: &[F],
        to: usize,
    ) {
        let classes = self.lanes.len() / self.padded;
        for k in (0..classes).step_by(4) {
            let residual = &residual[k * STRIPE..];
            let at = k * self.padded + to;
            match classes - k {
                1 => self.add_classes::<S, 1, VECTORS>(simd, tile, residual, at),
                2 => self.add_classes::<S, 2, VECTORS>(simd, tile, residual, at),
                3 => self.add_classes::<S, 3, VECTORS>(simd, tile, residual, at),
                _ => self.add_classes::<S, 4, VECTORS>(simd, tile, residual, at),
            }
        }
    }

    /// Adds Σ_i r_ik x_i over the rows x_i of `tile`, with residuals r_ik, for `CLASSES` classes k. The sums of the
    /// first of these classes start at `at`, and its residuals at `residual[0]`.
    #[inline(always)]
    fn add_classes<S: Simd, const CLASSES: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        tile: &Strips<'_, F>,
        residual: &[F],
        at: usize,
    ) {
        let (lanes, padded, count) = (&mut self.lanes[at..], self.padded, tile.count());
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
            let row = &tile.strip(i)[..VECTORS * F::LANES];
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
}
