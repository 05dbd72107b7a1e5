//! Products along dense columns: a SIMD vector holds one column of `LANES` rows. For matrices too narrow for a row to
//! fill a vector, and for wide matrices whose columns are contiguous. The latter make the same additions in the same
//! order as [`super::rows`], so that the memory layout does not change a bit of the result.

use fearless_simd::prelude::*;

use super::weights::{GradientLanes, PaddedWeights};
use crate::float::Float;
use crate::lanes::{MAX_LANES, sum_lanes, transpose};
use crate::matrix::Ahead;
use crate::reduce::STRIPE;
use crate::simd::{MulAdd, is_roomy};
use crate::strips::Strips;

/// How many columns' products are added to a partial sum between loading and storing it.
const LINKS: usize = 4;
/// How many columns `add_scalars` sums at once; their sums must fit into registers.
const SCALARS: usize = 8;

/// The scores of a block of rows. Each row has `LANES` partial sums ("chains"), as if its columns were read in vectors.
pub(super) struct Scores<F> {
    chains: Vec<F>,
    pub(super) z: [F; STRIPE],
}

impl<F: Float> Scores<F> {
    pub(super) fn new() -> Self {
        Scores {
            chains: Vec::new(),
            z: [F::ZERO; STRIPE],
        }
    }
}

/// A block of rows whose columns are contiguous, with the weights.
#[derive(Clone, Copy)]
pub(crate) struct ColumnTile<'a, F: Float, S: Simd> {
    pub(super) simd: S,
    pub(super) weights: &'a PaddedWeights<'a, F>,
    pub(super) columns: Strips<'a, F>,
}

impl<F: Float, S: Simd> ColumnTile<'_, F, S> {
    /// The number of rows.
    #[inline(always)]
    pub(super) fn count(&self) -> usize {
        self.columns.length()
    }

    /// The part with `count` of the rows, from `first` on.
    #[inline(always)]
    pub(super) fn part(&self, first: usize, count: usize) -> Self {
        ColumnTile {
            columns: self.columns.within(first, count),
            ..*self
        }
    }

    /// `z = Σ_j w_j x_j + b` of each row, summed column after column; for narrow matrices.
    #[inline(always)]
    pub(super) fn multiply_narrow(&self, z: &mut [F; STRIPE]) {
        for at in (0..self.count()).step_by(F::LANES) {
            let mut sum = F::Lanes::<S>::splat(self.simd, F::ZERO);
            for (j, &weight) in self.weights.weights.iter().enumerate() {
                sum = load(self.simd, self.columns.strip(j), at).mul_add_fused(weight, sum);
            }
            (sum + self.weights.bias).store_slice(&mut z[at..at + F::LANES]);
        }
    }

    /// `sums += Σ_i r_i x_i` over the rows x_i with residuals r_i, for narrow matrices: one dot product per column.
    #[inline(always)]
    pub(super) fn add_narrow(&self, residual: &[F; STRIPE], sums: &mut [f64]) {
        for (j, sum) in sums.iter_mut().enumerate() {
            let products = dot(self.simd, self.columns.strip(j), &residual[..self.count()]);
            *sum += sum_lanes::<F, S>(products);
        }
    }

    /// `z = Σ_j w_j x_j + b` of each row with the additions of [`super::rows`]: column j is added to partial sum j mod
    /// `LANES`, and the partial sums are added in pairs.
    #[inline(always)]
    pub(super) fn multiply(&self, scores: &mut Scores<F>) {
        self.begin(scores);
        let (lanes, ahead) = (&mut GradientLanes::none(), &mut Ahead::none());
        let chains = &mut scores.chains;
        self.pass::<false, true>(&[F::ZERO; STRIPE], lanes, ahead, self, chains);
        self.end(scores);
    }

    /// `lanes += Σ_i r_i x_i` over the rows x_i in their order, with residuals r_i.
    #[inline(always)]
    pub(super) fn add(
        &self,
        residual: &[F; STRIPE],
        lanes: &mut GradientLanes<F>,
        ahead: &mut Ahead<'_, F>,
    ) {
        self.pass::<true, false>(residual, lanes, ahead, self, &mut []);
    }

    /// [`ColumnTile::add`] of these rows and [`ColumnTile::multiply`] of the rows in `next`, at the same time.
    #[inline(always)]
    pub(super) fn add_and_multiply(
        &self,
        residual: &[F; STRIPE],
        lanes: &mut GradientLanes<F>,
        ahead: &mut Ahead<'_, F>,
        next: &Self,
        scores: &mut Scores<F>,
    ) {
        next.begin(scores);
        self.pass::<true, true>(residual, lanes, ahead, next, &mut scores.chains);
        next.end(scores);
    }

    /// One pass along the columns. If `ADD`: `lanes += Σ_i r_i x_i` over these rows x_i, with residuals r_i. If
    /// `MULTIPLY`: adds to `chains`, the partial sums of `x · w` for the rows x in `next`.
    #[inline(always)]
    fn pass<const ADD: bool, const MULTIPLY: bool>(
        &self,
        residual: &[F; STRIPE],
        lanes: &mut GradientLanes<F>,
        ahead: &mut Ahead<'_, F>,
        next: &Self,
        chains: &mut [F],
    ) {
        let vectors = F::arrays(self.weights.weights).len();
        let linked = vectors / LINKS * LINKS;
        for c in (0..linked).step_by(LINKS) {
            if ADD {
                for v in c..c + LINKS {
                    self.add_vector(v * F::LANES, residual, &mut lanes.whole[v], ahead);
                }
            }
            if MULTIPLY {
                for (k, chain) in next.each(chains) {
                    next.link::<LINKS>(c * F::LANES + k, chain);
                }
            }
        }
        for c in linked..vectors {
            if ADD {
                self.add_vector(c * F::LANES, residual, &mut lanes.whole[c], ahead);
            }
            if MULTIPLY {
                for (k, chain) in next.each(chains) {
                    next.link::<1>(c * F::LANES + k, chain);
                }
            }
        }
        let Some(rest) = &self.weights.rest else {
            return;
        };
        let first = self.weights.columns() - F::LANES;
        if ADD {
            self.add_vector(first, residual, &mut lanes.rest, ahead);
        }
        if MULTIPLY {
            for (k, chain) in next.each(chains) {
                if first + k >= vectors * F::LANES {
                    next.link::<1>(first + k, chain);
                } else {
                    // `rows.rs` adds 0·0 here; without it, a sum of −0 would differ.
                    debug_assert!(rest.as_ref()[k] == F::ZERO);
                    for sum in chain.iter_mut() {
                        *sum += F::ZERO;
                    }
                }
            }
        }
    }

    /// Sets the `LANES` partial sums of each row to 0, with rows padded to whole vectors.
    #[inline(always)]
    fn begin(&self, scores: &mut Scores<F>) {
        let length = self.count().next_multiple_of(F::LANES);
        scores.chains.clear();
        scores.chains.resize(F::LANES * length, F::ZERO);
    }

    /// Each k from 0 to `LANES` − 1, with the k-th partial sums of all rows.
    #[inline(always)]
    fn each<'c>(&self, chains: &'c mut [F]) -> impl Iterator<Item = (usize, &'c mut [F])> {
        let length = self.count().next_multiple_of(F::LANES);
        chains.chunks_exact_mut(length).enumerate()
    }

    /// Adds the partial sums of each row in pairs, then the bias.
    #[inline(always)]
    fn end(&self, Scores { chains, z }: &mut Scores<F>) {
        let length = self.count().next_multiple_of(F::LANES);
        for at in (0..length).step_by(F::LANES) {
            let mut sums = [F::Lanes::<S>::splat(self.simd, F::ZERO); MAX_LANES];
            for k in 0..F::LANES {
                let at = k * length + at;
                sums[k] = F::Lanes::<S>::from_slice(self.simd, &chains[at..at + F::LANES]);
            }
            let mut width = F::LANES / 2;
            while width > 0 {
                for i in 0..width {
                    sums[i] = sums[2 * i] + sums[2 * i + 1];
                }
                width /= 2;
            }
            (sums[0] + self.weights.bias).store_slice(&mut z[at..at + F::LANES]);
        }
    }

    /// Adds the products of `N` columns, `first`, `first + LANES`, …, to `chain`, the partial sums that these columns
    /// share.
    #[inline(always)]
    fn link<const N: usize>(&self, first: usize, chain: &mut [F]) {
        let mut columns: [&[F]; N] = [&[]; N];
        let mut weights = [F::Lanes::<S>::splat(self.simd, F::ZERO); N];
        for i in 0..N {
            let column = first + i * F::LANES;
            columns[i] = self.columns.strip(column);
            weights[i] = F::Lanes::<S>::splat(self.simd, self.weights.weights[column]);
        }
        let whole = self.count() / F::LANES;
        let mut arrays: [&[F::Array]; N] = [&[]; N];
        for i in 0..N {
            arrays[i] = &F::arrays(columns[i])[..whole];
        }
        let chain = F::arrays_mut(chain);
        for (at, out) in chain[..whole].iter_mut().enumerate() {
            let mut sum = F::Lanes::<S>::load_array_ref(self.simd, out);
            for i in 0..N {
                let x = F::Lanes::<S>::load_array_ref(self.simd, &arrays[i][at]);
                sum = x.mul_add_fused(weights[i], sum);
            }
            sum.store_array(out);
        }
        if let Some(out) = chain.get_mut(whole) {
            let mut sum = F::Lanes::<S>::load_array_ref(self.simd, out);
            for i in 0..N {
                let x = load(self.simd, columns[i], whole * F::LANES);
                sum = x.mul_add_fused(weights[i], sum);
            }
            sum.store_array(out);
        }
    }

    /// `out += Σ_i r_i x_i` for `LANES` columns, from `column` on, with rows x_i and residuals r_i.
    #[inline(always)]
    fn add_vector(
        &self,
        column: usize,
        residual: &[F; STRIPE],
        out: &mut F::Array,
        ahead: &mut Ahead<'_, F>,
    ) {
        if is_roomy(self.simd) {
            self.add_squares(column, residual, out, ahead);
        } else {
            for first in (0..F::LANES).step_by(SCALARS) {
                let out = &mut out.as_mut()[first..first + SCALARS];
                self.add_scalars(column + first, residual, out, ahead);
            }
        }
    }

    /// `out += Σ_i r_i x_i` for `LANES` columns, with rows x_i and residuals r_i. Reads squares of `LANES` columns ×
    /// `LANES` rows, which are transposed in registers.
    #[inline(always)]
    fn add_squares(
        &self,
        column: usize,
        residual: &[F; STRIPE],
        out: &mut F::Array,
        ahead: &mut Ahead<'_, F>,
    ) {
        let mut sum = F::Lanes::<S>::load_array_ref(self.simd, out);
        for at in (0..self.count()).step_by(F::LANES) {
            ahead.fetch::<SCALARS>();
            let mut square = [F::Lanes::<S>::splat(self.simd, F::ZERO); MAX_LANES];
            for j in 0..F::LANES {
                square[j] = load(self.simd, self.columns.strip(column + j), at);
            }
            transpose::<F, S>(&mut square);
            for i in 0..F::LANES {
                let r = F::Lanes::<S>::splat(self.simd, residual[at + i]);
                sum = square[i].mul_add_fused(r, sum);
            }
        }
        sum.store_array(out);
    }

    /// `out += Σ_i r_i x_i` for `SCALARS` columns, with rows x_i and residuals r_i. Reads one element at a time, which
    /// is faster than transposing if registers are few and narrow.
    #[inline(always)]
    fn add_scalars(
        &self,
        column: usize,
        residual: &[F; STRIPE],
        out: &mut [F],
        ahead: &mut Ahead<'_, F>,
    ) {
        let residual = &residual[..self.count()];
        let mut columns: [&[F]; SCALARS] = self.columns.strips(column);
        let mut sums = [F::ZERO; SCALARS];
        for j in 0..SCALARS {
            columns[j] = &columns[j][..residual.len()];
            sums[j] = out[j];
        }
        for (i, &r) in residual.iter().enumerate() {
            if i.is_multiple_of(F::LANES) {
                ahead.fetch::<SCALARS>();
            }
            for j in 0..SCALARS {
                sums[j] = columns[j][i].mul_add(r, sums[j]);
            }
        }
        // `add_squares` also adds zeros beyond the last row, which turn −0 into +0.
        if !residual.len().is_multiple_of(F::LANES) {
            sums = sums.map(|sum| sum + F::ZERO);
        }
        out.copy_from_slice(&sums);
    }
}

/// Loads the `LANES` elements from `at` on, with zeros beyond the end of the slice.
#[inline(always)]
pub(super) fn load<F: Float, S: Simd>(simd: S, x: &[F], at: usize) -> F::Lanes<S> {
    match x.get(at..at + F::LANES) {
        Some(lanes) => F::Lanes::<S>::from_slice(simd, lanes),
        None => {
            let mut lanes = F::ZEROS;
            lanes.as_mut()[..x.len() - at].copy_from_slice(&x[at..]);
            F::Lanes::<S>::load_array(simd, lanes)
        }
    }
}

/// `a · b`, as a vector whose lanes are still to be added.
#[inline(always)]
fn dot<F: Float, S: Simd>(simd: S, a: &[F], b: &[F]) -> F::Lanes<S> {
    let mut sum = F::Lanes::<S>::splat(simd, F::ZERO);
    let (whole_a, whole_b) = (F::arrays(a), F::arrays(b));
    for (a, b) in whole_a.iter().zip(whole_b) {
        let a = F::Lanes::<S>::load_array_ref(simd, a);
        sum = a.mul_add_fused(F::Lanes::<S>::load_array_ref(simd, b), sum);
    }
    let at = whole_a.len() * F::LANES;
    if at < a.len() {
        sum = load(simd, a, at).mul_add_fused(load(simd, b, at), sum);
    }
    sum
}
