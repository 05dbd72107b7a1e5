//! The weighted Gram matrix XᵀDX with a diagonal matrix D. If the elements of D are the second derivatives of the loss
//! by the scores, the Gram matrix is the Hessian of the loss by the weights.

use std::ops::Range;

use fearless_simd::f64x8;
use fearless_simd::prelude::*;
use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::curvature::row_curvatures;
use super::dataset::{Dataset, rows_of};
use super::labels::binary_labels;
use super::parameters::Parameters;
use super::predict::scores;
use crate::error::check_length;
use crate::error::{Error, check_room, zeros};
use crate::features::Features;
use crate::float::Float;
use crate::loss::Activation;
use crate::matrix::{DenseRows, Matrix, Packed};
use crate::reduce::{self, Job, Leaves, STRIPE, Shared, Sum, map_reduce_into};
use crate::simd::{Level, MulAdd, dispatch, is_roomy};
use crate::sparse::{Index, Sparse, SparseRows, with_rows};
use crate::strips::Strips;
use crate::vector::{RowSet, Vector};

/// How many rows of the Gram matrix are one band. A band is an item of work for a thread.
const BAND: usize = 64;
/// How many rows of `X` are one leaf. The sum of a leaf is computed on its own, and then added to the sums of other
/// leaves.
const LEAF: usize = 1024;
/// How many rows of the Gram matrix are computed together. `GROUP` × `PANEL` elements are summed in registers at once,
/// as eight SIMD vectors.
const GROUP: usize = 4;
const PANEL: usize = 2 * LANES;
const LANES: usize = 8;
/// [`LEAF`] for sparse rows, whose products are so few that adding up the sums of leaves would take longer.
const SPARSE_LEAF: usize = 8192;
/// Sparse rows are multiplied element by element if at most this fraction of the elements is stored.
pub(crate) const SPARSE: f64 = 0.12;
/// How many rows of `X` are copied at once, where they cannot be used in place.
const PACKED: usize = 32;

/// The matrix `[X 1]ᵀ D [X 1]`. For `D = diag(s_i σ'(z_i))` with sample weights s_i and scores `z = X w + b`, it is the
/// Hessian of Σ s_i E_i with respect to (w, b), where E_i is the cross-entropy of row i.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Gram {
    /// The number of rows and of columns, n + 1; the last row and the last column belong to the bias.
    pub order: usize,
    /// The elements, row by row; only the lower triangle is filled.
    pub lower: Vec<f64>,
    /// Σ s_i, the total weight.
    pub weight: f64,
}

impl Sum for Vec<Gram> {
    fn add(&mut self, right: &Self) {
        for (sum, right) in self.iter_mut().zip(right) {
            sum.add(right);
        }
    }

    fn clear(&mut self) {
        self.iter_mut().for_each(Sum::clear);
    }
}

impl Sum for Gram {
    fn add(&mut self, right: &Self) {
        self.lower.add(&right.lower);
        self.weight += right.weight;
    }

    fn clear(&mut self) {
        Sum::clear(&mut self.lower);
        self.weight = 0.0;
    }
}

/// The Hessian of the mean cross-entropy with respect to (w, b). It does not depend on the labels:
///
/// ```text
/// H = [X 1]ᵀ D [X 1] / Σ s_i      D = diag(s_i σ'(z_i)),  z = X w + b + o
/// ```
///
/// with sample weights s_i and offsets o. It is symmetric, of shape (n + 1, n + 1) row by row, with the bias last.
/// Computed in `f64`, whatever the type of `X`.
///
/// Source: Hastie, Tibshirani & Friedman, *The Elements of Statistical Learning*, 2nd ed., eq. (4.25), divided by −Σ
/// s_i.
///
/// # Errors
///
/// [`Error::Length`] if `sample_weight`, an offset or `weights` does not fit `x`; [`Error::Element`] for sample weights
/// that are negative or not finite, and for offsets that are not finite; [`Error::TotalWeight`]; [`Error::Index`] for a
/// column of a sparse `x` out of range; [`Error::Memory`]; [`Error::Interrupted`] by the monitor.
pub fn hessian<'a>(
    x: impl Into<Features<'a>>,
    sample_weight: Option<&'a Vector<'a>>,
    offsets: &'a [Vector<'a>],
    weights: &[f64],
    bias: f64,
    job: &mut Job<'_>,
) -> Result<Vec<f64>, Error> {
    let x = x.into();
    let n = x.columns();
    check_length("weights", weights.len(), n, "one weight per column of X")?;
    let unlabelled = zeros("y", x.rows(), "labels")?;
    let unlabelled = Vector::from_slice(&unlabelled);
    let dataset = Dataset::new(x, &unlabelled, sample_weight)?.with_offsets(offsets)?;
    dataset.check_offsets_of(1)?;
    binary_labels(&dataset, job)?;
    // Memory is needed for the matrix and for the sums from which it is made.
    let elements = 2 * (n as u128 + 1).pow(2);
    check_room(elements, "X", elements, "elements of its Hessian")?;
    let Gram {
        order,
        lower: mut matrix,
        weight,
    } = gram(&dataset, weights, bias, &Basis::natural(n), job)?;
    for i in 0..order {
        for j in 0..=i {
            let mean = matrix[i * order + j] / weight;
            matrix[i * order + j] = mean;
            matrix[j * order + i] = mean;
        }
    }
    Ok(matrix)
}

/// [`Gram`] at `weights` and `bias`, with the columns of `X` transformed by `basis`. Computed in `f64`, whatever the
/// type of `X`.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn gram(
    dataset: &Dataset<'_>,
    weights: &[f64],
    bias: f64,
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<Gram, Error> {
    let (d, weight) = curvatures(dataset, weights, bias, job)?;
    gram_of(dataset, &d, weight, basis, job)
}

/// Upper bound on the number of successive additions that any term of a Gram matrix over `rows` rows goes through.
/// Bounds on rounding errors are proportional to it. `is_sparse` may be false only if all elements of X are stored.
pub(crate) fn additions(rows: usize, is_sparse: bool) -> f64 {
    match is_sparse {
        true => SPARSE_LEAF as f64 + Leaves::of(rows, SPARSE_LEAF, 1, 1).additions(),
        false => STRIPE as f64 + Leaves::of(rows, LEAF, 1, 1).additions(),
    }
}

/// `[X 1]ᵀ D [X 1]` with the columns of `X` transformed by `basis`. `d` is the diagonal of D, with any elements, one
/// per row. `weight` is the sum of the sample weights, which is copied to the result.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn gram_of(
    dataset: &Dataset<'_>,
    d: &[f64],
    weight: f64,
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<Gram, Error> {
    let mut grams = grams_of(dataset, &[d], weight, basis, job)?;
    Ok(grams.swap_remove(0))
}

/// [`gram_of`] for several diagonals at a time, in one pass.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn grams_of(
    dataset: &Dataset<'_>,
    diagonals: &[&[f64]],
    weight: f64,
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<Vec<Gram>, Error> {
    let rows = rows_of(dataset);
    let lower = match dataset.x {
        Features::Dense(x) => {
            lower_of(&x.select(dataset.rows), (rows, LEAF), diagonals, basis, job)
        }
        Features::Sparse(x) => with_rows!(&x, dataset.rows, rows_of_x => {
            lower_of(&rows_of_x, (rows, SPARSE_LEAF), diagonals, basis, job)
        }),
    }?;
    let gram = |lower| Gram {
        order: basis.columns() + 1,
        lower,
        weight,
    };
    Ok(lower.into_iter().map(gram).collect())
}

/// The products of all pairs of rows of a dense `X`: `(X − o) F (X − o)ᵀ` with an `origin` o that is subtracted from
/// every row, and a diagonal matrix F of `factors`, one for each column. Shape (m, m), row by row; only the lower
/// triangle is filled.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn products_of_rows(
    x: &Matrix<'_>,
    origin: &[f64],
    factors: &[f64],
    job: &mut Job<'_>,
) -> Result<Vec<f64>, Error> {
    let (m, n) = (x.rows(), x.columns());
    let columns = ShiftedRows {
        rows: x.transposed().select(RowSet::All),
        shift: origin,
        level: job.level(),
    };
    let mut products =
        lower_of(&columns, (n, LEAF), &[factors], &Basis::natural(m), job)?.swap_remove(0);
    for i in 1..m {
        products.copy_within(i * (m + 1)..i * (m + 1) + m, i * m); // leaves out the column of ones
    }
    products.truncate(m * m);
    Ok(products)
}

/// [`products_of_rows`] of a sparse `X`, with an origin of zero.
///
/// # Errors
///
/// [`Error::Memory`]; [`Error::Index`] for a column index out of range; [`Error::Interrupted`] by the monitor.
pub(crate) fn products_of_sparse_rows(
    x: &Sparse<'_>,
    factors: &[f64],
    job: &mut Job<'_>,
) -> Result<Vec<f64>, Error> {
    let m = x.rows();
    let mut products = zeros("X", m.saturating_mul(m), "products of its rows")?;
    let (values, rows, starts) = x.transposed::<f64>(job)?.into_parts();
    let columns = || starts.windows(2).zip(factors);
    // Each item of work is a band of the matrix. Within each column of `X`, the row numbers ascend.
    let bands: Vec<(usize, &mut [f64])> = products.chunks_mut(BAND * m).enumerate().collect();
    reduce::map(
        job,
        bands,
        || (),
        |(), (band, out)| {
            let top = band * BAND;
            let end = top + out.len() / m;
            for (range, factor) in columns() {
                let (rows, values) = (&rows[range[0]..range[1]], &values[range[0]..range[1]]);
                let first = rows.partition_point(|row| *row < top);
                let own = rows[first..].iter().zip(&values[first..]);
                for (&row, value) in own.take_while(|(row, _)| **row < end) {
                    let out = &mut out[(row - top) * m..][..row + 1];
                    let scaled = factor * value;
                    let others = rows
                        .iter()
                        .zip(values)
                        .take_while(|(other, _)| **other <= row);
                    others.for_each(|(&other, value)| out[other] += scaled * value);
                }
            }
        },
    )?;
    Ok(products)
}

/// The lower triangle of `[X 1]ᵀ D [X 1]`, row by row, for each diagonal D in `diagonals`. X is the first `rows` rows
/// of `x`, with the columns transformed by `basis`. A leaf has `leaf` rows.
fn lower_of(
    x: &dyn PanelRows,
    (rows, leaf): (usize, usize),
    diagonals: &[&[f64]],
    basis: &Basis,
    job: &mut Job<'_>,
) -> Result<Vec<Vec<f64>>, Error> {
    /// The largest number of sums that one item of work may make, if it has more than one diagonal: 4 MB of memory.
    const SUMS: usize = 1 << 19;
    let level = job.level();
    let (order, count) = (basis.columns() + 1, diagonals.len());
    let bands = order.div_ceil(BAND);
    let leaves = Leaves::of(
        rows,
        leaf,
        order.saturating_mul(order).saturating_mul(count),
        order * BAND,
    );
    // An item of work is a band (some rows of the Gram matrix) summed over all rows of `X`, for some of the diagonals.
    // If there are only few bands, the rows of `X` and the diagonals are divided among items too, so that there are
    // enough items for all threads.
    let stretches = match bands {
        0..16 => leaves.stretches(),
        _ => std::iter::once(0..rows).collect(),
    };
    let divided = 16_usize.div_ceil(bands * stretches.len());
    let most = (SUMS / (BAND.min(order) * order)).clamp(1, count.div_ceil(divided));
    let shares: Vec<Range<usize>> = (0..count)
        .step_by(most)
        .map(|first| first..count.min(first + most))
        .collect();
    let parts = shares.len() * bands;
    let items = (0..parts).flat_map(|part| stretches.iter().map(move |rows| (part, rows.clone())));
    let items = items.collect();
    let sums: Vec<Shared<Vec<f64>>> = (0..parts).map(|_| Shared::new()).collect();
    let pass = GramPass { x, basis };
    reduce::map(
        job,
        items,
        GramScratch::new,
        |scratch, (part, rows): (usize, Range<usize>)| {
            let all = &sums[part];
            let (band, share) = (Band::new(order, part % bands), &shares[part / bands]);
            let diagonals = &diagonals[share.clone()];
            let zero = || vec![0.0; diagonals.len() * band.size()];
            all.add(
                leaves,
                rows,
                zero,
                |sums, leaf| dispatch!(level, simd => pass.leaf(simd, &band, diagonals, leaf, scratch, sums)),
            );
        },
    )?;
    let mut lower = vec![vec![0.0; order * order]; count];
    for (part, sum) in sums.into_iter().enumerate() {
        let band = Band::new(order, part % bands);
        let sums = sum.total().unwrap_or_default();
        let lower = &mut lower[shares[part / bands].clone()];
        for (lower, sums) in lower.iter_mut().zip(sums.chunks_exact(band.size())) {
            band.unpack(sums, order, lower);
        }
    }
    Ok(lower)
}

/// The curvatures `d_i = s_i σ'(z_i)` of all rows, and the sum of the sample weights s_i.
fn curvatures(
    dataset: &Dataset<'_>,
    weights: &[f64],
    bias: f64,
    job: &mut Job<'_>,
) -> Result<(Vec<f64>, f64), Error> {
    let level = job.level();
    let mut d = vec![0.0; rows_of(dataset)];
    let at = Parameters::of_one_score(Activation::Sigmoid, weights, &bias);
    scores(dataset, &at, &mut d, job)?;
    let leaves = Leaves::new(d.len(), 2);
    let out = (d.as_mut_slice(), 1);
    let weight = map_reduce_into(
        job,
        leaves,
        out,
        || (),
        || 0.0,
        |(), weight, rows, out| {
            for (k, d) in out.chunks_mut(STRIPE).enumerate() {
                let mut s = [0.0; STRIPE];
                let s = &mut s[..d.len()];
                dispatch!(level, simd => row_curvatures(simd, dataset, rows.start + k * STRIPE, d, s));
                *weight += s.iter().sum::<f64>();
            }
        },
    )?;
    Ok((d, weight))
}

/// Rows of `X`, dense or sparse, that can be copied into panels. A panel is a block of [`PANEL`] columns, stored row by
/// row.
trait PanelRows: Sync {
    /// Copies the first `features` columns of the rows `first .. first + count`. Column j of the i-th of these rows
    /// goes to `panels[(j / PANEL · count + i) · PANEL + j % PANEL]`. `panels` must be all zeros before.
    fn spread(
        &self,
        first: usize,
        count: usize,
        features: usize,
        tile: &mut Packed<f64>,
        panels: &mut [f64],
    );

    /// Lists the stored elements in the first `features` columns of the rows `first .. first + count`. Returns false if
    /// the rows are dense, or have so many elements that panels are faster.
    fn list(&self, first: usize, count: usize, features: usize, listed: &mut Listed) -> bool {
        let _ = (first, count, features, listed);
        false
    }
}

/// The elements of some sparse rows.
#[derive(Default)]
struct Listed {
    /// The column and the value of each element, row by row. In each row, columns ascend.
    elements: Vec<(usize, f64)>,
    /// The number of elements in each row and all rows before it.
    ends: Vec<usize>,
}

impl PanelRows for DenseRows<'_> {
    fn spread(
        &self,
        first: usize,
        count: usize,
        features: usize,
        tile: &mut Packed<f64>,
        panels: &mut [f64],
    ) {
        for start in (0..count).step_by(PACKED) {
            let packed = PACKED.min(count - start);
            let strips = self.row_tile(first + start, packed, tile);
            let strips = strips.within(0, features);
            each_piece(strips, start, count, panels, |_, row, out| {
                out.copy_from_slice(row);
            });
        }
    }
}

/// Rows, and numbers that are subtracted from them when they are copied: `shift[i]` from every element of row i.
struct ShiftedRows<'a> {
    rows: DenseRows<'a>,
    shift: &'a [f64],
    level: Level,
}

impl PanelRows for ShiftedRows<'_> {
    fn spread(
        &self,
        first: usize,
        count: usize,
        features: usize,
        tile: &mut Packed<f64>,
        panels: &mut [f64],
    ) {
        dispatch!(self.level, simd => self.spread_tiles(simd, first, count, features, tile, panels));
    }
}

impl ShiftedRows<'_> {
    #[inline(always)]
    fn spread_tiles<S: Simd>(
        &self,
        simd: S,
        first: usize,
        count: usize,
        features: usize,
        tile: &mut Packed<f64>,
        panels: &mut [f64],
    ) {
        for start in (0..count).step_by(PACKED) {
            let packed = PACKED.min(count - start);
            let strips = (self.rows).transposed_row_tile(simd, first + start, packed, tile);
            let shifts = &self.shift[first + start..];
            each_piece(
                strips.within(0, features),
                start,
                count,
                panels,
                #[inline(always)]
                |i, row, out| {
                    let places = out.iter_mut().zip(row);
                    places.for_each(|(place, x)| *place = x - shifts[i]);
                },
            );
        }
    }
}

/// Cuts each row of `strips` into pieces, one for each panel. Calls `copy(i, row, out)` for each piece: `row` is a
/// piece of the i-th row, and `out` is its place in `panels`. The panels have `count` rows each; the first row of
/// `strips` is their row `start`.
#[inline(always)]
fn each_piece(
    strips: Strips<'_, f64>,
    start: usize,
    count: usize,
    panels: &mut [f64],
    mut copy: impl FnMut(usize, &[f64], &mut [f64]),
) {
    for i in 0..strips.count() {
        for (p, row) in strips.strip(i).chunks(PANEL).enumerate() {
            let at = (p * count + start + i) * PANEL;
            copy(i, row, &mut panels[at..at + row.len()]);
        }
    }
}

impl<F: Float, I: Index> PanelRows for SparseRows<'_, F, I> {
    fn spread(
        &self,
        first: usize,
        count: usize,
        features: usize,
        _tile: &mut Packed<f64>,
        panels: &mut [f64],
    ) {
        for i in 0..count {
            let (columns, values) = self.row(first + i).unwrap_or_default();
            for (column, value) in columns.iter().zip(values) {
                let column = column.at();
                if column < features {
                    panels[(column / PANEL * count + i) * PANEL + column % PANEL] += value.to_f64();
                }
            }
        }
    }

    fn list(&self, first: usize, count: usize, features: usize, listed: &mut Listed) -> bool {
        let most = (SPARSE * count as f64 * features as f64) as usize;
        listed.elements.clear();
        listed.ends.clear();
        let mut parts = Vec::new();
        for i in first..first + count {
            self.visit(i, &mut parts, |column, x| {
                if column < features {
                    listed.elements.push((column, x));
                }
            });
            listed.ends.push(listed.elements.len());
            if listed.elements.len() > most {
                return false;
            }
        }
        true
    }
}

/// Transforms the first `features` columns of the rows in `panels` by `basis`: subtracts origins, divides by units and
/// subtracts combinations.
#[inline(always)]
fn enter(basis: &Basis, count: usize, features: usize, panels: &mut [f64]) {
    if basis.is_natural() {
        return;
    }
    if basis.is_combined() {
        let (mut row, mut low) = (vec![0.0; features], vec![0.0; features]);
        for i in 0..count {
            let place = |j: usize| (j / PANEL * count + i) * PANEL + j % PANEL;
            row.iter_mut()
                .enumerate()
                .for_each(|(j, x)| *x = panels[place(j)]);
            basis.enter(&mut row, &mut low);
            row.iter()
                .enumerate()
                .for_each(|(j, &x)| panels[place(j)] = x);
        }
        return;
    }
    let coordinates = basis.origin()[..features].chunks(PANEL);
    let coordinates = coordinates.zip(basis.per_unit()[..features].chunks(PANEL));
    for (panel, (origins, per_units)) in panels.chunks_exact_mut(count * PANEL).zip(coordinates) {
        let (mut origin, mut per_unit) = ([0.0; PANEL], [0.0; PANEL]);
        origin[..origins.len()].copy_from_slice(origins);
        per_unit[..per_units.len()].copy_from_slice(per_units);
        for row in panel.as_chunks_mut::<PANEL>().0 {
            *row = std::array::from_fn(|j| (row[j] - origin[j]) * per_unit[j]);
        }
    }
}

/// Scratch memory of one thread.
struct GramScratch {
    tile: Packed<f64>,
    /// Columns of `[X 1]`, padded with zeros. They are in panels of [`PANEL`] columns, one panel after the other, each
    /// stored row by row.
    panels: Vec<f64>,
    /// [`BAND`] columns of `[X 1]`, where each row is multiplied by its element d of the diagonal. They are in groups
    /// of [`GROUP`] columns, one group after the other, each stored row by row.
    groups: Vec<f64>,
    listed: Listed,
}

impl GramScratch {
    fn new() -> Self {
        GramScratch {
            tile: Packed::new(),
            panels: Vec::new(),
            groups: Vec::new(),
            listed: Listed::default(),
        }
    }
}

/// Up to [`BAND`] consecutive rows of the Gram matrix, and the padded size of the memory for their sums.
struct Band {
    /// The first of these rows in the matrix.
    top: usize,
    /// The number of rows of the sums: the number of rows of the band, rounded up to a multiple of [`GROUP`].
    height: usize,
    /// The number of columns of the sums: the number of columns up to the diagonal in the last row of the band, rounded
    /// up to a multiple of [`PANEL`].
    width: usize,
}

impl Band {
    fn new(order: usize, band: usize) -> Self {
        let top = band * BAND;
        Band {
            top,
            height: BAND.min(order - top).next_multiple_of(GROUP),
            width: (top + BAND).min(order).next_multiple_of(PANEL),
        }
    }

    /// The number of the band's sums.
    fn size(&self) -> usize {
        self.height * self.width
    }

    /// Copies the rows of the band, each up to the diagonal, from `sums` to the matrix `lower`.
    fn unpack(&self, sums: &[f64], order: usize, lower: &mut [f64]) {
        let rows = sums.chunks_exact(self.width).take(order - self.top);
        for (row, sums) in (self.top..).zip(rows) {
            lower[row * order..row * order + row + 1].copy_from_slice(&sums[..row + 1]);
        }
    }
}

/// The inputs of a pass over the rows that computes `[X 1]ᵀ D [X 1]`, with the columns transformed by `basis`.
struct GramPass<'a> {
    x: &'a dyn PanelRows,
    basis: &'a Basis,
}

impl GramPass<'_> {
    /// Adds the rows `leaf` of `X` to the sums of a band (some rows of the Gram matrix), for each of the diagonals.
    #[inline(always)]
    fn leaf<S: Simd>(
        &self,
        simd: S,
        band: &Band,
        diagonals: &[&[f64]],
        leaf: Range<usize>,
        scratch: &mut GramScratch,
        sums: &mut [f64],
    ) {
        for first in leaf.clone().step_by(STRIPE) {
            let rows = first..leaf.end.min(first + STRIPE);
            let count = rows.len();
            let features = band.width.min(self.basis.columns());
            let is_scaled =
                !self.basis.is_combined() && self.basis.origin().iter().all(|o| *o == 0.0);
            if is_scaled && self.x.list(first, count, features, &mut scratch.listed) {
                for (d, sums) in diagonals.iter().zip(sums.chunks_exact_mut(band.size())) {
                    self.add_elements(band, &d[rows.clone()], &scratch.listed, sums);
                }
                continue;
            }
            self.load_panels(band, diagonals, rows.clone(), scratch);
            for (d, sums) in diagonals.iter().zip(sums.chunks_exact_mut(band.size())) {
                load_groups(band, &d[rows.clone()], scratch);
                // A panel (`PANEL` columns) stays in the first-level cache while all groups that need it are
                // multiplied with it.
                let panels = scratch.panels.chunks_exact(count * PANEL);
                for (p, panel) in panels.enumerate() {
                    let above = (p * PANEL).saturating_sub(band.top) / GROUP; // groups wholly above the diagonal
                    let groups = scratch.groups.chunks_exact(count * GROUP);
                    let sums = sums.chunks_exact_mut(GROUP * band.width);
                    for (group, sums) in groups.zip(sums).skip(above) {
                        add_products(simd, group, panel, &mut sums[p * PANEL..], band.width);
                    }
                }
            }
        }
    }

    /// Adds the products of the elements in `listed` to the sums of a band. `d` has the diagonal's elements for these
    /// rows.
    #[inline(always)]
    fn add_elements(&self, band: &Band, d: &[f64], listed: &Listed, sums: &mut [f64]) {
        let (n, width, per_unit) = (self.basis.columns(), band.width, self.basis.per_unit());
        let rows_of_band = band.top..band.top + BAND;
        let mut start = 0;
        for (&d, &end) in d.iter().zip(&listed.ends) {
            let row = &listed.elements[start..end];
            start = end;
            if d == 0.0 {
                continue; // 0 · ∞ would be NaN
            }
            let mut add = |i: usize, x: f64, others: &[(usize, f64)]| {
                let sums = &mut sums[(i - band.top) * width..][..width];
                for &(other, y) in others {
                    sums[other] = (y * per_unit[other]).mul_add(d * x, sums[other]);
                }
            };
            let first = row.partition_point(|(column, _)| *column < band.top);
            for (k, &(column, x)) in row.iter().enumerate().skip(first) {
                if !rows_of_band.contains(&column) {
                    break;
                }
                add(column, x * per_unit[column], &row[..=k]);
            }
            if rows_of_band.contains(&n) {
                add(n, 1.0, row); // the column of ones
                sums[(n - band.top) * width + n] += d;
            }
        }
    }

    /// Fills `scratch.panels` with the columns of `[X 1]` that a band of the Gram matrix needs. A row of `X` is set to
    /// zero if its element d is 0 in all diagonals, because 0 · ∞ would be NaN.
    #[inline(always)]
    fn load_panels(
        &self,
        band: &Band,
        diagonals: &[&[f64]],
        rows: Range<usize>,
        scratch: &mut GramScratch,
    ) {
        let (first, count, n) = (rows.start, rows.len(), self.basis.columns());
        let GramScratch { tile, panels, .. } = scratch;
        panels.clear();
        panels.resize(count * band.width, 0.0);
        let features = band.width.min(n);
        self.x.spread(first, count, features, tile, panels);
        enter(self.basis, count, features, panels);
        if band.width > n {
            let (panel, column) = (n / PANEL, n % PANEL);
            for row in panels[panel * count * PANEL..]
                .chunks_exact_mut(PANEL)
                .take(count)
            {
                row[column] = 1.0;
            }
        }
        let is_left_out = |row: &usize| diagonals.iter().all(|d| d[*row] == 0.0);
        for row in rows.filter(is_left_out) {
            let i = row - first;
            for panel in panels.chunks_exact_mut(count * PANEL) {
                panel[i * PANEL..][..PANEL].fill(0.0);
            }
        }
    }
}

/// Fills `scratch.groups` with columns of `[X 1]` times `d`: one column for each of the band's rows of the Gram matrix.
#[inline(always)]
fn load_groups(band: &Band, d: &[f64], scratch: &mut GramScratch) {
    let GramScratch { panels, groups, .. } = scratch;
    let count = d.len();
    groups.clear();
    for left in (band.top..band.top + band.height).step_by(GROUP) {
        let (panel, column) = (left / PANEL, left % PANEL);
        let rows = panels[panel * count * PANEL..].chunks_exact(PANEL);
        for (row, &d) in rows.zip(d) {
            let four = &row[column..column + GROUP];
            groups.extend(four.iter().map(|&x| d * x));
        }
    }
}

/// `out[i][j] += Σ_k group[k][i] · panel[k][j]` over rows k of `X`. All sums are in registers.
#[inline(always)]
fn add_products<S: Simd>(simd: S, group: &[f64], panel: &[f64], out: &mut [f64], width: usize) {
    if is_roomy(simd) {
        add_columns::<S, 2>(simd, group, panel, 0, out, width);
    } else {
        // The registers hold only half of the sums at a time.
        add_columns::<S, 1>(simd, group, panel, 0, out, width);
        add_columns::<S, 1>(simd, group, panel, LANES, out, width);
    }
}

/// `out[i][j] += Σ_k group[k][i] · panel[k][j]` over rows k of `X`, for `VECTORS · LANES` columns j, from `left` on.
#[inline(always)]
fn add_columns<S: Simd, const VECTORS: usize>(
    simd: S,
    group: &[f64],
    panel: &[f64],
    left: usize,
    out: &mut [f64],
    width: usize,
) {
    let mut sums = [[f64x8::<S>::splat(simd, 0.0); VECTORS]; GROUP];
    for (x, y) in group.chunks_exact(GROUP).zip(panel.chunks_exact(PANEL)) {
        let y: [f64x8<S>; VECTORS] = std::array::from_fn(|v| {
            f64x8::<S>::from_slice(simd, &y[left + v * LANES..left + (v + 1) * LANES])
        });
        for i in 0..GROUP {
            let x = f64x8::<S>::splat(simd, x[i]);
            for v in 0..VECTORS {
                sums[i][v] = y[v].mul_add_fused(x, sums[i][v]);
            }
        }
    }
    for (i, sums) in sums.into_iter().enumerate() {
        for (v, sum) in sums.into_iter().enumerate() {
            let out = &mut out[i * width + left + v * LANES..][..LANES];
            (f64x8::<S>::from_slice(simd, out) + sum).store_slice(out);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::curvature::{Curvature, curvature};
    use super::*;
    use crate::elements::Elements;
    use crate::math;
    use crate::matrix::Matrix;
    use crate::reduce::{Threads, Unmonitored};
    use crate::simd::Level;
    use crate::sparse::{Indices, Sparse};
    use crate::vector::{RowSet, Vector};

    /// [`gram`] at weights `w` and bias 0.25, without a transform of the columns.
    fn gram_at(dataset: &Dataset<'_>, w: &[f64], threads: Threads) -> Gram {
        let basis = Basis::natural(w.len());
        gram(
            dataset,
            w,
            0.25,
            &basis,
            &mut Job::new(threads, &mut Unmonitored).unwrap(),
        )
        .unwrap()
    }

    /// [`curvature`] at weights `w` and bias 0.25, without a transform of the columns.
    fn curvature_at(dataset: &Dataset<'_>, w: &[f64]) -> Curvature {
        let basis = Basis::natural(w.len());
        curvature(
            dataset,
            w,
            0.25,
            &basis,
            &mut Job::new(Threads::ONE, &mut Unmonitored).unwrap(),
        )
        .unwrap()
    }

    fn sigmoid_derivative(z: f64) -> f64 {
        let level = Level::baseline();
        dispatch!(level, simd => math::sigmoid_derivative(f64x8::splat(simd, z)).as_slice()[0])
    }

    #[test]
    fn is_the_sum_of_products() {
        for (m, n) in [
            (1, 1),
            (5, 3),
            (300, 7),
            (259, 28),
            (70, 63),
            (66, 64),
            (50, 150),
        ] {
            let mut random = crate::shuffle::Random::new((m * 1000 + n) as u64);
            let mut number = || random.uniform() * 4.0 - 2.0;
            let x: Vec<f64> = (0..m * n).map(|_| number()).collect();
            let y: Vec<f64> = (0..m).map(|i| (i % 2) as f64).collect();
            let s: Vec<f64> = (0..m).map(|i| (i % 4) as f64 * 0.5).collect();
            let w: Vec<f64> = (0..n).map(|_| number() * 0.2).collect();
            let matrix = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
            let (y, s_vector) = (Vector::from_slice(&y), Vector::from_slice(&s));
            let dataset = Dataset::new(&matrix, &y, Some(&s_vector)).unwrap();
            let one = gram_at(&dataset, &w, Threads::ONE);
            let two = Threads::new(Some(3)).unwrap();
            let two = gram_at(&dataset, &w, two);
            assert_eq!(one.lower, two.lower);
            let sums = curvature_at(&dataset, &w);

            let element = |i: usize, j: usize| if j == n { 1.0 } else { x[i * n + j] };
            let d: Vec<f64> = (0..m)
                .map(|i| {
                    let z = (0..n).fold(0.25, |z, j| z + w[j] * x[i * n + j]);
                    s[i] * sigmoid_derivative(z)
                })
                .collect();
            let close = |got: f64, want: f64| (got - want).abs() <= 1e-12 * (1.0 + want.abs());
            for a in 0..=n {
                for b in 0..=a {
                    let want: f64 = (0..m).map(|i| d[i] * element(i, a) * element(i, b)).sum();
                    let got = one.lower[a * (n + 1) + b];
                    assert!(close(got, want), "{m}x{n} ({a}, {b}): {got} {want}");
                    if a == b && a < n {
                        assert!(close(sums.diagonal[a], want));
                        let want = (0..m).map(|i| s[i] * x[i * n + a].powi(2)).sum();
                        assert!(close(sums.squares[a], want));
                    } else if a == n && b < n {
                        assert!(close(sums.cross[b], want));
                    } else if a == n {
                        assert!(close(sums.bias, want));
                    }
                }
            }
            assert!(close(one.weight, s.iter().sum()) && close(sums.weight, s.iter().sum()));
        }
    }
    /// Rows with few elements are multiplied element by element; other rows by panels.
    #[test]
    fn few_elements_give_the_sums_of_panels() {
        for (m, n) in [(700, 40), (300, 150), (2100, 64)] {
            let mut random = crate::shuffle::Random::new((m + n) as u64);
            let mut x = vec![0.0; m * n];
            let (mut data, mut indices, mut starts) = (Vec::new(), Vec::new(), vec![0_i32]);
            for (i, row) in x.chunks_exact_mut(n).enumerate() {
                let stored = (0..n).filter(|_| random.below(30) == 0);
                let mut stored: Vec<usize> = stored.collect();
                if i == 300 {
                    stored = (0..n).rev().collect();
                }
                for j in stored {
                    row[j] = 2.0 * random.uniform() - 1.0;
                    data.push(row[j]);
                    indices.push(j as i32);
                }
                starts.push(data.len() as i32);
            }
            let y: Vec<f64> = (0..m).map(|i| (i % 2) as f64).collect();
            let s: Vec<f64> = (0..m).map(|i| ((i + 1) % 4) as f64 * 0.5).collect();
            let (y, s) = (Vector::from_slice(&y), Vector::from_slice(&s));
            let matrix = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
            let dense = Dataset::new(&matrix, &y, Some(&s)).unwrap();
            let (columns, starts) = (Indices::I32(&indices), Indices::I32(&starts));
            let elements = Elements::F64(&data);
            let sparse = Sparse::new(elements, columns, starts, (m, n)).unwrap();
            let sparse = dense.with(Features::Sparse(sparse));
            let d: Vec<f64> = (0..m).map(|_| random.uniform()).collect();
            let per_unit = (0..n).map(|j| [0.25, 1.0, 8.0][j % 3]).collect();
            for basis in [Basis::natural(n), Basis::new(vec![0.0; n], per_unit)] {
                let of_threads = |dataset: &Dataset<'_>, threads: Threads| {
                    let mut monitor = Unmonitored;
                    let mut job = Job::new(threads, &mut monitor).unwrap();
                    gram_of(dataset, &d, 1.0, &basis, &mut job).unwrap().lower
                };
                let alone = of_threads(&sparse, Threads::ONE);
                for threads in [Threads::ONE, Threads::new(Some(3)).unwrap()] {
                    let of = |dataset: &Dataset<'_>| of_threads(dataset, threads);
                    for (sparse, dense) in of(&sparse).iter().zip(of(&dense)) {
                        assert!((sparse - dense).abs() <= 1e-13 * (1.0 + dense.abs()));
                    }
                    assert_eq!(of(&sparse), alone, "{m}x{n}");
                }
            }
        }
    }

    #[test]
    fn sparse_rows_give_the_sums_of_dense_ones() {
        for (m, n) in [(1, 1), (300, 7), (259, 28), (70, 150)] {
            let mut random = crate::shuffle::Random::new((m * 1000 + n) as u64);
            let mut x = vec![0.0; m * n];
            let (mut data, mut indices, mut starts) = (Vec::new(), Vec::new(), vec![0_i32]);
            for row in x.chunks_exact_mut(n) {
                // Elements are stored by descending columns. Some are stored in two parts, which add up.
                for j in (0..n).rev() {
                    let value = (random.uniform() * 64.0).floor() / 16.0 - 2.0; // exact in f32, too
                    match random.below(3) {
                        0 => {
                            row[j] = value;
                            data.push(value);
                            indices.push(j as i32);
                        }
                        1 => {
                            row[j] = value;
                            data.extend([value - 1.0, 1.0]);
                            indices.extend([j as i32; 2]);
                        }
                        _ => {}
                    }
                }
                starts.push(data.len() as i32);
            }
            let single: Vec<f32> = data.iter().map(|&x| x as f32).collect();
            let y: Vec<f64> = (0..m).map(|i| (i % 2) as f64).collect();
            let s: Vec<f64> = (0..m).map(|i| ((i + 1) % 4) as f64 * 0.5).collect();
            let w: Vec<f64> = (0..n).map(|_| random.uniform() * 0.4 - 0.2).collect();
            let matrix = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
            let (y, s) = (Vector::from_slice(&y), Vector::from_slice(&s));
            let listed: Vec<usize> = (0..m).step_by(3).collect();
            let close = |got: &[f64], want: &[f64]| {
                assert_eq!(got.len(), want.len());
                for (got, want) in got.iter().zip(want) {
                    let near = 1e-12 * (1.0 + want.abs());
                    assert!((got - want).abs() <= near, "{m}x{n}: {got} {want}");
                }
            };
            for rows in [RowSet::All, RowSet::Listed(&listed)] {
                let dense = Dataset::new(&matrix, &y, Some(&s)).unwrap();
                let dense = Dataset { rows, ..dense };
                for elements in [Elements::F64(&data), Elements::F32(&single)] {
                    let (columns, starts) = (Indices::I32(&indices), Indices::I32(&starts));
                    let sparse = Sparse::new(elements, columns, starts, (m, n)).unwrap();
                    let sparse = dense.with(Features::Sparse(sparse));
                    let both = [dense, sparse];
                    let [a, b] = both.map(|dataset| gram_at(&dataset, &w, Threads::ONE));
                    close(&b.lower, &a.lower);
                    assert_eq!(b.weight, a.weight);
                    let [a, b] = both.map(|dataset| curvature_at(&dataset, &w));
                    close(&b.diagonal, &a.diagonal);
                    close(&b.squares, &a.squares);
                    close(&b.cross, &a.cross);
                    close(&[b.bias, b.weight], &[a.bias, a.weight]);
                }
            }
        }
    }

    fn numbers(random: &mut crate::shuffle::Random, count: usize) -> Vec<f64> {
        (0..count).map(|_| random.uniform() * 4.0 - 2.0).collect()
    }

    #[test]
    fn several_diagonals_give_the_bits_of_each_alone() {
        for (m, n, count) in [(1, 1, 2), (2100, 20, 37), (300, 130, 5), (1025, 70, 90)] {
            let mut random = crate::shuffle::Random::new((m * n) as u64);
            let x = numbers(&mut random, m * n);
            let mut d = numbers(&mut random, m * count);
            d[m / 2] = 0.0;
            let y = vec![0.0; m];
            let matrix = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
            let y = Vector::from_slice(&y);
            let dataset = Dataset::new(&matrix, &y, None).unwrap();
            let basis = Basis::new(numbers(&mut random, n), vec![0.5; n]);
            let diagonals: Vec<&[f64]> = d.chunks_exact(m).collect();
            for threads in [1, 2, 7] {
                let mut monitor = Unmonitored;
                let threads = Threads::new(Some(threads)).unwrap();
                let mut job = Job::new(threads, &mut monitor).unwrap();
                let all = grams_of(&dataset, &diagonals, 3.0, &basis, &mut job).unwrap();
                assert_eq!(all.len(), count);
                for (gram, d) in all.iter().zip(&diagonals) {
                    let one = gram_of(&dataset, d, 3.0, &basis, &mut job).unwrap();
                    assert_eq!(gram.lower, one.lower);
                    assert_eq!((gram.order, gram.weight), (n + 1, 3.0));
                }
            }
        }
    }

    #[test]
    fn products_of_rows_are_sums_over_the_columns() {
        for (m, n) in [(1, 2), (7, 300), (65, 66), (130, 2500)] {
            let mut random = crate::shuffle::Random::new((m * n) as u64);
            let mut x = numbers(&mut random, m * n);
            x.iter_mut().skip(1).step_by(3).for_each(|x| *x = 0.0);
            let origin = numbers(&mut random, n);
            let factors: Vec<f64> = numbers(&mut random, n).iter().map(|f| f * f).collect();
            let want = |origin: &[f64], i: usize, k: usize| -> f64 {
                let terms = (0..n).map(|j| {
                    let (a, b) = (x[i * n + j] - origin[j], x[k * n + j] - origin[j]);
                    factors[j] * a * b
                });
                terms.sum()
            };
            let check = |products: &[f64], origin: &[f64]| {
                assert_eq!(products.len(), m * m);
                for i in 0..m {
                    for k in 0..=i {
                        let (got, want) = (products[i * m + k], want(origin, i, k));
                        assert!(
                            (got - want).abs() <= 1e-12 * n as f64,
                            "{i} {k}: {got} {want}"
                        );
                    }
                }
            };
            let columns: Vec<f64> = (0..n * m).map(|at| x[at % m * n + at / m]).collect();
            let c_order = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
            let shape = ((m, n), (1, m as isize));
            let fortran = Matrix::new(Elements::F64(&columns), 0, shape.0, shape.1).unwrap();
            let (mut data, mut indices, mut starts) = (Vec::new(), Vec::new(), vec![0_i32]);
            for row in x.chunks_exact(n) {
                for (j, &x) in row.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                    data.extend([x - 1.0, 1.0]); // in two parts, which add up
                    indices.extend([j as i32; 2]);
                }
                starts.push(data.len() as i32);
            }
            let (indices, starts) = (Indices::I32(&indices), Indices::I32(&starts));
            let sparse = Sparse::new(Elements::F64(&data), indices, starts, (m, n)).unwrap();
            let mut all = [Vec::new(), Vec::new()];
            for threads in [1, 2, 7] {
                let mut monitor = Unmonitored;
                let threads = Threads::new(Some(threads)).unwrap();
                let mut job = Job::new(threads, &mut monitor).unwrap();
                for matrix in [&c_order, &fortran] {
                    all[0].push(products_of_rows(matrix, &origin, &factors, &mut job).unwrap());
                }
                all[1].push(products_of_sparse_rows(&sparse, &factors, &mut job).unwrap());
            }
            check(&all[0][0], &origin);
            check(&all[1][0], &vec![0.0; n]);
            for same in all {
                assert!(same.iter().all(|products| *products == same[0]));
            }
        }
    }
}
