//! Products of sparse rows with all classes: what is stored of a row meets the weights of its column, class by class,
//! which lie together. In `f64` whatever is stored, as for two classes.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::tile::{Classes, Samples, Scratch};
use crate::float::Float;
use crate::kernel::sums::Sums;
use crate::reduce::STRIPE;
use crate::sparse::{Index, Rows};
use crate::vector::RowSet;

/// Sparse features, whose elements are `V`, and the model, whose weights are transposed: those of a column side by side.
pub(super) struct SparseSamples<'a, V, I> {
    x: Rows<'a, V, I>,
    rows: RowSet<'a>,
    transposed: Vec<f64>,
    biases: Vec<f64>,
}

impl<'a, V, I> SparseSamples<'a, V, I> {
    pub(super) fn new<F: Float>(
        x: Rows<'a, V, I>,
        rows: RowSet<'a>,
        model: &Classes<'_, F>,
    ) -> Self {
        SparseSamples {
            x,
            rows,
            transposed: transposed(model.weights, model.columns),
            biases: model.biases.iter().map(|b| b.to_f64()).collect(),
        }
    }
}

/// Of a matrix by classes, the one by columns, or the other way round; `width` is the length of a line of it.
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

impl<F: Float, V: Float, I: Index> Samples<F> for SparseSamples<'_, V, I> {
    fn tile_rows(&self) -> usize {
        STRIPE
    }

    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        _simd: S,
        first: usize,
        count: usize,
        scratch: &mut Scratch<F>,
        gradient: Option<&mut Sums>,
        transform: impl FnOnce(&mut [F]),
    ) -> bool {
        let classes = self.biases.len();
        let mut sum = vec![0.0; classes];
        let mut valid = true;
        for i in 0..count {
            sum.copy_from_slice(&self.biases);
            let row = self.x.row(self.rows.at(first + i));
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
        for i in 0..count {
            for (r, z) in residual.iter_mut().zip(scratch.z.chunks_exact(STRIPE)) {
                *r = z[i].to_f64();
            }
            let (columns, values) = self.x.row(self.rows.at(first + i)).unwrap_or_default();
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

/// Where a column's classes lie.
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
