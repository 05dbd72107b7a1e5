//! One pass over the rows of a sparse matrix, a stripe at a time: a row's score gathers the weights of its columns, and
//! its residual is scattered to their sums while the stripe is still in cache. Gathering and scattering take turns by the
//! stripe, not by the row: weights and sums do not fit the nearer caches together.
//!
//! Both run in `f64` whatever is stored: `float32` sums lose nothing as rows grow. Errors and residuals between the two
//! are those of the dense kernel, over lanes of rows. A column's elements are summed one after another over a leaf of rows,
//! and leaves in their tree.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::dataset::Dataset;
use super::dense::pad;
use super::leaves::sparse_leaves;
use super::stripe::Stripe;
use super::sums::Sums;
use crate::error::Error;
use crate::float::Float;
use crate::loss::Activation;
use crate::reduce::{Job, Leaves, STRIPE, map_into, map_reduce};
use crate::simd::dispatch;
use crate::sparse::{Index, ROW, Rows, Sparse, changed, with_indices, with_rows};
use crate::strips::prefetch;
use crate::vector::RowSet;

/// Columns and values of a row.
type Row<'a, F, I> = (&'a [I], &'a [F]);

/// Elements by which memory is fetched ahead of its use.
const AHEAD: usize = 64;

/// Elements of a row that are taken together, each in a chain of its own.
const CHUNK: usize = 4;

/// The sums over all rows.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn evaluate<F: Float>(
    dataset: &Dataset<'_, Sparse<'_>>,
    model: &Scaled<'_, F>,
    activation: Activation,
    leaves: Leaves,
    zero: impl Fn() -> Sums + Sync,
    gradient: bool,
    job: &mut Job<'_>,
) -> Result<Sums, Error> {
    let (x, level) = (&dataset.x, job.level());
    let values = x.values::<F>();
    with_indices!(x.indices(), indices => {
        let stored = Rows::new(x, &values, indices);
        map_reduce(
            job,
            leaves,
            Scratch::<F>::new,
            zero,
            |scratch, sums, rows| dispatch!(level, simd => {
                leaf(simd, dataset, &stored, model, activation, rows, gradient, scratch, sums)
            }),
        )
    })
}

/// Scores `z = X w + b`.
///
/// # Errors
///
/// [`Error::Index`] for a column index out of range; [`Error::Interrupted`] by the monitor.
pub(crate) fn scores<F: Float>(
    x: &Sparse<'_>,
    rows: RowSet<'_>,
    weights: &[F],
    bias: F,
    out: &mut [F],
    job: &mut Job<'_>,
) -> Result<(), Error> {
    let level = job.level();
    let valid = with_rows!(x, matrix => {
        map_into(
            job,
            sparse_leaves(x, rows, 1),
            (&mut *out, 1),
            || (),
            |(), part, out| dispatch!(level, _simd => {
                row_products(&matrix, rows, &Scaled::new(weights, bias), part.start, out)
            }),
        )
    })?;
    if valid.contains(&false) {
        return Err(x.first_invalid().unwrap_or_else(changed));
    }
    Ok(())
}

/// Elements that the rows store, and what the rows themselves cost.
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

/// Memory that a thread reuses for all of its leaves.
pub(crate) struct Scratch<F> {
    z: [F; STRIPE],
    y: [F; STRIPE],
    sample_weight: [F; STRIPE],
    residual: [F; STRIPE],
}

impl<F: Float> Scratch<F> {
    pub(crate) fn new() -> Self {
        let zeros = [F::ZERO; STRIPE];
        Scratch {
            z: zeros,
            y: zeros,
            sample_weight: zeros,
            residual: zeros,
        }
    }
}

/// Adds error, residual and residual × row of a leaf's rows.
#[inline(always)]
pub(crate) fn leaf<F: Float, I: Index, S: Simd>(
    simd: S,
    dataset: &Dataset<'_, Sparse<'_>>,
    x: &Rows<'_, F, I>,
    model: &Scaled<'_, F>,
    activation: Activation,
    rows: Range<usize>,
    gradient: bool,
    scratch: &mut Scratch<F>,
    sums: &mut Sums,
) {
    for first in rows.clone().step_by(STRIPE) {
        let rows = first..rows.end.min(first + STRIPE);
        stripe(
            simd, dataset, x, model, activation, rows, gradient, scratch, sums,
        );
    }
}

/// `w = scale · weights` and `b`.
#[derive(Clone, Copy)]
pub(crate) struct Scaled<'a, F> {
    pub weights: &'a [F],
    pub scale: f64,
    pub bias: F,
}

impl<'a, F> Scaled<'a, F> {
    pub(super) fn new(weights: &'a [F], bias: F) -> Self {
        Scaled {
            weights,
            scale: 1.0,
            bias,
        }
    }
}

/// Adds a stripe of rows.
#[inline(always)]
fn stripe<F: Float, I: Index, S: Simd>(
    simd: S,
    dataset: &Dataset<'_, Sparse<'_>>,
    x: &Rows<'_, F, I>,
    model: &Scaled<'_, F>,
    activation: Activation,
    rows: Range<usize>,
    gradient: bool,
    scratch: &mut Scratch<F>,
    sums: &mut Sums,
) {
    let Scratch {
        z,
        y,
        sample_weight,
        residual,
    } = scratch;
    let y = dataset.labels(rows.start, rows.len(), y);
    let sample_weight =
        dataset.sample_weights(rows.start, rows.len(), sample_weight, &mut sums.weight);
    for (i, z) in z[..rows.len()].iter_mut().enumerate() {
        let row = x.row(dataset.rows.at(rows.start + i));
        sums.valid &= row.is_some();
        *z = score(row.unwrap_or_default(), model, &mut sums.valid);
    }
    pad(z, rows.len());
    let mut stripe = Stripe::<F, S>::new(simd);
    stripe.samples(simd, activation, z, y, sample_weight, rows.len(), residual);
    stripe.add_to(sums);
    if gradient {
        for (i, &r) in residual[..rows.len()].iter().enumerate() {
            let row = x.row(dataset.rows.at(rows.start + i));
            add_row(row.unwrap_or_default(), r, &mut sums.weights);
        }
    }
}

/// `z_i = x_i · w + b`; whether all columns were in range.
#[inline(always)]
pub(crate) fn row_products<F: Float, I: Index, W: Float>(
    x: &Rows<'_, F, I>,
    rows: RowSet<'_>,
    model: &Scaled<'_, W>,
    first: usize,
    z: &mut [W],
) -> bool {
    let mut valid = true;
    for (i, z) in z.iter_mut().enumerate() {
        let row = x.row(rows.at(first + i));
        valid &= row.is_some();
        *z = score(row.unwrap_or_default(), model, &mut valid);
    }
    valid
}

/// `x_i · w + b` of one row.
#[inline(always)]
fn score<F: Float, I: Index, W: Float>(
    (columns, values): Row<'_, F, I>,
    model: &Scaled<'_, W>,
    valid: &mut bool,
) -> W {
    let product = row_product(columns, values, model.weights, valid);
    W::from_f64(product.mul_add(model.scale, model.bias.to_f64()))
}

/// `x · w` of one row, in interleaved chains: they hide a fused multiply-add's latency.
#[inline(always)]
fn row_product<F: Float, I: Index, W: Float>(
    columns: &[I],
    values: &[F],
    weights: &[W],
    valid: &mut bool,
) -> f64 {
    let mut sums = [0.0; CHUNK];
    let mut add = |sum: &mut f64, column: I, x: F| match weights.get(column.at()) {
        Some(w) => *sum = f64::mul_add(x.to_f64(), w.to_f64(), *sum),
        None => *valid = false,
    };
    let (columns, values) = (columns.chunks_exact(CHUNK), values.chunks_exact(CHUNK));
    let rest = columns.remainder().iter().zip(values.remainder());
    for (columns, values) in columns.zip(values) {
        fetch_ahead(columns, values);
        for k in 0..CHUNK {
            add(&mut sums[k], columns[k], values[k]);
        }
    }
    for ((&column, &x), sum) in rest.zip(&mut sums) {
        add(sum, column, x);
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// `sums += r_i x_i` of one row. That all columns are in range the score has found.
#[inline(always)]
fn add_row<F: Float, I: Index>((columns, values): Row<'_, F, I>, r: F, sums: &mut [f64]) {
    let r = r.to_f64();
    let mut add = |column: I, x: F| {
        if let Some(sum) = sums.get_mut(column.at()) {
            *sum = f64::mul_add(x.to_f64(), r, *sum);
        }
    };
    let chunks = (columns.chunks_exact(CHUNK), values.chunks_exact(CHUNK));
    let rest = chunks.0.remainder().iter().zip(chunks.1.remainder());
    for (columns, values) in chunks.0.zip(chunks.1) {
        fetch_ahead(columns, values);
        for k in 0..CHUNK {
            add(columns[k], values[k]);
        }
    }
    for (&column, &x) in rest {
        add(column, x);
    }
}

/// Rows follow each other in memory: what a fixed distance behind a chunk of one is asked for, belongs to the next.
#[inline(always)]
fn fetch_ahead<F: Float, I: Index>(columns: &[I], values: &[F]) {
    prefetch(columns, AHEAD);
    prefetch(values, AHEAD);
}
