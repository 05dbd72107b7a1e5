//! Tests of point-by-point descent: against the textbook loop, and of its variants against one another, bit for bit.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::elements::Elements;
use crate::kernel::dataset::StripeLabels;
use crate::kernel::softmax::{RowSoftmax, stripe};
use crate::matrix::Matrix;
use crate::shuffle::Random;
use crate::simd::Isa;
use crate::vector::Vector;

struct Data<F> {
    n: usize,
    x: Vec<F>,
    y: Vec<f64>,
    w: Vec<F>,
}

fn data<F: Float>(m: usize, n: usize) -> Data<F> {
    let mut random = Random::new((m * 1000 + n) as u64);
    let mut uniform = |count: usize, size: f64| -> Vec<F> {
        (0..count)
            .map(|_| F::from_f64(size * (2.0 * random.uniform() - 1.0)))
            .collect()
    };
    let (x, w) = (uniform(m * n, 2.0), uniform(n, 1.0 / (n as f64).sqrt()));
    let y = (0..m)
        .map(|_| [0.0, 1.0, 0.25][(random.uniform() * 3.0) as usize])
        .collect();
    Data { n, x, y, w }
}

const RATE: f64 = 0.0625;

/// The weights and biases after one update for each point.
fn descended<F: Float>(
    isa: Isa,
    loss: Loss,
    points: &Dataset<'_, Matrix<'_>>,
    start: &[F],
    shrinkage: f64,
    record: Option<Recorder<'_, F>>,
) -> (Vec<F>, Vec<F>) {
    let scores = start.len() / points.x.columns();
    let (mut weights, mut biases) = (start.to_vec(), vec![F::HALF; scores]);
    let mut descent = PointDescent::new(&mut weights, &mut biases, RATE, shrinkage);
    descent.visit(isa.level().unwrap(), loss, points, record);
    descent.finish();
    (weights, biases)
}

const SIGMOID: Loss = Loss::OneScore(Activation::Sigmoid);

fn bits<F: Float>((weights, biases): &(Vec<F>, Vec<F>)) -> Vec<u64> {
    let all = weights.iter().chain(biases);
    all.map(|x| x.to_f64().to_bits()).collect()
}

/// Tests that the same numbers give the same bits in C order, in Fortran order, and backwards with gaps. The rows are
/// visited from first to last, and in `order`.
fn same_bits<F: Float>(
    wrap: impl for<'a> Fn(&'a [F]) -> Elements<'a>,
    classes: usize,
    columns: impl Iterator<Item = usize>,
) {
    for n in columns {
        let m = 300; // more than a tile
        let Data { x, mut y, w, .. } = data::<F>(m, n);
        let (loss, w) = match classes {
            1 => (SIGMOID, w),
            _ => {
                y = (0..m).map(|i| (i * i % classes) as f64).collect();
                let w = w.iter().cycle().take(classes * n).enumerate();
                let vary = |(i, &w): (usize, &F)| w * F::from_f64((i % 7) as f64);
                (Loss::Softmax, w.map(vary).collect())
            }
        };
        let mut fortran = vec![F::ZERO; m * n];
        let mut gaps = vec![F::NAN; 2 * m * n];
        for i in 0..m {
            for j in 0..n {
                fortran[j * m + i] = x[i * n + j];
                gaps[((m - 1 - i) * n + n - 1 - j) * 2 + 1] = x[i * n + j];
            }
        }
        let backwards = (-2 * n as isize, -2);
        let layouts = [
            Matrix::from_rows(wrap(&x), m, n).unwrap(),
            Matrix::new(wrap(&fortran), 0, (m, n), (1, m as isize)).unwrap(),
            Matrix::new(wrap(&gaps), 2 * m * n - 1, (m, n), backwards).unwrap(),
        ];
        let labels = Vector::from_slice(&y);
        let mut order: Vec<usize> = (0..m).rev().collect();
        order.swap(3, 200);
        for rows in [RowSet::All, RowSet::Listed(&order)] {
            for shrinkage in [0.0, 1e-3, 0.5] {
                let mut want = None;
                for matrix in &layouts {
                    let points = Dataset {
                        rows,
                        ..Dataset::new(matrix, &labels, None).unwrap().with(*matrix)
                    };
                    for isa in Isa::available() {
                        let plain = bits(&descended(isa, loss, &points, &w, shrinkage, None));
                        assert_eq!(*want.get_or_insert(plain.clone()), plain, "{isa:?} {n}");
                        let mut seen = Vec::new();
                        let mut record = |update: PointUpdate<'_, F>| {
                            seen.push((
                                update.row,
                                update.weights.to_vec(),
                                update.biases.to_vec(),
                            ));
                        };
                        let record = Some(&mut record as Recorder<'_, F>);
                        let traced = descended(isa, loss, &points, &w, shrinkage, record);
                        assert_eq!(plain, bits(&traced), "traced, {isa:?} {n}");
                        assert!((0..m).all(|k| seen[k].0 == rows.at(k)));
                        let (_, weights, biases) = seen.pop().unwrap();
                        assert_eq!(plain, bits(&(weights, biases)), "last record, {isa:?} {n}");
                    }
                }
            }
        }
    }
}

#[test]
fn same_bits_from_every_layout_on_every_instruction_set_traced_or_not() {
    let columns = || (1..=40).chain([63, 64, 65, 129]);
    same_bits::<f64>(|x| Elements::F64(x), 1, columns());
    same_bits::<f32>(|x| Elements::F32(x), 1, columns());
}

#[test]
fn same_bits_of_classes() {
    for classes in [2, 3, 8, 17] {
        let columns = || [1, 2, 7, 8, 9, 16, 17, 33, 70].into_iter();
        same_bits::<f64>(|x| Elements::F64(x), classes, columns());
        same_bits::<f32>(|x| Elements::F32(x), classes, columns());
    }
}

/// The softmax, residuals and error of a row have the same bits as if the row were computed as part of a stripe, for
/// any number of classes.
fn as_in_a_stripe<F: Float>() {
    let mut random = Random::new(3);
    let far = [
        F::INFINITY,
        -F::INFINITY,
        F::NAN,
        F::from_f64(900.0),
        F::ZERO,
    ];
    for classes in (1..=40).chain([63, 64, 65]) {
        for round in 0..30 {
            let mut z: Vec<F> = (0..classes)
                .map(|_| F::from_f64(8.0 * random.uniform() - 4.0))
                .collect();
            let some = (random.uniform() * classes as f64) as usize;
            match round {
                0..20 => {}
                20..25 => z[some] = far[round - 20],
                _ => z.fill(far[round - 25]),
            }
            let label = F::from_f64(((random.uniform() * classes as f64) as usize) as f64);
            for isa in Isa::available() {
                dispatch!(isa.level().unwrap(), simd => {
                    let mut softmax = RowSoftmax::new(classes);
                    softmax.set(simd, &z);
                    let (mut p, mut r) = (z.clone(), z.clone());
                    softmax.probabilities(&mut p);
                    softmax.scaled_residuals(label, F::ONE, &mut r);
                    let error = softmax.error(simd, &z, label).to_f64();

                    let mut rows = vec![F::ZERO; classes * STRIPE];
                    let mut y = [F::ZERO; STRIPE];
                    y[0] = label;
                    for (row, &z) in rows.chunks_exact_mut(STRIPE).zip(&z) {
                        row[0] = z;
                    }
                    stripe::pad(&mut rows, 1);
                    let mut want = rows.clone();
                    stripe::probabilities(simd, &mut want, classes, 1);
                    let labels = StripeLabels { count: 1, y: &y, sample_weight: None, offset: None };
                    let mut sums = stripe::StripeSums::<F, _>::new(simd);
                    sums.residuals(simd, &mut rows, classes, &labels);
                    let is_nan = |x: F| x.to_f64().is_nan();
                    let same = |got: F, want: F| got == want || is_nan(got) && is_nan(want);
                    for k in 0..classes {
                        assert!(same(p[k], want[k * STRIPE]), "p, {classes} {round}");
                        assert!(same(r[k], rows[k * STRIPE]), "r, {classes} {round}");
                    }
                    let (want, _) = sums.finish();
                    assert!(error == want || error.is_nan() && want.is_nan(), "{classes} {round}");
                });
            }
        }
    }
}

#[test]
fn the_softmax_of_a_row_is_that_of_a_stripe() {
    as_in_a_stripe::<f64>();
    as_in_a_stripe::<f32>();
}

/// The textbook updates, one after the other, in `f64`.
fn oracle<F: Float>(data: &Data<F>, shrinkage: f64, step: bool) -> (Vec<f64>, f64) {
    let mut w: Vec<f64> = data.w.iter().map(|w| w.to_f64()).collect();
    let mut b = 0.5;
    for (row, y) in data.x.chunks(data.n).zip(&data.y) {
        let z = row.iter().zip(&w).map(|(x, w)| x.to_f64() * w).sum::<f64>() + b;
        let p = if step {
            f64::from(z >= 0.0)
        } else {
            1.0 / (1.0 + (-z).exp())
        };
        for (w, x) in w.iter_mut().zip(row) {
            *w = *w * (1.0 - shrinkage) - RATE * (p - y) * x.to_f64();
        }
        b -= RATE * (p - y);
    }
    (w, b)
}

#[test]
fn matches_the_textbook() {
    for n in 1..=40 {
        // Values of α·l2, from 1e-9, which `f32` loses in 1 − α·l2, to values that shrink the weights to nothing in a
        // few updates. With α·l2 = 1, the weights become 0 in every update; beyond 1, they change sign.
        for shrinkage in [0.0, 1e-9, 1e-3, 0.3, 0.999, 1.0, 1.5] {
            let m = 300;
            let data = data::<f64>(m, n);
            let matrix = Matrix::from_rows(Elements::F64(&data.x), m, n).unwrap();
            let labels = Vector::from_slice(&data.y);
            let points = Dataset::new(&matrix, &labels, None).unwrap().with(matrix);
            let isa = Isa::available().last().unwrap();
            let got = descended::<f64>(isa, SIGMOID, &points, &data.w, shrinkage, None);
            let want = oracle(&data, shrinkage, false);
            // The error of one update is a few ULP of |w| + |αx| < 1, plus α|x| times the error of its score, which is
            // at most (n + 4)·eps·|x|·|w|. Errors do not grow from update to update, because α·(‖x‖² + 1)/4 < 2 for n ≤
            // 40.
            let bound = m as f64 * (8.0 + RATE * 2.0 * 4.0 * (n + 4) as f64) * f64::EPSILON;
            for (got, want) in got.0.iter().zip(&want.0).chain([(&got.1[0], &want.1)]) {
                assert!((got - want).abs() <= bound, "{n} {shrinkage}: {got} {want}");
            }
            let step = Loss::OneScore(Activation::Step);
            let got = descended::<f64>(isa, step, &points, &data.w, shrinkage, None);
            let want = oracle(&data, shrinkage, true);
            for (got, want) in got.0.iter().zip(&want.0).chain([(&got.1[0], &want.1)]) {
                assert!((got - want).abs() <= bound, "{n} {shrinkage}: {got} {want}");
            }
        }
    }
}

/// A penalty whose effect on one update is lost in `f32` still has its effect over many updates.
#[test]
fn a_small_penalty_adds_up() {
    let (m, shrinkage) = (1 << 20, 2e-8);
    let matrix = Matrix::new(Elements::F32(&[0.0]), 0, (m, 3), (0, 0)).unwrap();
    let labels = Vector::new("y", Elements::F32(&[0.5]), 0, m, 0).unwrap();
    let points = Dataset::new(&matrix, &labels, None).unwrap().with(matrix);
    let isa = Isa::available().last().unwrap();
    let (weights, _) = descended::<f32>(isa, SIGMOID, &points, &[1.0; 3], shrinkage, None);
    let want = (m as f64 * f64::ln_1p(-shrinkage)).exp();
    assert!(want < 0.98);
    for w in weights {
        assert!(
            (f64::from(w) - want).abs() <= f64::from(f32::EPSILON),
            "{w} {want}"
        );
    }
}
