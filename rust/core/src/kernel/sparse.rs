//! The sums over sparse rows, a stripe (up to 256 rows) at a time. First the scores of all rows of the stripe are
//! computed, which gathers weights by column index. Then the gradient is computed, which scatters residual × value by
//! column index, while the rows are still in the cache. Scores and gradient alternate from stripe to stripe and not
//! from row to row, because the weights and the sums of the gradient together do not fit the nearer caches.
//!
//! Scores and gradient are computed in `f64`, whatever type is stored, so that long sums of `float32` elements stay
//! accurate. Errors and residuals are computed as for dense rows. The elements of a column are summed one after the
//! other over a leaf (consecutive rows for one thread), and the sums of leaves are added in a tree.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::dataset::LabelBuffers;
use super::dense::pad;
use super::leaves::sparse_leaves;
use super::pass::Pass;
use super::stripe::StripeSums;
use super::sums::Sums;
use crate::error::Error;
use crate::float::Float;
use crate::reduce::{Job, Leaves, STRIPE, map_into, map_reduce};
use crate::simd::dispatch;
use crate::sparse::{Index, ROW, Sparse, SparseRows, changed, with_indices, with_rows};
use crate::strips::prefetch;
use crate::vector::RowSet;

/// Column indices and values that a row stores.
type Row<'a, F, I> = (&'a [I], &'a [F]);

/// Prefetch distance, in stored elements.
const AHEAD: isize = 64;

/// Number of partial sums in the score of a row. Every fourth element is added to the same partial sum.
const CHAINS: usize = 4;

/// Weights `w = scale · weights` and bias `b` of one score. All weights shrink by a change of `scale`, without a write
/// to `weights`.
#[derive(Clone, Copy)]
pub(crate) struct ScaledWeights<'a, F> {
    pub weights: &'a [F],
    pub scale: f64,
    pub bias: F,
}

impl<'a, F> ScaledWeights<'a, F> {
    pub(super) fn new(weights: &'a [F], bias: F) -> Self {
        ScaledWeights {
            weights,
            scale: 1.0,
            bias,
        }
    }
}

impl<'a, F: Float> Pass<'a, Sparse<'a>, ScaledWeights<'a, F>> {
    /// Sums over all rows of errors, residuals and, if wanted, residual × row. `zero` returns sums of value 0, to which
    /// the sums of the leaves are added.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by the monitor.
    pub(super) fn sums(
        &self,
        leaves: Leaves,
        zero: impl Fn() -> Sums + Sync,
        job: &mut Job<'_>,
    ) -> Result<Sums, Error> {
        let (x, level) = (&self.x, job.level());
        let values = x.values::<F>();
        with_indices!(x.indices(), indices => {
            let pass = self.with(SparseRows::new(x, self.dataset.rows, &values, indices));
            map_reduce(
                job,
                leaves,
                SparseScratch::<F>::new,
                zero,
                |scratch, sums, rows| dispatch!(level, simd => pass.leaf(simd, rows, scratch, sums)),
            )
        })
    }
}

/// Writes the scores `z = X w + b` of sparse rows to `out`.
///
/// # Errors
///
/// [`Error::Index`] for a column index out of range; [`Error::Interrupted`] by the monitor.
pub(crate) fn scores<F: Float>(
    x: &Sparse<'_>,
    rows: RowSet<'_>,
    weights: &ScaledWeights<'_, F>,
    out: &mut [F],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    let level = job.level();
    let valid = with_rows!(x, rows, rows_of_x => {
        map_into(
            job,
            sparse_leaves(x, rows, 1),
            (&mut *out, 1),
            || (),
            |(), stretch, out| dispatch!(level, _simd => {
                row_products(&rows_of_x, weights, stretch.start, out)
            }),
        )
    })?;
    if valid.contains(&false) {
        return Err(x.first_invalid().unwrap_or_else(changed));
    }
    Ok(())
}

/// Σ_i c_i x_i over all rows x_i, shape (n).
pub(crate) fn combination(x: &Sparse<'_>, c: &[f64]) -> Vec<f64> {
    let (mut out, mut parts) = (vec![0.0; x.columns()], Vec::new());
    with_rows!(x, RowSet::All, rows => for (i, c) in c.iter().enumerate() {
        rows.visit(i, &mut parts, |column, x| {
            if let Some(out) = out.get_mut(column) {
                *out += c * x;
            }
        });
    });
    out
}

/// Estimated cost of reading some rows: the number of elements that they store, plus [`ROW`] for each row.
pub(crate) fn work(x: &Sparse<'_>, rows: RowSet<'_>) -> usize {
    let count = rows.count(x.rows());
    match rows {
        RowSet::Listed(rows) => rows.iter().map(|&row| row_work(x, row)).sum(),
        RowSet::All | RowSet::Range { .. } => {
            let first = rows.at(0);
            ROW * count
                + x.stored_before(first + count)
                    .saturating_sub(x.stored_before(first))
        }
    }
}

fn row_work(x: &Sparse<'_>, row: usize) -> usize {
    ROW + x
        .stored_before(row + 1)
        .saturating_sub(x.stored_before(row))
}

/// Scratch memory of one thread.
pub(crate) struct SparseScratch<F> {
    labels: LabelBuffers<F>,
    z: [F; STRIPE],
    residual: [F; STRIPE],
}

impl<F: Float> SparseScratch<F> {
    pub(crate) fn new() -> Self {
        SparseScratch {
            labels: LabelBuffers::new(),
            z: [F::ZERO; STRIPE],
            residual: [F::ZERO; STRIPE],
        }
    }
}

impl<F: Float, I: Index> Pass<'_, SparseRows<'_, F, I>, ScaledWeights<'_, F>> {
    /// Adds the errors, residuals and, if wanted, residual × row of the consecutive rows `rows` (a leaf) to `sums`.
    #[inline(always)]
    pub(crate) fn leaf<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut SparseScratch<F>,
        sums: &mut Sums,
    ) {
        for first in rows.clone().step_by(STRIPE) {
            self.stripe(simd, first..rows.end.min(first + STRIPE), scratch, sums);
        }
    }

    /// Adds the errors, residuals and, if wanted, residual × row of up to 256 rows (a stripe) to `sums`.
    #[inline(always)]
    fn stripe<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        scratch: &mut SparseScratch<F>,
        sums: &mut Sums,
    ) {
        let SparseScratch {
            labels,
            z,
            residual,
        } = scratch;
        let labels = self.dataset.labels(rows.clone(), labels);
        sums.weight += labels.total();
        let z_of_rows = &mut z[..rows.len()];
        sums.valid &= row_products(&self.x, &self.weights, rows.start, z_of_rows);
        pad(z, rows.len());
        let mut stripe = StripeSums::<F, S>::new(simd, self.activation);
        stripe.add(simd, z, &labels, residual);
        stripe.add_to(sums);
        if self.wants_gradient() {
            for (i, &r) in rows.zip(residual.iter()) {
                add_row(self.x.row(i).unwrap_or_default(), r, &mut sums.weights);
            }
        }
    }
}

/// Writes the scores `z_i = x_i · w + b` of the rows from `first` on. Returns whether all column indices are in range.
#[inline(always)]
pub(crate) fn row_products<F: Float, I: Index, W: Float>(
    x: &SparseRows<'_, F, I>,
    weights: &ScaledWeights<'_, W>,
    first: usize,
    z: &mut [W],
) -> bool {
    let mut valid = true;
    for (i, z) in z.iter_mut().enumerate() {
        let row = x.row(first + i);
        valid &= row.is_some();
        *z = score(row.unwrap_or_default(), weights, &mut valid);
    }
    valid
}

/// `x · w + b` for one row x. Sets `valid` to false if a column index is out of range.
#[inline(always)]
pub(super) fn score<F: Float, I: Index, W: Float>(
    (columns, values): Row<'_, F, I>,
    weights: &ScaledWeights<'_, W>,
    valid: &mut bool,
) -> W {
    let product = row_product(columns, values, weights.weights, valid);
    W::from_f64(product.mul_add(weights.scale, weights.bias.to_f64()))
}

/// `x · weights` for one row x, in four partial sums. In a single sum, each multiply-add would wait for the one before.
#[inline(always)]
fn row_product<F: Float, I: Index, W: Float>(
    columns: &[I],
    values: &[F],
    weights: &[W],
    valid: &mut bool,
) -> f64 {
    let mut sums = [0.0; CHAINS];
    let mut add = |sum: &mut f64, column: I, x: F| match weights.get(column.at()) {
        Some(w) => *sum = f64::mul_add(x.to_f64(), w.to_f64(), *sum),
        None => *valid = false,
    };
    let (columns, values) = (columns.chunks_exact(CHAINS), values.chunks_exact(CHAINS));
    let rest = columns.remainder().iter().zip(values.remainder());
    for (columns, values) in columns.zip(values) {
        fetch_ahead(columns, values);
        for k in 0..CHAINS {
            add(&mut sums[k], columns[k], values[k]);
        }
    }
    for ((&column, &x), sum) in rest.zip(&mut sums) {
        add(sum, column, x);
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// `sums += r x` for one row x with residual r. Column indices out of range are skipped here; [`row_product`] reports
/// them.
#[inline(always)]
pub(super) fn add_row<F: Float, I: Index>(
    (columns, values): Row<'_, F, I>,
    r: F,
    sums: &mut [f64],
) {
    let r = r.to_f64();
    let mut add = |column: I, x: F| {
        if let Some(sum) = sums.get_mut(column.at()) {
            *sum = f64::mul_add(x.to_f64(), r, *sum);
        }
    };
    let fours = (columns.chunks_exact(CHAINS), values.chunks_exact(CHAINS));
    let rest = fours.0.remainder().iter().zip(fours.1.remainder());
    for (columns, values) in fours.0.zip(fours.1) {
        fetch_ahead(columns, values);
        for k in 0..CHAINS {
            add(columns[k], values[k]);
        }
    }
    for (&column, &x) in rest {
        add(column, x);
    }
}

/// Prefetches the elements `AHEAD` places further on. Rows are stored one after the other, so that this fetches
/// elements of the next rows, too.
#[inline(always)]
fn fetch_ahead<F: Float, I: Index>(columns: &[I], values: &[F]) {
    prefetch(columns, AHEAD);
    prefetch(values, AHEAD);
}
