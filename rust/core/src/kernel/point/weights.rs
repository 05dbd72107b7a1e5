//! The weights during point-by-point descent, in registers or in memory.
//!
//! A dot product adds element by element if a row is shorter than a SIMD vector, otherwise in SIMD vectors, of which
//! the last may overlap the one before. The order of additions is the same in registers and in memory.

use fearless_simd::prelude::*;

use super::super::rows::{Mask, last_lanes};
use crate::float::Float;
use crate::simd::MulAdd;

/// Number of partial sums ("chains") of a dot product. Terms are added to them in turn, so that no addition waits for
/// the one before.
const CHAINS: usize = 4;

/// Weights that are loaded from the slice `home`, are updated, and are stored in `home` at the end.
pub(super) trait Weights<'w, F: Float, S: Simd> {
    fn load(simd: S, home: &'w mut [F]) -> Self;
    fn store(self);
    fn copy_to(&self, out: &mut [F]);
    /// The dot product `w · x` with a row x.
    fn product(&self, simd: S, row: &[F]) -> F;
    /// `w ← factor · w`
    fn multiply(&mut self, simd: S, factor: F);
    /// `w ← w + factor · x` for a row x.
    fn add(&mut self, simd: S, factor: F, row: &[F]);
}

/// `w · x` for rows shorter than a SIMD vector. Element `j` is added to the partial sum `j % CHAINS`.
#[inline(always)]
fn product_of_few<F: Float>(weights: &[F], row: &[F]) -> F {
    let mut sums = [F::ZERO; CHAINS];
    for (j, (&x, &w)) in row.iter().zip(weights).enumerate() {
        sums[j % CHAINS] = if j < CHAINS {
            x * w
        } else {
            x.mul_add(w, sums[j % CHAINS])
        };
    }
    let [a, b, c, d] = sums;
    match weights.len() {
        1 => a,
        2 => a + b,
        3 => (a + b) + c,
        _ => (a + b) + (c + d),
    }
}

#[inline(always)]
fn multiply_few<F: Float>(weights: &mut [F], factor: F) {
    for w in weights {
        *w *= factor;
    }
}

#[inline(always)]
fn add_to_few<F: Float>(weights: &mut [F], factor: F, row: &[F]) {
    for (w, &x) in weights.iter_mut().zip(row) {
        *w = x.mul_add(factor, *w);
    }
}

/// `N` weights, each in a register of its own.
pub(super) struct Few<'w, F, const N: usize> {
    weights: [F; N],
    home: &'w mut [F],
}

impl<'w, F: Float, S: Simd, const N: usize> Weights<'w, F, S> for Few<'w, F, N> {
    #[inline(always)]
    fn load(_: S, home: &'w mut [F]) -> Self {
        let mut weights = [F::ZERO; N];
        weights.copy_from_slice(home);
        Few { weights, home }
    }
    #[inline(always)]
    fn store(self) {
        self.home.copy_from_slice(&self.weights);
    }
    #[inline(always)]
    fn copy_to(&self, out: &mut [F]) {
        out.copy_from_slice(&self.weights);
    }
    #[inline(always)]
    fn product(&self, _: S, row: &[F]) -> F {
        product_of_few(&self.weights, &row[..N])
    }
    #[inline(always)]
    fn multiply(&mut self, _: S, factor: F) {
        multiply_few(&mut self.weights, factor);
    }
    #[inline(always)]
    fn add(&mut self, _: S, factor: F, row: &[F]) {
        add_to_few(&mut self.weights, factor, &row[..N]);
    }
}

/// Fewer weights than a SIMD vector has lanes, in memory.
pub(super) struct FewInMemory<'w, F>(&'w mut [F]);

impl<'w, F: Float, S: Simd> Weights<'w, F, S> for FewInMemory<'w, F> {
    #[inline(always)]
    fn load(_: S, home: &'w mut [F]) -> Self {
        FewInMemory(home)
    }
    #[inline(always)]
    fn store(self) {}
    #[inline(always)]
    fn copy_to(&self, out: &mut [F]) {
        out.copy_from_slice(self.0);
    }
    #[inline(always)]
    fn product(&self, _: S, row: &[F]) -> F {
        product_of_few(self.0, row)
    }
    #[inline(always)]
    fn multiply(&mut self, _: S, factor: F) {
        multiply_few(self.0, factor);
    }
    #[inline(always)]
    fn add(&mut self, _: S, factor: F, row: &[F]) {
        add_to_few(self.0, factor, row);
    }
}

/// The sum of all lanes of the partial sums. Vectors of products were added to the partial sums in turn; `vectors` is
/// their number. A partial sum to which no vector was added is skipped.
#[inline(always)]
fn sum_chains<F: Float, S: Simd>([a, b, c, d]: [F::Lanes<S>; CHAINS], vectors: usize) -> F {
    F::sum_of_halves::<S>(match vectors {
        1 => a,
        2 => a + b,
        3 => (a + b) + c,
        _ => (a + b) + (c + d),
    })
}

/// A vector that ends with the weights `tail` and begins with zeros.
#[inline(always)]
fn last_vector<F: Float>(tail: &[F]) -> F::Array {
    let mut last = F::ZEROS;
    last.as_mut()[F::LANES - tail.len()..].copy_from_slice(tail);
    last
}

/// A mask for a vector of the last `LANES` elements of a row. It is false for the last `own` elements. It is true for
/// the other elements, which the vector before contains already.
#[inline(always)]
fn taken_lanes<F: Float, S: Simd>(simd: S, own: usize) -> Mask<F, S> {
    let mut fresh = F::ZEROS;
    fresh.as_mut()[F::LANES - own..].fill(F::ONE);
    F::Lanes::<S>::load_array(simd, fresh).simd_eq(F::ZERO)
}

/// Splits the weights into whole vectors and a tail of 1 to `LANES` weights, which is never empty.
#[inline(always)]
fn split<F: Float>(weights: &mut [F]) -> (&mut [F::Array], &mut [F]) {
    let whole = weights.len().div_ceil(F::LANES) - 1;
    let (whole, tail) = weights.split_at_mut(whole * F::LANES);
    (F::arrays_mut(whole), tail)
}

/// `V` SIMD vectors of weights, each in a register.
pub(super) struct Vectors<'w, F: Float, S: Simd, const V: usize> {
    weights: [F::Lanes<S>; V],
    taken: Mask<F, S>,
    home: &'w mut [F],
}

impl<F: Float, S: Simd, const V: usize> Vectors<'_, F, S, V> {
    #[inline(always)]
    fn lanes(&self, simd: S, row: &[F], v: usize) -> F::Lanes<S> {
        if v + 1 == V {
            last_lanes(simd, row, self.taken)
        } else {
            F::Lanes::<S>::load_array_ref(simd, &F::arrays(row)[v])
        }
    }
}

impl<'w, F: Float, S: Simd, const V: usize> Weights<'w, F, S> for Vectors<'w, F, S, V> {
    #[inline(always)]
    fn load(simd: S, home: &'w mut [F]) -> Self {
        let mut weights = [F::Lanes::<S>::splat(simd, F::ZERO); V];
        let (whole, tail) = split(home);
        let taken = taken_lanes::<F, S>(simd, tail.len());
        for v in 0..V - 1 {
            weights[v] = F::Lanes::<S>::load_array_ref(simd, &whole[v]);
        }
        weights[V - 1] = F::Lanes::<S>::load_array(simd, last_vector(tail));
        Vectors {
            weights,
            taken,
            home,
        }
    }
    #[inline(always)]
    fn store(mut self) {
        let home = std::mem::take(&mut self.home);
        self.copy_to(home);
    }
    #[inline(always)]
    fn copy_to(&self, out: &mut [F]) {
        let (whole, tail) = split(out);
        for v in 0..V - 1 {
            self.weights[v].store_array(&mut whole[v]);
        }
        tail.copy_from_slice(&self.weights[V - 1].as_slice()[F::LANES - tail.len()..]);
    }
    #[inline(always)]
    fn product(&self, simd: S, row: &[F]) -> F {
        let mut sums = [F::Lanes::<S>::splat(simd, F::ZERO); CHAINS];
        for v in 0..V {
            sums[v % CHAINS] = self
                .lanes(simd, row, v)
                .mul_add_fused(self.weights[v], sums[v % CHAINS]);
        }
        sum_chains::<F, S>(sums, V)
    }
    #[inline(always)]
    fn multiply(&mut self, simd: S, factor: F) {
        let factor = F::Lanes::<S>::splat(simd, factor);
        for v in 0..V {
            self.weights[v] *= factor;
        }
    }
    #[inline(always)]
    fn add(&mut self, simd: S, factor: F, row: &[F]) {
        let factor = F::Lanes::<S>::splat(simd, factor);
        for v in 0..V {
            self.weights[v] = self
                .lanes(simd, row, v)
                .mul_add_fused(factor, self.weights[v]);
        }
    }
}

/// Any number of SIMD vectors of weights, in memory.
pub(super) struct Many<'w, F: Float, S: Simd> {
    whole: &'w mut [F::Array],
    tail: &'w mut [F],
    last: F::Array,
    taken: Mask<F, S>,
}

impl<'w, F: Float, S: Simd> Weights<'w, F, S> for Many<'w, F, S> {
    #[inline(always)]
    fn load(simd: S, home: &'w mut [F]) -> Self {
        let (whole, tail) = split(home);
        let taken = taken_lanes::<F, S>(simd, tail.len());
        Many {
            last: last_vector(tail),
            whole,
            tail,
            taken,
        }
    }
    #[inline(always)]
    fn store(self) {
        let fresh = F::LANES - self.tail.len();
        self.tail.copy_from_slice(&self.last.as_ref()[fresh..]);
    }
    #[inline(always)]
    fn copy_to(&self, out: &mut [F]) {
        let (whole, tail) = split(out);
        whole.copy_from_slice(self.whole);
        tail.copy_from_slice(&self.last.as_ref()[F::LANES - self.tail.len()..]);
    }
    #[inline(always)]
    fn product(&self, simd: S, row: &[F]) -> F {
        let mut sums = [F::Lanes::<S>::splat(simd, F::ZERO); CHAINS];
        let whole = &F::arrays(row)[..self.whole.len()];
        let (fours, rest) = whole.as_chunks::<CHAINS>();
        let (weight_fours, weight_rest) = self.whole.as_chunks::<CHAINS>();
        for (x, w) in fours.iter().zip(weight_fours) {
            for c in 0..CHAINS {
                let w = F::Lanes::<S>::load_array_ref(simd, &w[c]);
                sums[c] = F::Lanes::<S>::load_array_ref(simd, &x[c]).mul_add_fused(w, sums[c]);
            }
        }
        let last = last_lanes(simd, row, self.taken);
        let w = F::Lanes::<S>::load_array_ref(simd, &self.last);
        let next = rest.len();
        for c in 0..CHAINS - 1 {
            if c < next {
                let w = F::Lanes::<S>::load_array_ref(simd, &weight_rest[c]);
                sums[c] = F::Lanes::<S>::load_array_ref(simd, &rest[c]).mul_add_fused(w, sums[c]);
            }
        }
        for c in 0..CHAINS {
            if c == next {
                sums[c] = last.mul_add_fused(w, sums[c]);
            }
        }
        sum_chains::<F, S>(sums, whole.len() + 1)
    }
    #[inline(always)]
    fn multiply(&mut self, simd: S, factor: F) {
        let factor = F::Lanes::<S>::splat(simd, factor);
        for w in self.whole.iter_mut().chain([&mut self.last]) {
            (F::Lanes::<S>::load_array_ref(simd, w) * factor).store_array(w);
        }
    }
    #[inline(always)]
    fn add(&mut self, simd: S, factor: F, row: &[F]) {
        let factor = F::Lanes::<S>::splat(simd, factor);
        let whole = &F::arrays(row)[..self.whole.len()];
        for (w, x) in self.whole.iter_mut().zip(whole) {
            let sum = F::Lanes::<S>::load_array_ref(simd, w);
            F::Lanes::<S>::load_array_ref(simd, x)
                .mul_add_fused(factor, sum)
                .store_array(w);
        }
        let sum = F::Lanes::<S>::load_array_ref(simd, &self.last);
        last_lanes(simd, row, self.taken)
            .mul_add_fused(factor, sum)
            .store_array(&mut self.last);
    }
}
