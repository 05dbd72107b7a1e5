//! Tests of all variants of a kernel: against textbook formulas, and against one another bit for bit.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::elements::Elements;
use crate::features::Features;
use crate::loss::Activation;
use crate::matrix::Matrix;
use crate::reduce::{Job, Threads, Unmonitored};
use crate::shuffle::Random;
use crate::simd::Isa;
use crate::sparse::{Indices, Sparse};
use crate::vector::{RowSet, Vector};

fn one<'a, F>(weights: &'a [F], bias: &'a F) -> Parameters<'a, F> {
    Parameters::of_one_score(Activation::Sigmoid, weights, bias)
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

/// The mean error E, ∂E/∂w and ∂E/∂b by the textbook formulas, one row after another.
fn oracle(x: &[f64], n: usize, y: &[f64], w: &[f64], b: f64) -> (f64, Vec<f64>, f64) {
    let m = y.len() as f64;
    let (mut loss, mut weights, mut bias) = (0.0, vec![0.0; n], 0.0);
    for (row, y) in x.chunks(n).zip(y) {
        let p = sigmoid(row.iter().zip(w).map(|(x, w)| x * w).sum::<f64>() + b);
        loss -= (y * p.ln() + (1.0 - y) * (1.0 - p).ln()) / m;
        bias += (p - y) / m;
        for (g, x) in weights.iter_mut().zip(row) {
            *g += (p - y) * x / m;
        }
    }
    (loss, weights, bias)
}

struct Data {
    n: usize,
    x: Vec<f64>,
    y: Vec<f64>,
    w: Vec<f64>,
}

fn data(m: usize, n: usize) -> Data {
    let mut random = Random::new((m * 1000 + n) as u64);
    let mut uniform = |count: usize, low: f64, high: f64| -> Vec<f64> {
        (0..count)
            .map(|_| low + (high - low) * random.uniform())
            .collect()
    };
    let x = uniform(m * n, -2.0, 2.0);
    let w = uniform(n, -1.0, 1.0)
        .into_iter()
        .map(|w| w / (n as f64).sqrt())
        .collect();
    let y = uniform(m, 0.0, 1.0).into_iter().map(f64::round).collect();
    Data { n, x, y, w }
}

fn bits(sums: &Sums) -> Vec<u64> {
    let scalars = [sums.error, sums.biases[0], sums.weight];
    sums.weights
        .iter()
        .chain(&scalars)
        .map(|x| x.to_bits())
        .collect()
}

const SIZES: [(usize, usize); 16] = [
    (1, 1),
    (2, 3),
    (7, 7),
    (8, 8),
    (9, 9),
    (17, 2),
    (255, 5),
    (256, 15),
    (257, 16),
    (300, 17),
    (513, 28),
    (33, 33),
    (2000, 31),
    (40_000, 3),
    (100, 150),
    (40, 600),
];

#[test]
fn matches_the_textbook() {
    for (m, n) in SIZES {
        let Data { x, y, w, .. } = data(m, n);
        let matrix = Matrix::from_rows(Elements::F64(&x), m, n).unwrap();
        let got = loss_gradient(
            &Dataset::new(&matrix, &Vector::from_slice(&y), None).unwrap(),
            &one(&w, &0.25),
            &mut Job::new(Threads::ONE, &mut Unmonitored).unwrap(),
        )
        .unwrap();
        let (loss, weights, bias) = oracle(&x, n, &y, &w, 0.25);
        // For features |x| ≤ 2 and scores |z| ≤ 3, each of the m rows adds a term whose error is a few (n + 2)·eps,
        // with n columns. Summing m terms adds m·eps in the oracle.
        let bound = (m + 8 * (n + 2)) as f64 * f64::EPSILON;
        assert!(
            (got.loss - loss).abs() <= bound * 4.0,
            "{m}x{n}: loss {} {loss}",
            got.loss
        );
        assert!(
            (got.gradient.biases[0] - bias).abs() <= bound,
            "{m}x{n}: bias"
        );
        for (got, want) in got.gradient.weights.iter().zip(&weights) {
            assert!((got - want).abs() <= 2.0 * bound, "{m}x{n}: {got} {want}");
        }
    }
}

#[test]
fn same_bits_on_every_instruction_set_thread_count_and_layout() {
    for (m, n) in SIZES {
        let Data { n, x, y, w } = data(m, n);
        let mut fortran = vec![0.0; m * n];
        let mut reversed = vec![0.0; m * n * 2];
        for i in 0..m {
            for j in 0..n {
                fortran[j * m + i] = x[i * n + j];
                reversed[((m - 1 - i) * n + n - 1 - j) * 2 + 1] = x[i * n + j];
            }
        }
        let (si, sj) = (n as isize, m as isize);
        let columns: Vec<_> = fortran.chunks_exact(m).map(Elements::F64).collect();
        let layouts = [
            Matrix::from_columns(&columns).unwrap(),
            Matrix::from_rows(Elements::F64(&x), m, n).unwrap(),
            Matrix::new(Elements::F64(&fortran), 0, (m, n), (1, sj)).unwrap(),
            Matrix::new(
                Elements::F64(&reversed),
                2 * m * n - 1,
                (m, n),
                (-2 * si, -2),
            )
            .unwrap(),
        ];
        let labels = Vector::from_slice(&y);
        for weighted in [false, true] {
            let mut want = None;
            for matrix in &layouts {
                for isa in Isa::available() {
                    for threads in [1, 2, 3, 8] {
                        let dataset =
                            Dataset::new(matrix, &labels, weighted.then_some(&labels)).unwrap();
                        let threads = Threads::new(Some(threads)).unwrap();
                        let Ok(sums) = evaluate(
                            &dataset,
                            &one(&w, &-0.5),
                            Want::LossAndGradient,
                            &mut Job::on(isa.level().unwrap(), threads, &mut Unmonitored),
                        ) else {
                            assert!(weighted && y.iter().all(|&y| y == 0.0));
                            continue;
                        };
                        let got = bits(&sums);
                        assert_eq!(
                            want.get_or_insert_with(|| got.clone()),
                            &got,
                            "{m}x{n} {isa:?} {threads:?}"
                        );
                    }
                }
            }
        }
    }
}

/// A sparse matrix of about a third of the elements, in no order of columns. One element is stored twice; one row and
/// one column are empty.
fn sparse(data: &Data) -> (Vec<f64>, Vec<i32>, Vec<i32>, Vec<f64>) {
    let Data { n, x, y, .. } = data;
    let (m, n) = (y.len(), *n);
    let mut random = Random::new(n as u64);
    let mut dense = vec![0.0; m * n];
    let (mut values, mut indices, mut indptr) = (Vec::new(), Vec::new(), vec![0]);
    for i in 0..m {
        for step in 0..n {
            let j = (n - 1 - step + i) % n;
            if i % 7 != 5 && (j != 1 || n < 3) && random.uniform() < 0.35 {
                let times = if random.uniform() < 0.1 { 2 } else { 1 };
                for _ in 0..times {
                    dense[i * n + j] += x[i * n + j];
                    values.push(x[i * n + j]);
                    indices.push(j as i32);
                }
            }
        }
        indptr.push(values.len() as i32);
    }
    (values, indices, indptr, dense)
}

#[test]
fn sparse_is_dense_within_rounding() {
    for (m, n) in SIZES.into_iter().chain([(3, 5000), (700, 3000)]) {
        let data = data(m, n);
        let (values, indices, indptr, dense) = sparse(&data);
        let (indices, indptr) = (Indices::I32(&indices), Indices::I32(&indptr));
        let x = Sparse::new(Elements::F64(&values), indices, indptr, (m, n)).unwrap();
        let dense = Matrix::from_rows(Elements::F64(&dense), m, n).unwrap();
        let y = Vector::from_slice(&data.y);
        let both = [Features::from(&x), Features::from(&dense)].map(|x| {
            let threads = Threads::ONE;
            loss_gradient(
                &Dataset::new(x, &y, None).unwrap(),
                &one(&data.w, &0.25),
                &mut Job::new(threads, &mut Unmonitored).unwrap(),
            )
            .unwrap()
        });
        let [got, want] = both;
        // For features |x| ≤ 4 and scores |z| ≤ 6, each of the m rows adds a term whose error is a few (n + 2)·eps,
        // with n columns, in both computations. They add the m terms in different orders.
        let bound = (m + 16 * (n + 2)) as f64 * f64::EPSILON;
        assert!(
            (got.loss - want.loss).abs() <= bound * 8.0,
            "{m}x{n}: {got:?}"
        );
        assert!((got.gradient.biases[0] - want.gradient.biases[0]).abs() <= bound);
        for (got, want) in got.gradient.weights.iter().zip(&want.gradient.weights) {
            assert!((got - want).abs() <= 4.0 * bound, "{m}x{n}: {got} {want}");
        }
    }
}

#[test]
fn sparse_has_the_same_bits_on_every_instruction_set_thread_count_and_index_type() {
    for (m, n) in [
        (1, 1),
        (9, 9),
        (257, 16),
        (2000, 31),
        (40_000, 3),
        (3000, 400),
    ] {
        let data = data(m, n);
        let (values, indices, indptr, _) = sparse(&data);
        let single: Vec<f32> = values.iter().map(|&x| x as f32).collect();
        let exact: Vec<f64> = single.iter().map(|&x| f64::from(x)).collect();
        let wide = |narrow: &[i32]| narrow.iter().map(|&i| i64::from(i)).collect::<Vec<_>>();
        let (indices64, indptr64) = (wide(&indices), wide(&indptr));
        let types = [
            (
                Elements::F64(&exact),
                Indices::I32(&indices),
                Indices::I32(&indptr),
            ),
            (
                Elements::F32(&single),
                Indices::I64(&indices64),
                Indices::I64(&indptr64),
            ),
            (
                Elements::F64(&exact),
                Indices::I32(&indices),
                Indices::I64(&indptr64),
            ),
        ];
        let y = Vector::from_slice(&data.y);
        for weighted in [false, true] {
            let mut want = None;
            for (elements, indices, indptr) in types {
                let x = Sparse::new(elements, indices, indptr, (m, n)).unwrap();
                for isa in Isa::available() {
                    for threads in [1, 2, 3, 8] {
                        let dataset = Dataset::new(&x, &y, weighted.then_some(&y)).unwrap();
                        let Ok(sums) = evaluate(
                            &dataset,
                            &one(&data.w, &-0.5),
                            Want::LossAndGradient,
                            &mut Job::on(
                                isa.level().unwrap(),
                                Threads::new(Some(threads)).unwrap(),
                                &mut Unmonitored,
                            ),
                        ) else {
                            assert!(weighted && data.y.iter().all(|&y| y == 0.0));
                            continue;
                        };
                        let got = bits(&sums);
                        let want = want.get_or_insert_with(|| got.clone());
                        assert_eq!(want, &got, "{m}x{n} {isa:?} {threads:?} {indices:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_no_sparse_matrix_is_refused() {
    let values = [1.0, 2.0, 3.0];
    let new = |indices: &[i32], indptr: &[i32], shape| {
        let (indices, indptr) = (Indices::I32(indices), Indices::I32(indptr));
        let x = Sparse::new(Elements::F64(&values), indices, indptr, shape)?;
        let y = vec![1.0; shape.0];
        let w = vec![0.0; shape.1];
        let all = (&Vector::from_slice(&y), None::<&Vector<'_>>);
        loss(
            &Dataset::new(&x, all.0, all.1)?,
            &one(&w, &0.0),
            &mut Job::new(Threads::ONE, &mut Unmonitored)?,
        )?;
        let mut out = y.clone();
        predict_proba(
            &x,
            &one(&w, &0.0),
            &mut out,
            &mut Job::new(Threads::ONE, &mut Unmonitored)?,
        )
    };
    assert_eq!(new(&[0, 1, 1], &[0, 2, 3], (2, 2)), Ok(()));
    for (indices, indptr, shape, message) in [
        (
            [0, 2, 1],
            &[0, 2, 3][..],
            (2, 2),
            "X.indices must be columns from 0 to 1, got 2 at position 1 (row 0)",
        ),
        (
            [0, 1, -1],
            &[0, 2, 3],
            (2, 2),
            "X.indices must be columns from 0 to 1, got -1 at position 2 (row 1)",
        ),
        (
            [0, 1, 1],
            &[1, 2, 3],
            (2, 2),
            "X.indptr must start at 0, got 1 at position 0",
        ),
        (
            [0, 1, 1],
            &[0, 2, 1, 3],
            (3, 2),
            "X.indptr must not decrease, got 1 at position 2",
        ),
        (
            [0, 1, 1],
            &[0, 2, 4],
            (2, 2),
            "X.indptr must end within X.indices and X.data, got 4 at position 2",
        ),
        (
            [0, 1, 1],
            &[0, 3],
            (2, 2),
            "X.indptr must have length 3 (one more than the rows of X), got length 2",
        ),
        (
            [0, 1, 1],
            &[0],
            (0, 2),
            "X must have at least one row and one column, got shape (0, 2)",
        ),
    ] {
        assert_eq!(
            new(&indices, indptr, shape).unwrap_err().to_string(),
            message
        );
    }
}

#[test]
fn a_range_of_rows_is_the_same_as_a_list_of_them_and_as_a_matrix_of_its_own() {
    for (m, n) in [(9, 1), (19, 3), (300, 7), (600, 16), (600, 33), (5000, 5)] {
        let Data { n, x, y, w } = data(m, n);
        let mut fortran = vec![0.0; m * n];
        for (i, row) in x.chunks(n).enumerate() {
            for (j, &value) in row.iter().enumerate() {
                fortran[j * m + i] = value;
            }
        }
        let labels = Vector::from_slice(&y);
        let weights: Vec<f64> = (0..m).map(|i| (i % 3 + 1) as f64).collect();
        let sample_weight = Vector::from_slice(&weights);
        for (elements, strides) in [(&x, (n as isize, 1)), (&fortran, (1, m as isize))] {
            let whole = Matrix::new(Elements::F64(elements), 0, (m, n), strides).unwrap();
            for (first, count) in [(0, m), (0, 1), (1, m - 1), (m / 3, m / 2), (m - 1, 1)] {
                let offset = first * strides.0 as usize;
                let own = Elements::F64(elements);
                let own = Matrix::new(own, offset, (count, n), strides).unwrap();
                let own_labels = Vector::from_slice(&y[first..first + count]);
                let own_weight = Vector::from_slice(&weights[first..first + count]);
                let listed: Vec<usize> = (first..first + count).collect();

                let dataset = Dataset::new(&whole, &labels, Some(&sample_weight)).unwrap();
                let part = |rows| Dataset { rows, ..dataset };
                let [got, gathered, alone] = [
                    part(RowSet::All.part(first..first + count)),
                    part(RowSet::Listed(&listed)),
                    Dataset::new(&own, &own_labels, Some(&own_weight)).unwrap(),
                ]
                .map(|dataset| {
                    let sums = evaluate(
                        &dataset,
                        &one(&w, &0.5),
                        Want::LossAndGradient,
                        &mut Job::new(Threads::ONE, &mut Unmonitored).unwrap(),
                    )
                    .unwrap();
                    let (mut z, mut y_hat) = (vec![0.0; count], vec![0.0; count]);
                    predict_rows(&dataset, &one(&w, &0.5), &mut z, &mut y_hat).unwrap();
                    (bits(&sums), z, y_hat)
                });
                assert_eq!(got, gathered, "{m}x{n}, {count} rows from {first}");
                assert_eq!(got, alone, "{m}x{n}, {count} rows from {first}");
            }
        }
    }
}

#[test]
fn parts_of_parts() {
    let listed: Vec<usize> = (0..20).rev().collect();
    for (rows, want) in [(RowSet::All, [7, 8]), (RowSet::Listed(&listed), [12, 11])] {
        let part = rows.part(5..15).part(2..4);
        assert_eq!(part.count(20), 2);
        assert_eq!([part.at(0), part.at(1)], want);
    }
    assert_eq!(RowSet::All.count(20), 20);
}

#[test]
fn float32_sums_stay_as_good_as_the_data() {
    let (m, n) = (100_000, 20);
    let Data { x, y, w, .. } = data(m, n);
    let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let exact: Vec<f64> = narrow.iter().map(|&x| f64::from(x)).collect();
    let w32: Vec<f32> = w.iter().map(|&w| w as f32).collect();
    let w64: Vec<f64> = w32.iter().map(|&w| f64::from(w)).collect();
    let matrix = Matrix::from_rows(Elements::F32(&narrow), m, n).unwrap();
    let got = loss_gradient(
        &Dataset::new(&matrix, &Vector::from_slice(&y), None).unwrap(),
        &one(&w32, &0.25),
        &mut Job::new(Threads::ONE, &mut Unmonitored).unwrap(),
    )
    .unwrap();
    let (loss, weights, _) = oracle(&exact, n, &y, &w64, 0.25);
    // The error of a row's score is random and at most (n + 2)·eps·Σ_j |x_j w_j| ≈ 4e-6; sums over 256 rows in
    // `f32` add less.
    assert!((got.loss - loss).abs() < 1e-6);
    for (got, want) in got.gradient.weights.iter().zip(&weights) {
        assert!((f64::from(*got) - want).abs() < 1e-6);
    }
}

#[test]
fn certain_predictions_lose_nothing() {
    let x = [800.0, -745.0, 40.0, f64::INFINITY];
    for (x, y, want) in [
        (x[0], 1.0, 0.0),
        (x[0], 0.0, 800.0),
        (x[1], 0.0, 5e-324),
        (x[2], 1.0, (-40f64).exp()),
        (x[3], 1.0, 0.0),
        (x[3], 0.0, f64::INFINITY),
    ] {
        let matrix = [x];
        let matrix = Matrix::from_rows(Elements::F64(&matrix), 1, 1).unwrap();
        let got = loss(
            &Dataset::new(&matrix, &Vector::from_slice(&[y]), None).unwrap(),
            &one(&[1.0], &0.0),
            &mut Job::new(Threads::ONE, &mut Unmonitored).unwrap(),
        )
        .unwrap();
        assert!(
            got == want || (got - want).abs() <= 4.0 * f64::EPSILON * want,
            "z = {x}, y = {y}: {got}"
        );
    }
}

#[test]
fn refusals_name_the_argument() {
    let x = [1.0, 2.0];
    let matrix = Matrix::from_rows(Elements::F64(&x), 2, 1).unwrap();
    let call = |y: &[f64], s: &[f64], w: &[f64]| {
        let (y, s) = (Vector::from_slice(y), Vector::from_slice(s));
        Dataset::new(&matrix, &y, Some(&s))
            .and_then(|dataset| {
                loss(
                    &dataset,
                    &one(w, &0.0),
                    &mut Job::new(Threads::ONE, &mut Unmonitored)?,
                )
            })
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        call(&[1.0], &[1.0, 1.0], &[0.0]),
        "y must have length 2 (one label per row of X), got length 1"
    );
    assert_eq!(
        call(&[1.0, -1.0], &[1.0, 1.0], &[0.0]),
        "y must be labels in [0, 1], got -1 at row 1"
    );
    assert_eq!(
        call(&[1.0, 0.0], &[1.0, f64::NAN], &[0.0]),
        "sample_weight must be finite and not negative, got nan at row 1"
    );
    assert_eq!(
        call(&[1.0, 0.0], &[0.0, 0.0], &[0.0]),
        "sample_weight must have a positive sum, got only zeros"
    );
    assert!(call(&[1.0, 0.0], &[1.0, 1.0], &[0.0, 0.0]).starts_with("weights must have length 1"));
    assert!(Matrix::new(Elements::F64(&x), 0, (2, 1), (2, 1)).is_err());
}
