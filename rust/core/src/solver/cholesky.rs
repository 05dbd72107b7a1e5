//! Cholesky factor of a matrix that may be singular.

use fearless_simd::f64x8;
use fearless_simd::prelude::*;

use crate::error::Error;
use crate::lanes::sum_lanes;
use crate::reduce::Job;
use crate::simd::{Level, MulAdd, dispatch};

/// Lanes of a vector of `f64`.
const LANES: usize = 8;
/// How many columns are factored at a time: so few that the rows of their block stay in the second-level cache.
const BLOCK: usize = 48;
/// How many rows below the block are computed together, so that each row of the block is loaded once for all of them.
const ROWS: usize = 4;

/// The Cholesky factor L of a symmetric matrix `A` of unit diagonal: `L Lᵀ = A`.
///
/// A column whose pivot is too small is left out: its pivot is set to 1, and the elements of L below the pivot to 0. If
/// `A` is singular and the right-hand side is in the range of `A`, the solution of `A y = x` has a zero for each column
/// that is left out.
#[derive(Clone)]
pub(crate) struct Cholesky {
    order: usize,
    /// The factor L, row by row; elements above the diagonal are not used. A negative diagonal element marks a column
    /// that is left out.
    lower: Vec<f64>,
    level: Level,
}

impl Cholesky {
    /// Factors the symmetric `matrix`, given row by row. Only its lower triangle is read. Column j is left out if its
    /// pivot (the diagonal element after elimination of the columns before it) is at most `least[j]`.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by the monitor.
    pub(crate) fn new(matrix: Vec<f64>, least: &[f64], job: &mut Job<'_>) -> Result<Self, Error> {
        let level = job.level();
        let order = least.len();
        let mut lower = matrix;
        for start in (0..order).step_by(BLOCK) {
            let end = order.min(start + BLOCK);
            dispatch!(level, simd => factor_block(simd, &mut lower, least, start, end));
            job.poll()?;
        }
        Ok(Cholesky {
            order,
            lower,
            level,
        })
    }

    /// Whether the column was left out.
    pub(crate) fn is_left_out(&self, column: usize) -> bool {
        self.lower[column * (self.order + 1)] < 0.0
    }

    /// The column's pivot: its diagonal element after elimination of the columns before it.
    pub(crate) fn pivot(&self, column: usize) -> f64 {
        let root = self.lower[column * (self.order + 1)];
        root * root
    }

    /// If `A` is a correlation matrix: the least-squares coefficients of `column` on the columns before it. The
    /// coefficients of columns that are left out are 0.
    pub(crate) fn regression(&self, column: usize) -> Vec<f64> {
        let mut x = self.lower[column * self.order..][..column].to_vec();
        for i in (0..column).rev() {
            let (before, rest) = x.split_at_mut(i);
            let row = &self.lower[i * self.order..][..i + 1];
            if row[i] < 0.0 {
                rest[0] = 0.0;
                continue;
            }
            rest[0] /= row[i];
            let t = rest[0];
            before.iter_mut().zip(row).for_each(|(x, l)| *x -= t * l);
        }
        x
    }

    /// The inverse of the factor L, row by row; zero above the diagonal.
    pub(crate) fn inverse(&self) -> Vec<f64> {
        let n = self.order;
        let mut inverse = vec![0.0; n * n];
        for i in 0..n {
            let (done, rest) = inverse.split_at_mut(i * n);
            let row = &mut rest[..n];
            let lower = &self.lower[i * n..][..i + 1];
            row[i] = 1.0;
            for (k, &l) in lower[..i].iter().enumerate() {
                let other = &done[k * n..][..k + 1];
                row.iter_mut().zip(other).for_each(|(x, y)| *x -= l * y);
            }
            let pivot = lower[i].abs();
            row[..=i].iter_mut().for_each(|x| *x /= pivot);
        }
        inverse
    }

    /// Σ L_ij², the trace of L Lᵀ.
    pub(crate) fn trace(&self) -> f64 {
        let rows = self.lower.chunks_exact(self.order).enumerate();
        rows.map(|(i, row)| dot_of(&row[..=i])).sum()
    }

    /// Solves A y = x with A = L Lᵀ, and replaces `x` by y. If `x` has k components and L is larger, the leading k × k
    /// part of L is used.
    pub(crate) fn solve(&self, x: &mut [f64]) {
        dispatch!(self.level, simd => solve(simd, &self.lower, self.order, x));
    }
}

fn dot_of(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// Computes columns `start..end` of L, in every row from `start` on. The columns before `start` must be finished.
#[inline(always)]
fn factor_block<S: Simd>(simd: S, lower: &mut [f64], least: &[f64], start: usize, end: usize) {
    let order = least.len();
    // First computes the rows of the block itself; then, from these, the rows below the block, several at a time.
    let (_, rest) = lower.split_at_mut(start * order);
    let (block, below) = rest.split_at_mut((end - start) * order);
    for i in start..end {
        let (above, row) = block.split_at_mut((i - start) * order);
        let row = &mut row[..order];
        for j in start..i {
            let other = &above[(j - start) * order..][..order];
            let pivot = other[j];
            let value = row[j] - dot(simd, &row[..j], &other[..j]);
            row[j] = if pivot < 0.0 { 0.0 } else { value / pivot };
        }
        let pivot = row[i] - dot(simd, &row[..i], &row[..i]);
        row[i] = if pivot > least[i] { pivot.sqrt() } else { -1.0 };
    }
    for rows in below.chunks_mut(ROWS * order) {
        for j in start..end {
            let other = &block[(j - start) * order..][..order];
            let pivot = other[j];
            if rows.len() == ROWS * order {
                let sums = four_dots(simd, rows, &other[..j], order);
                for (row, sum) in rows.chunks_exact_mut(order).zip(sums) {
                    let value = row[j] - sum;
                    row[j] = if pivot < 0.0 { 0.0 } else { value / pivot };
                }
            } else {
                for row in rows.chunks_exact_mut(order) {
                    let value = row[j] - dot(simd, &row[..j], &other[..j]);
                    row[j] = if pivot < 0.0 { 0.0 } else { value / pivot };
                }
            }
        }
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[f64], b: &[f64]) -> f64 {
    let mut sum = f64x8::<S>::splat(simd, 0.0);
    let whole = a.len() / LANES * LANES;
    for (a, b) in a[..whole]
        .chunks_exact(LANES)
        .zip(b[..whole].chunks_exact(LANES))
    {
        let b = f64x8::<S>::from_slice(simd, b);
        sum = f64x8::<S>::from_slice(simd, a).mul_add_fused(b, sum);
    }
    tail(sum_lanes::<f64, S>(sum), &a[whole..], &b[whole..])
}

#[inline(always)]
fn tail(sum: f64, a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(sum, |sum, (&a, &b)| sum + a * b)
}

/// The dot product of each of four rows with `other`, with additions in the same order as in [`dot`].
#[inline(always)]
fn four_dots<S: Simd>(simd: S, rows: &[f64], other: &[f64], order: usize) -> [f64; ROWS] {
    let [mut s0, mut s1, mut s2, mut s3] = [f64x8::<S>::splat(simd, 0.0); ROWS];
    let [r0, r1, r2, r3] = [0, 1, 2, 3].map(|k| &rows[k * order..k * order + other.len()]);
    let whole = other.len() / LANES * LANES;
    let chunks = r0
        .chunks_exact(LANES)
        .zip(r1.chunks_exact(LANES))
        .zip(r2.chunks_exact(LANES))
        .zip(r3.chunks_exact(LANES))
        .zip(other.chunks_exact(LANES));
    for ((((x0, x1), x2), x3), b) in chunks {
        let b = f64x8::<S>::from_slice(simd, b);
        s0 = f64x8::<S>::from_slice(simd, x0).mul_add_fused(b, s0);
        s1 = f64x8::<S>::from_slice(simd, x1).mul_add_fused(b, s1);
        s2 = f64x8::<S>::from_slice(simd, x2).mul_add_fused(b, s2);
        s3 = f64x8::<S>::from_slice(simd, x3).mul_add_fused(b, s3);
    }
    [(s0, r0), (s1, r1), (s2, r2), (s3, r3)]
        .map(|(sum, row)| tail(sum_lanes::<f64, S>(sum), &row[whole..], &other[whole..]))
}

#[inline(always)]
fn solve<S: Simd>(simd: S, lower: &[f64], order: usize, x: &mut [f64]) {
    for i in 0..x.len() {
        let row = &lower[i * order..][..order];
        x[i] = (x[i] - dot(simd, &row[..i], &x[..i])) / row[i].abs();
    }
    for i in (0..x.len()).rev() {
        let row = &lower[i * order..][..order];
        let (before, rest) = x.split_at_mut(i);
        rest[0] /= row[i].abs();
        let factor = -rest[0];
        let mut chunks = before.chunks_exact_mut(LANES);
        let mut row = row[..i].chunks_exact(LANES);
        for (x, l) in chunks.by_ref().zip(row.by_ref()) {
            let sum = f64x8::<S>::from_slice(simd, x);
            f64x8::<S>::from_slice(simd, l)
                .mul_add_fused(f64x8::<S>::splat(simd, factor), sum)
                .store_slice(x);
        }
        for (x, l) in chunks.into_remainder().iter_mut().zip(row.remainder()) {
            *x += factor * l;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::reduce::{Threads, Unmonitored};
    use crate::shuffle::Random;

    /// A correlation matrix of `order` columns over `order + 5` random rows. Column `repeated` is twice the first.
    fn matrix(order: usize, repeated: Option<usize>) -> Vec<f64> {
        let mut random = Random::new(order as u64);
        let rows = order + 5;
        let mut x: Vec<f64> = (0..rows * order).map(|_| random.uniform() - 0.5).collect();
        if let Some(j) = repeated {
            for row in x.chunks_exact_mut(order) {
                row[j] = 2.0 * row[0];
            }
        }
        let product =
            |a: usize, b: usize| -> f64 { x.chunks_exact(order).map(|row| row[a] * row[b]).sum() };
        let scale: Vec<f64> = (0..order).map(|j| product(j, j).sqrt()).collect();
        let mut matrix = vec![0.0; order * order];
        for a in 0..order {
            for b in 0..order {
                matrix[a * order + b] = product(a, b) / (scale[a] * scale[b]);
            }
        }
        matrix
    }

    fn times(matrix: &[f64], x: &[f64]) -> Vec<f64> {
        matrix
            .chunks_exact(x.len())
            .map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum())
            .collect()
    }

    #[test]
    fn solves() {
        for order in [1, 2, 7, 8, 9, 47, 48, 49, 100, 131] {
            let a = matrix(order, None);
            let want: Vec<f64> = (0..order).map(|i| (i as f64).sin()).collect();
            let mut x = times(&a, &want);
            let factor = Cholesky::new(
                a,
                &vec![1e-12; order],
                &mut Job::new(Threads::ONE, &mut Unmonitored).unwrap(),
            )
            .unwrap();
            factor.solve(&mut x);
            for (got, want) in x.iter().zip(&want) {
                assert!((got - want).abs() < 1e-9, "{order}: {got} {want}");
            }
        }
    }

    #[test]
    fn a_repeated_column_is_left_out() {
        for (order, j) in [(2, 1), (9, 4), (60, 10), (60, 55)] {
            let a = matrix(order, Some(j));
            let b = times(&a, &vec![1.0; order]);
            let mut x = b.clone();
            let factor = Cholesky::new(
                a.clone(),
                &vec![1e-12; order],
                &mut Job::new(Threads::ONE, &mut Unmonitored).unwrap(),
            )
            .unwrap();
            factor.solve(&mut x);
            assert!(x[j].abs() < 1e-9, "{order}, {j}: {}", x[j]);
            for (got, want) in times(&a, &x).iter().zip(&b) {
                assert!((got - want).abs() < 1e-9);
            }
        }
    }
}
