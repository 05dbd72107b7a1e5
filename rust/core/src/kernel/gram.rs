//! The weighted Gram matrix XᵀDX with a diagonal matrix D. If the elements of D are the second derivatives of the loss
//! by the scores, it is the Hessian of the loss.

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
use crate::matrix::{DenseRows, Packed};
use crate::reduce::{self, Job, Leaves, STRIPE, Shared, Sum, map_reduce_into};
use crate::simd::{MulAdd, dispatch, is_roomy};
use crate::sparse::{Index, SparseRows, with_rows};
use crate::vector::Vector;

/// A band is this many rows of the Gram matrix: an item of work for a thread.
const BAND: usize = 64;
/// How many rows of `X` are one leaf. The sum of a leaf is computed on its own, and then added to the sums of other
/// leaves.
const LEAF: usize = 1024;
/// How many rows of the Gram matrix are computed together. `GROUP` × `PANEL` elements are summed in registers at once,
/// as eight SIMD vectors.
const GROUP: usize = 4;
const PANEL: usize = 2 * LANES;
const LANES: usize = 8;

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
/// H = [X 1]ᵀ D [X 1] / Σ s_i      D = diag(s_i σ'(z_i)),  z = X w + b
/// ```
///
/// with sample weights s_i. It is symmetric, of shape (n + 1, n + 1) row by row, with the bias last. Computed in `f64`,
/// whatever the type of `X`.
///
/// Source: Hastie, Tibshirani & Friedman, *The Elements of Statistical Learning*, 2nd ed., eq. (4.25), divided by −Σ
/// s_i.
///
/// # Errors
///
/// [`Error::Length`] if `sample_weight` or `weights` does not fit `x`; [`Error::Element`] for sample weights that are
/// negative or not finite; [`Error::TotalWeight`]; [`Error::Index`] for a column of a sparse `x` out of range;
/// [`Error::Memory`]; [`Error::Interrupted`] by the monitor.
pub fn hessian<'a>(
    x: impl Into<Features<'a>>,
    sample_weight: Option<&'a Vector<'a>>,
    weights: &[f64],
    bias: f64,
    job: &mut Job<'_>,
) -> Result<Vec<f64>, Error> {
    let x = x.into();
    let n = x.columns();
    check_length("weights", weights.len(), n, "one weight per column of X")?;
    let unlabelled = zeros("y", x.rows(), "labels")?;
    let unlabelled = Vector::from_slice(&unlabelled);
    let dataset = Dataset::new(x, &unlabelled, sample_weight)?;
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
/// Bounds on rounding errors are proportional to it.
pub(crate) fn additions(rows: usize) -> f64 {
    STRIPE as f64 + Leaves::of(rows, LEAF, 1, 1).additions()
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
    let level = job.level();
    let order = dataset.x.columns() + 1;
    let bands = order.div_ceil(BAND);
    let leaves = Leaves::of(
        rows_of(dataset),
        LEAF,
        order.saturating_mul(order),
        order * BAND,
    );
    // An item of work is one band (some rows of the Gram matrix), summed over all rows of `X`. If there are few bands,
    // the rows of `X` are divided too, so that there are enough items for all threads.
    let stretches = match bands {
        0..16 => leaves.stretches(),
        _ => std::iter::once(0..rows_of(dataset)).collect(),
    };
    let items = (0..bands).flat_map(|band| stretches.iter().map(move |rows| (band, rows.clone())));
    let items = items.collect();
    let sums: Vec<Shared<Vec<f64>>> = (0..bands).map(|_| Shared::new()).collect();
    let sum_bands = |x: &dyn PanelRows, job: &mut Job<'_>| {
        let pass = GramPass { x, d, basis };
        reduce::map(
            job,
            items,
            GramScratch::new,
            |scratch, (band, rows): (usize, Range<usize>)| {
                let all = &sums[band];
                let band = Band::new(order, band);
                let zero = || vec![0.0; band.height * band.width];
                all.add(
                    leaves,
                    rows,
                    zero,
                    |sums, leaf| dispatch!(level, simd => pass.leaf(simd, &band, leaf, scratch, sums)),
                );
            },
        )
    };
    match dataset.x {
        Features::Dense(x) => sum_bands(&x.select(dataset.rows), job),
        Features::Sparse(x) => with_rows!(&x, dataset.rows, rows => sum_bands(&rows, job)),
    }?;
    let mut lower = vec![0.0; order * order];
    for (band, sum) in sums.into_iter().enumerate() {
        Band::new(order, band).unpack(&sum.total().unwrap_or_default(), order, &mut lower);
    }
    Ok(Gram {
        order,
        lower,
        weight,
    })
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
        /// How many rows are copied at once, if they cannot be used in place.
        const PACKED: usize = 32;
        for start in (0..count).step_by(PACKED) {
            let packed = PACKED.min(count - start);
            let strips = self.row_tile(first + start, packed, tile);
            for i in 0..packed {
                let row = &strips.strip(i)[..features];
                for (p, row) in row.chunks(PANEL).enumerate() {
                    let at = (p * count + start + i) * PANEL;
                    panels[at..at + row.len()].copy_from_slice(row);
                }
            }
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
    /// [`BAND`] columns of `[X 1]`, where each row is multiplied by its number in `d`. They are in groups of [`GROUP`]
    /// columns, one group after the other, each stored row by row.
    groups: Vec<f64>,
}

impl GramScratch {
    fn new() -> Self {
        GramScratch {
            tile: Packed::new(),
            panels: Vec::new(),
            groups: Vec::new(),
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
    d: &'a [f64],
    basis: &'a Basis,
}

impl GramPass<'_> {
    /// Adds some rows of `X`, the leaf `leaf`, to the sums of a band (some rows of the Gram matrix).
    #[inline(always)]
    fn leaf<S: Simd>(
        &self,
        simd: S,
        band: &Band,
        leaf: Range<usize>,
        scratch: &mut GramScratch,
        sums: &mut [f64],
    ) {
        for first in leaf.clone().step_by(STRIPE) {
            let count = STRIPE.min(leaf.end - first);
            self.load_panels(band, first..first + count, scratch);
            self.load_groups(band, first..first + count, scratch);
            // A panel (`PANEL` columns) stays in the first-level cache while it is multiplied with all groups that need
            // it.
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

    /// Fills `scratch.panels` with the columns of `[X 1]` that a band of the Gram matrix needs. Rows of `X` with d = 0
    /// are set to zero, because 0 · ∞ would be NaN.
    #[inline(always)]
    fn load_panels(&self, band: &Band, rows: Range<usize>, scratch: &mut GramScratch) {
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
        for (i, _) in self.d[rows].iter().enumerate().filter(|(_, d)| **d == 0.0) {
            for panel in panels.chunks_exact_mut(count * PANEL) {
                panel[i * PANEL..][..PANEL].fill(0.0);
            }
        }
    }

    /// Fills `scratch.groups` with columns of `[X 1]`, multiplied by `d`. There is one column for each row of the band
    /// of the Gram matrix.
    #[inline(always)]
    fn load_groups(&self, band: &Band, rows: Range<usize>, scratch: &mut GramScratch) {
        let GramScratch { panels, groups, .. } = scratch;
        let (count, d) = (rows.len(), &self.d[rows]);
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
}
