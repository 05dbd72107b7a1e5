//! Products of sparse rows with the weights of all classes. The weights are stored column by column: a stored element
//! is multiplied with the K weights of its column, which are contiguous. Computed in `f64`, whatever type is stored.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::tile::{ClassScratch, ClassWeights, RowTiles};
use crate::float::Float;
use crate::kernel::sums::Sums;
use crate::reduce::STRIPE;
use crate::sparse::{Index, SparseRows};

/// Sparse rows with elements of type `V`; and the weights, transposed so that the K weights of a column are contiguous.
pub(in crate::kernel) struct SparseTiles<'a, V, I> {
    x: SparseRows<'a, V, I>,
    transposed: Vec<f64>,
    biases: Vec<f64>,
}

impl<'a, V, I> SparseTiles<'a, V, I> {
    pub(in crate::kernel) fn new<F: Float>(
        x: SparseRows<'a, V, I>,
        weights: &ClassWeights<'_, F>,
    ) -> Self {
        SparseTiles {
            x,
            transposed: transposed(weights.weights, weights.columns),
            biases: weights.biases.iter().map(|b| b.to_f64()).collect(),
        }
    }
}

/// The transpose, in `f64`, of `matrix`, which is stored row by row with rows of length `width`.
fn transposed<F: Float>(matrix: &[F], width: usize) -> Vec<f64> {
    let lines = matrix.len() / width;
    let mut out = vec![0.0; matrix.len()];
    for (k, line) in matrix.chunks_exact(width).enumerate() {
        for (j, x) in line.iter().enumerate() {
            out[j * lines + k] = x.to_f64();
        }
    }
    out
}

impl<F: Float, V: Float, I: Index> RowTiles<F> for SparseTiles<'_, V, I> {
    fn tile_rows(&self) -> usize {
        STRIPE
    }

    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        _simd: S,
        rows: Range<usize>,
        scratch: &mut ClassScratch<F>,
        gradient: Option<&mut Sums>,
        transform: impl FnOnce(&mut [F]),
    ) -> bool {
        let classes = self.biases.len();
        let mut sum = vec![0.0; classes];
        let mut valid = true;
        for (i, row) in rows.clone().enumerate() {
            sum.copy_from_slice(&self.biases);
            let row = self.x.row(row);
            valid &= row.is_some();
            let (columns, values) = row.unwrap_or_default();
            for (column, value) in columns.iter().zip(values) {
                match place(column.at(), classes).and_then(|place| self.transposed.get(place)) {
                    Some(weights) => add_multiple(&mut sum, value.to_f64(), weights),
                    None => valid = false,
                }
            }
            for (z, &sum) in scratch.z.chunks_exact_mut(STRIPE).zip(&sum) {
                z[i] = F::from_f64(sum);
            }
        }
        transform(&mut scratch.z);
        let Some(sums) = gradient else {
            return valid;
        };
        let mut residual = sum;
        for (i, row) in rows.enumerate() {
            for (r, z) in residual.iter_mut().zip(scratch.z.chunks_exact(STRIPE)) {
                *r = z[i].to_f64();
            }
            let (columns, values) = self.x.row(row).unwrap_or_default();
            for (column, value) in columns.iter().zip(values) {
                let place = place(column.at(), classes);
                if let Some(sums) = place.and_then(|place| sums.weights.get_mut(place)) {
                    add_multiple(sums, value.to_f64(), &residual);
                }
            }
        }
        valid
    }

    fn finish(&self, sums: &mut Sums) {
        if !sums.weights.is_empty() {
            sums.weights = transposed(&sums.weights, self.biases.len());
        }
    }
}

/// The places of the `classes` weights of a column in the transposed weights; `None` if they overflow.
#[inline(always)]
fn place(column: usize, classes: usize) -> Option<Range<usize>> {
    let start = column.checked_mul(classes)?;
    Some(start..start.checked_add(classes)?)
}

#[inline(always)]
fn add_multiple(sums: &mut [f64], a: f64, x: &[f64]) {
    for (sum, &x) in sums.iter_mut().zip(x) {
        *sum = a.mul_add(x, *sum);
    }
}
