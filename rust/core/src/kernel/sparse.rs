//! One pass over the rows of a sparse matrix, a stripe at a time: a row's predictor gathers the weights of its columns, and
//! its residual is scattered to their sums while the stripe is still in cache. Gathering and scattering take turns by the
//! stripe, not by the row: weights and sums do not fit the nearer caches together.
//!
//! Both run in `f64` whatever is stored: `float32` sums lose nothing as rows grow. Errors and residuals between the two
//! are those of the dense kernel, over lanes of rows. A column's elements are summed in three levels: one after another
//! over some rows, those over a block, blocks in a fixed tree. All of these depend on the rows' lengths alone.

use std::ops::Range;

use fearless_simd::prelude::*;

use super::dense::pad;
use super::stripe::Stripe;
use super::{Points, Sums};
use crate::activation::Activation;
use crate::error::Error;
use crate::float::Float;
use crate::parallel::{self, Monitor, STRIPE, Threads};
use crate::simd::{Level, dispatch};
use crate::sparse::{Index, ROW, Rows, Sparse, changed, with_indices, with_rows};
use crate::strips::prefetch;
use crate::vector::RowSet;

/// Columns and values of a row.
type Row<'a, F, I> = (&'a [I], &'a [F]);

/// Elements by which memory is fetched ahead of its use.
const AHEAD: usize = 64;

/// Elements of a row that are taken together, each in a chain of its own.
const CHUNK: usize = 4;

/// Elements, per column, that are summed one after another before the sums are added to their block's: enough that this
/// costs little.
const RUN: usize = 16;

/// The sums of each block of rows.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn evaluate<F: Float>(
    level: Level,
    points: &Points<'_, Sparse<'_>>,
    weights: &[F],
    bias: F,
    activation: Activation,
    gradient: bool,
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<Vec<Sums>, Error> {
    let x = &points.x;
    let values = x.values::<F>();
    with_indices!(x.indices(), indices => {
        let rows = Rows::new(x, &values, indices);
        parallel::map(
            threads,
            blocks(x, points.rows),
            Scratch::<F>::new,
            |scratch, range| dispatch!(level, simd => {
                block(simd, points, &rows, weights, bias, activation, range, gradient, scratch)
            }),
            monitor,
        )
    })
}

/// Predictors `z = X w + b`.
///
/// # Errors
///
/// [`Error::Index`] for a column index out of range; [`Error::Interrupted`] by the monitor.
pub(crate) fn predictors<F: Float>(
    level: Level,
    x: &Sparse<'_>,
    rows: RowSet<'_>,
    weights: &[F],
    bias: F,
    out: &mut [F],
    threads: Threads,
    monitor: &mut dyn Monitor,
) -> Result<(), Error> {
    let (mut items, mut rest) = (Vec::new(), out);
    for block in blocks(x, rows) {
        let (out, after) = rest.split_at_mut(block.len());
        items.push((block.start, out));
        rest = after;
    }
    let valid = with_rows!(x, matrix => {
        parallel::map(
            threads,
            items,
            || (),
            |(), (first, out): (usize, &mut [F])| dispatch!(level, _simd => {
                row_products(&matrix, rows, &Scaled::new(weights, bias), first, out)
            }),
            monitor,
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

/// The rows of each block: of about equal work, none too small to be worth handing out, and few enough that adding up
/// their sums costs little. A function of the rows' lengths alone.
pub(super) fn blocks(x: &Sparse<'_>, rows: RowSet<'_>) -> Vec<Range<usize>> {
    /// Elements: some ten microseconds.
    const SMALLEST: usize = 1 << 15;
    /// Elements, per column, of one of many blocks.
    const WORTH: usize = 64;

    // Work before each row.
    let mut listed = Vec::new();
    if let RowSet::Listed(rows) = rows {
        let mut sum = 0;
        listed.push(sum);
        listed.extend(rows.iter().map(|&row| {
            sum += row_work(x, row);
            sum
        }));
    }
    let before = |i: usize| match rows {
        RowSet::All | RowSet::Range { .. } => work(x, rows.part(0..i)),
        RowSet::Listed(_) => listed[i],
    };
    let count = rows.count(x.rows());
    let total = before(count);
    // A power of two shares out evenly among as many threads.
    let most = match total / x.columns() {
        0..2 => 1,
        each => (each / WORTH).clamp(2, 64).next_power_of_two(),
    };
    let blocks = (total / SMALLEST).clamp(1, most);
    let mut end = 0;
    (1..=blocks)
        .filter_map(|b| {
            let start = end;
            end = if b == blocks {
                count
            } else {
                first(start..count, |i| before(i) >= total / blocks * b)
            };
            (start < end).then_some(start..end)
        })
        .collect()
}

/// The first of a range for which `reached` holds, if it holds from there on; else the range's end.
fn first(range: Range<usize>, reached: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, mut end } = range;
    while start < end {
        let middle = start + (end - start) / 2;
        if reached(middle) {
            end = middle;
        } else {
            start = middle + 1;
        }
    }
    start
}

/// Memory that a thread reuses for all of its blocks.
pub(crate) struct Scratch<F> {
    /// Sums of residual × row, by column, over the rows since the last were added to the block's.
    pub run: Vec<f64>,
    z: [F; STRIPE],
    y: [F; STRIPE],
    sample_weight: [F; STRIPE],
    residual: [F; STRIPE],
}

impl<F: Float> Scratch<F> {
    pub(crate) fn new() -> Self {
        let zeros = [F::ZERO; STRIPE];
        Scratch {
            run: Vec::new(),
            z: zeros,
            y: zeros,
            sample_weight: zeros,
            residual: zeros,
        }
    }
}

/// Sums of error, residual and residual × row over the block.
#[inline(always)]
fn block<F: Float, I: Index, S: Simd>(
    simd: S,
    points: &Points<'_, Sparse<'_>>,
    x: &Rows<'_, F, I>,
    weights: &[F],
    bias: F,
    activation: Activation,
    block: Range<usize>,
    gradient: bool,
    scratch: &mut Scratch<F>,
) -> Sums {
    let columns = if gradient { weights.len() } else { 0 };
    let model = Scaled::new(weights, bias);
    let mut sums = Sums::zero(0);
    if scratch.run.len() != columns {
        scratch.run = vec![0.0; columns];
    }
    let mut stored = 0;
    for first in block.clone().step_by(STRIPE) {
        let rows = first..block.end.min(first + STRIPE);
        stored += stripe(
            simd, points, x, &model, activation, rows, gradient, scratch, &mut sums,
        );
        if stored > RUN * columns {
            add_run(&mut scratch.run, &mut sums.weights);
            stored = 0;
        }
    }
    if sums.weights.is_empty() {
        sums.weights = std::mem::take(&mut scratch.run);
    } else {
        add_run(&mut scratch.run, &mut sums.weights);
    }
    sums
}

/// Additions, at most, that an element of a column's sum goes through before that is added to its block's.
pub(crate) fn longest_run(x: &Sparse<'_>) -> f64 {
    let run = RUN as f64 * x.columns() as f64 + STRIPE as f64 * x.longest_row() as f64;
    run.min(x.stored_before(x.rows()) as f64)
}

/// Adds the run's sums to the block's, and begins another.
#[inline(always)]
fn add_run(run: &mut [f64], sums: &mut Vec<f64>) {
    sums.resize(run.len(), 0.0);
    for (sum, run) in sums.iter_mut().zip(run) {
        *sum += *run;
        *run = 0.0;
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

/// Adds a stripe of rows to the sums, and residual × row to `scratch.run`; the elements that these were.
#[inline(always)]
pub(crate) fn stripe<F: Float, I: Index, S: Simd>(
    simd: S,
    points: &Points<'_, Sparse<'_>>,
    x: &Rows<'_, F, I>,
    model: &Scaled<'_, F>,
    activation: Activation,
    rows: Range<usize>,
    gradient: bool,
    scratch: &mut Scratch<F>,
    sums: &mut Sums,
) -> usize {
    let Scratch {
        run,
        z,
        y,
        sample_weight,
        residual,
    } = scratch;
    let y = points.labels(rows.start, rows.len(), y);
    let sample_weight =
        points.sample_weights(rows.start, rows.len(), sample_weight, &mut sums.weight);
    for (i, z) in z[..rows.len()].iter_mut().enumerate() {
        let row = x.row(points.rows.at(rows.start + i));
        sums.valid &= row.is_some();
        *z = predictor(row.unwrap_or_default(), model, &mut sums.valid);
    }
    pad(z, rows.len());
    let mut stripe = Stripe::<F, S>::new(simd);
    stripe.samples(simd, activation, z, y, sample_weight, rows.len(), residual);
    stripe.add_to(sums);
    if !gradient {
        return 0;
    }
    let mut stored = 0;
    for (i, &r) in residual[..rows.len()].iter().enumerate() {
        let row = x.row(points.rows.at(rows.start + i));
        stored += add_row(row.unwrap_or_default(), r, run);
    }
    stored
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
        *z = predictor(row.unwrap_or_default(), model, &mut valid);
    }
    valid
}

/// `x_i · w + b` of one row.
#[inline(always)]
fn predictor<F: Float, I: Index, W: Float>(
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

/// `sums += r_i x_i` of one row; the elements added. That all columns are in range the predictor has found.
#[inline(always)]
fn add_row<F: Float, I: Index>((columns, values): Row<'_, F, I>, r: F, sums: &mut [f64]) -> usize {
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
    columns.len()
}

/// Rows follow each other in memory: what a fixed distance behind a chunk of one is asked for, belongs to the next.
#[inline(always)]
fn fetch_ahead<F: Float, I: Index>(columns: &[I], values: &[F]) {
    prefetch(columns, AHEAD);
    prefetch(values, AHEAD);
}
