//! Products along dense rows. A score x·w is summed in one SIMD vector, in which each lane sums every `LANES`-th
//! product. The lanes are then added in pairs of neighbours, the sums of these pairs in pairs again, and so on.
//! Residual × row is added one row after the other.
//!
//! Scores are computed row by row, each row from its first column to its last, so that memory is read from front to
//! back. Processors recognise this order and fetch what comes next. If several rows were computed side by side, the
//! weights would be read fewer times. But rows that come from memory and not from a cache would then take up to twice
//! as long.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::weights::PaddedWeights;
use crate::float::Float;
use crate::lanes::{MAX_LANES, sum_lanes_of_each};
use crate::reduce::STRIPE;
use crate::simd::{MulAdd, is_roomy};
use crate::strips::Strips;

/// How many rows are looked up at once. Their bounds are checked together.
const ROWS: usize = 8;

/// A tile: a block of rows that fits the cache. Each row is contiguous, and at least one SIMD vector long.
pub(crate) struct RowTile<'a, F: Float, S: Simd> {
    simd: S,
    weights: &'a PaddedWeights<'a, F>,
    rows: Strips<'a, F>,
    /// A mask for the last vector of a row. This vector has the last `LANES` columns of the row, so that some of its
    /// lanes may overlap the vector before. The mask is true for these lanes.
    taken: Mask<F, S>,
}

impl<'a, F: Float, S: Simd> RowTile<'a, F, S> {
    #[inline(always)]
    pub(super) fn new(simd: S, weights: &'a PaddedWeights<'a, F>, rows: Strips<'a, F>) -> Self {
        RowTile {
            simd,
            weights,
            rows,
            taken: taken_lanes::<F, S>(simd, weights.columns()),
        }
    }

    /// Writes the scores `z_i = x_i · w + b` of `rows` to `z`. `z` is overwritten up to a whole number of vectors, also
    /// beyond the last row.
    #[inline(always)]
    pub(super) fn multiply(&self, rows: Range<usize>, z: &mut [F; STRIPE]) {
        for at in (0..rows.len()).step_by(F::LANES) {
            let products = if is_roomy(self.simd) {
                self.products::<8>(rows.start + at)
            } else {
                self.products::<4>(rows.start + at)
            };
            (products + self.weights.bias).store_slice(&mut z[at..at + F::LANES]);
        }
    }

    /// `x · w` of the `LANES` rows x from `first` on. If the weights are at most `VECTORS` vectors, they stay in
    /// registers. The code that keeps them there is compiled separately for each number of vectors.
    #[inline(always)]
    fn products<const VECTORS: usize>(&self, first: usize) -> F::Lanes<S> {
        macro_rules! in_registers {
            ($($n:literal)*) => {$(
                if $n <= VECTORS && self.weights.vectors() == $n {
                    return self.products_in_registers::<$n>(first);
                }
            )*};
        }
        in_registers!(1 2 3 4 5 6 7 8);
        self.products_from_memory(first)
    }

    /// `x · w` of `LANES` rows of `N` vectors, with the weights in registers.
    #[inline(always)]
    fn products_in_registers<const N: usize>(&self, first: usize) -> F::Lanes<S> {
        let simd = self.simd;
        let whole = &self.weights.whole()[..N - 1];
        let mut weights = [F::Lanes::<S>::load_array_ref(simd, self.weights.last()); N];
        for v in 0..N - 1 {
            weights[v] = F::Lanes::<S>::load_array_ref(simd, &whole[v]);
        }
        self.each_row(
            first,
            #[inline(always)]
            |row| {
                let x = &F::arrays(row)[..N - 1];
                let mut sum = F::Lanes::<S>::splat(simd, F::ZERO);
                for v in 0..N - 1 {
                    let x = F::Lanes::<S>::load_array_ref(simd, &x[v]);
                    sum = x.mul_add_fused(weights[v], sum);
                }
                last_lanes::<F, S>(simd, row, self.taken).mul_add_fused(weights[N - 1], sum)
            },
        )
    }

    /// `x · w` of `LANES` rows of any length. The weights are read from memory for each row.
    #[inline(always)]
    fn products_from_memory(&self, first: usize) -> F::Lanes<S> {
        let (simd, whole) = (self.simd, self.weights.whole());
        let last = F::Lanes::<S>::load_array_ref(simd, self.weights.last());
        self.each_row(
            first,
            #[inline(always)]
            |row| {
                let mut sum = F::Lanes::<S>::splat(simd, F::ZERO);
                for (x, w) in F::arrays(row).iter().zip(whole) {
                    let w = F::Lanes::<S>::load_array_ref(simd, w);
                    sum = F::Lanes::<S>::load_array_ref(simd, x).mul_add_fused(w, sum);
                }
                last_lanes::<F, S>(simd, row, self.taken).mul_add_fused(last, sum)
            },
        )
    }

    /// For each of `LANES` rows, from `first` on: the sum of the lanes of `product(row)`. If the tile ends before, its
    /// last row is used in place of each missing row.
    #[inline(always)]
    fn each_row(&self, first: usize, product: impl Fn(&[F]) -> F::Lanes<S>) -> F::Lanes<S> {
        let mut products = [F::Lanes::<S>::splat(self.simd, F::ZERO); MAX_LANES];
        for at in (0..F::LANES).step_by(ROWS) {
            let rows: [&[F]; ROWS] = self.rows.strips_or_last(first + at);
            for i in 0..ROWS {
                products[at + i] = product(rows[i]);
            }
        }
        sum_lanes_of_each::<F, S>(&mut products)
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

/// A mask for the last vector of a row. This vector has the last `LANES` columns of the row, so that some of its lanes
/// may overlap the vector before. The mask is true for these lanes.
#[inline(always)]
pub(super) fn taken_lanes<F: Float, S: Simd>(simd: S, columns: usize) -> Mask<F, S> {
    let overlap = columns.next_multiple_of(F::LANES) - columns;
    let mut taken = F::ZEROS;
    taken.as_mut()[..overlap].fill(F::ONE);
    F::Lanes::<S>::load_array(simd, taken).simd_eq(F::ONE)
}

/// The last `LANES` columns of a row, with zeros in the lanes that overlap the vector before. The padded weights are 0
/// in these lanes, but an element that is infinite would give ∞ × 0 = NaN.
#[inline(always)]
pub(super) fn last_lanes<F: Float, S: Simd>(simd: S, row: &[F], taken: Mask<F, S>) -> F::Lanes<S> {
    let x = F::Lanes::<S>::from_slice(simd, &row[row.len() - F::LANES..]);
    taken.select(F::Lanes::<S>::splat(simd, F::ZERO), x)
}
