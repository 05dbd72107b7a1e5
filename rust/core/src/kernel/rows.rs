//! Products along dense rows. A score x·w is summed in one SIMD vector, whose lane l takes every `LANES`-th column. The
//! lanes are then added in pairs of neighbours, the sums of these pairs in pairs again, and so on. Residual × row is
//! added one row after the other.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::weights::PaddedWeights;
use crate::float::Float;
use crate::lanes::{MAX_LANES, sum_lanes_of_each};
use crate::reduce::STRIPE;
use crate::simd::{MulAdd, is_roomy};
use crate::strips::{Strips, prefetch};

/// A tile: a block of rows that fits the cache. Each row is contiguous, and at least one SIMD vector long.
pub(crate) struct RowTile<'a, F: Float, S: Simd> {
    simd: S,
    weights: &'a PaddedWeights<'a, F>,
    rows: Strips<'a, F>,
    /// The distance, in elements, from the element in use to the element to prefetch. Half of the vectors (every other
    /// one) are prefetched while scores are computed, the other half while the gradient is computed, so that memory is
    /// read all the time.
    ahead: isize,
    /// Marks lanes of the last vector of a row: true for the lanes that overlap the vector before. The last vector has
    /// the last `LANES` columns of the row, so that it may overlap.
    taken: Mask<F, S>,
}

impl<'a, F: Float, S: Simd> RowTile<'a, F, S> {
    #[inline(always)]
    pub(super) fn new(simd: S, weights: &'a PaddedWeights<'a, F>, rows: Strips<'a, F>) -> Self {
        RowTile {
            simd,
            weights,
            rows,
            ahead: rows.distance(weights.rows_ahead()),
            taken: taken_lanes::<F, S>(simd, weights.columns()),
        }
    }

    /// Writes the scores `z_i = x_i · w + b` of `rows` to `z`. Each score is summed along the columns. `z` is
    /// overwritten up to a whole number of vectors, also beyond the last row.
    #[inline(always)]
    pub(super) fn multiply(&self, rows: Range<usize>, z: &mut [F; STRIPE]) {
        for at in (0..rows.len()).step_by(F::LANES) {
            let mut sums = [F::Lanes::<S>::splat(self.simd, F::ZERO); MAX_LANES];
            if is_roomy(self.simd) {
                self.products::<8>(rows.start + at, &mut sums);
            } else {
                self.products::<4>(rows.start + at, &mut sums);
            }
            let sum = sum_lanes_of_each::<F, S>(&mut sums);
            (sum + self.weights.bias).store_slice(&mut z[at..at + F::LANES]);
        }
    }

    /// Writes `x · w` of `LANES` rows x, from `first` on, as vectors whose lanes have still to be added. If the tile
    /// has too few rows, its last row stands in for the missing ones. `ROWS` rows are read at once.
    #[inline(always)]
    fn products<const ROWS: usize>(&self, first: usize, out: &mut [F::Lanes<S>; MAX_LANES]) {
        let (simd, whole) = (self.simd, self.weights.whole());
        for i in (0..F::LANES).step_by(ROWS) {
            let rows: [&[F]; ROWS] = self.rows.strips_or_last(first + i);
            let mut pairs: [&[[F::Array; 2]]; ROWS] = [&[]; ROWS];
            for i in 0..ROWS {
                pairs[i] = &F::arrays(rows[i]).as_chunks().0[..whole.len() / 2];
            }
            let mut sums = [F::Lanes::<S>::splat(simd, F::ZERO); ROWS];
            for (p, w) in whole.as_chunks::<2>().0.iter().enumerate() {
                for i in 0..ROWS {
                    prefetch(rows[i], self.ahead + (2 * p * F::LANES) as isize);
                }
                for v in 0..2 {
                    let w = F::Lanes::<S>::load_array_ref(simd, &w[v]);
                    for i in 0..ROWS {
                        let x = F::Lanes::<S>::load_array_ref(simd, &pairs[i][p][v]);
                        sums[i] = x.mul_add_fused(w, sums[i]);
                    }
                }
            }
            if whole.len() % 2 == 1 {
                let c = whole.len() - 1;
                let w = F::Lanes::<S>::load_array_ref(simd, &whole[c]);
                for i in 0..ROWS {
                    let x = F::Lanes::<S>::load_array_ref(simd, &F::arrays(rows[i])[c]);
                    sums[i] = x.mul_add_fused(w, sums[i]);
                }
            }
            let w = F::Lanes::<S>::load_array_ref(simd, self.weights.last());
            for i in 0..ROWS {
                prefetch(
                    rows[i],
                    self.ahead + (whole.len() / 2 * 2 * F::LANES) as isize,
                );
                let x = last_lanes::<F, S>(simd, rows[i], self.taken);
                sums[i] = x.mul_add_fused(w, sums[i]);
            }
            out[i..i + ROWS].copy_from_slice(&sums);
        }
    }

    /// `gradient += Σ_i r_i x_i` over the rows x_i of `rows`, in their order, with residuals r_i. `residual[0]` belongs
    /// to the first of `rows`. `gradient` has as many vectors as a row has; its last vector belongs to the last `LANES`
    /// columns.
    #[inline(always)]
    pub(super) fn add(&self, rows: Range<usize>, residual: &[F], gradient: &mut [F::Array]) {
        if is_roomy(self.simd) {
            self.add_blocks::<8>(rows, residual, gradient);
        } else {
            self.add_blocks::<4>(rows, residual, gradient);
        }
    }

    /// [`RowTile::add`], for `VECTORS` vectors of columns at a time. Their sums stay in registers while all rows are
    /// read.
    #[inline(always)]
    fn add_blocks<const VECTORS: usize>(
        &self,
        rows: Range<usize>,
        residual: &[F],
        gradient: &mut [F::Array],
    ) {
        let whole = (gradient.len() - 1) / VECTORS * VECTORS;
        let (blocks, last) = gradient.split_at_mut(whole);
        for (b, block) in blocks.as_chunks_mut().0.iter_mut().enumerate() {
            self.add_block::<VECTORS, false>(b * VECTORS, &rows, residual, block);
        }
        // The last block has 1 to VECTORS vectors. The loop over it is compiled for each of these numbers.
        macro_rules! add_last {
            ($($n:literal)*) => {$(
                if $n <= VECTORS && let Ok(block) = <&mut [F::Array; $n]>::try_from(&mut *last) {
                    self.add_block::<$n, true>(whole, &rows, residual, block);
                }
            )*};
        }
        add_last!(1 2 3 4 5 6 7 8);
    }

    /// Adds residual × row in `N` vectors of columns, from vector number `first` on. `LAST` says whether the last of
    /// them is the last vector of a row.
    #[inline(always)]
    fn add_block<const N: usize, const LAST: bool>(
        &self,
        first: usize,
        rows: &Range<usize>,
        residual: &[F],
        sums: &mut [F::Array; N],
    ) {
        let simd = self.simd;
        let mut lanes = [F::Lanes::<S>::splat(simd, F::ZERO); N];
        for v in 0..N {
            lanes[v] = F::Lanes::<S>::load_array_ref(simd, &sums[v]);
        }
        // The last vector of a row is read from the end of the row.
        let (block, first, whole) = if LAST {
            (self.rows, first, N - 1)
        } else {
            (self.rows.within(first * F::LANES, N * F::LANES), 0, N)
        };
        for (x, &r) in block.run(rows.clone()).zip(residual) {
            let r = F::Lanes::<S>::splat(simd, r);
            for v in (first + 1..first + N).step_by(2) {
                prefetch(x, self.ahead + (v * F::LANES) as isize);
            }
            let arrays = &F::arrays(x)[first..first + whole];
            for v in 0..whole {
                let x = F::Lanes::<S>::load_array_ref(simd, &arrays[v]);
                lanes[v] = x.mul_add_fused(r, lanes[v]);
            }
            if LAST {
                let x = last_lanes::<F, S>(simd, x, self.taken);
                lanes[whole] = x.mul_add_fused(r, lanes[whole]);
            }
        }
        for v in 0..N {
            lanes[v].store_array(&mut sums[v]);
        }
    }
}

pub(super) type Mask<F, S> = <<F as Float>::Lanes<S> as SimdBase<S>>::Mask;

/// A mask of the lanes in the last vector of a row, true for the lanes that overlap the vector before. The last vector
/// has the last `LANES` columns of the row, so that it may overlap.
#[inline(always)]
pub(super) fn taken_lanes<F: Float, S: Simd>(simd: S, columns: usize) -> Mask<F, S> {
    let overlap = columns.next_multiple_of(F::LANES) - columns;
    let mut taken = F::ZEROS;
    taken.as_mut()[..overlap].fill(F::ONE);
    F::Lanes::<S>::load_array(simd, taken).simd_eq(F::ONE)
}

/// The last `LANES` columns of a row, with zeros in the lanes that overlap the vector before. The padded weights are 0
/// there, but ∞ × 0 would give NaN.
#[inline(always)]
pub(super) fn last_lanes<F: Float, S: Simd>(simd: S, row: &[F], taken: Mask<F, S>) -> F::Lanes<S> {
    let x = F::Lanes::<S>::from_slice(simd, &row[row.len() - F::LANES..]);
    taken.select(F::Lanes::<S>::splat(simd, F::ZERO), x)
}
