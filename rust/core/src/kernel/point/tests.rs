//! Point-by-point descent: compared with the textbook loop, and its variants with one another, bit for bit.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::elements::Elements;
use crate::loss::Activation;
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

/// Weights and bias after one update for each point.
fn descended<F: Float>(
    isa: Isa,
    activation: Activation,
    points: &Dataset<'_, Matrix<'_>>,
    start: &[F],
    shrinkage: f64,
    record: Option<Recorder<'_, F>>,
) -> (Vec<F>, F) {
    let (mut weights, mut bias) = (start.to_vec(), F::HALF);
    let mut descent = PointDescent::new(&mut weights, &mut bias, RATE, shrinkage);
    descent.visit(isa.level().unwrap(), activation, points, record);
    descent.finish();
    (weights, bias)
}

fn bits<F: Float>((weights, bias): &(Vec<F>, F)) -> Vec<u64> {
    let all = weights.iter().chain([bias]);
    all.map(|x| x.to_f64().to_bits()).collect()
}

/// The same numbers in C order, in Fortran order, and backwards with gaps, the rows in `order`.
fn same_bits<F: Float>(wrap: impl for<'a> Fn(&'a [F]) -> Elements<'a>) {
    for n in (1..=40).chain([63, 64, 65, 129]) {
        let m = 300; // more than a tile
        let Data { x, y, w, .. } = data::<F>(m, n);
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
                        let plain =
                            descended::<F>(isa, Activation::Sigmoid, &points, &w, shrinkage, None);
                        let plain = bits(&plain);
                        assert_eq!(*want.get_or_insert(plain.clone()), plain, "{isa:?} {n}");
                        let mut seen = Vec::new();
                        let mut record = |update: PointUpdate<'_, F>| {
                            seen.push((update.row, update.weights.to_vec(), update.bias));
                        };
                        let record = Some(&mut record as Recorder<'_, F>);
                        let traced = descended::<F>(
                            isa,
                            Activation::Sigmoid,
                            &points,
                            &w,
                            shrinkage,
                            record,
                        );
                        assert_eq!(plain, bits(&traced), "traced, {isa:?} {n}");
                        assert!((0..m).all(|k| seen[k].0 == rows.at(k)));
                        let (_, weights, bias) = seen.pop().unwrap();
                        assert_eq!(plain, bits(&(weights, bias)), "last record, {isa:?} {n}");
                    }
                }
            }
        }
    }
}

#[test]
fn same_bits_from_every_layout_on_every_instruction_set_traced_or_not() {
    same_bits::<f64>(|x| Elements::F64(x));
    same_bits::<f32>(|x| Elements::F32(x));
}

/// One textbook update after another, in `f64`.
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
        // αλ, from one that f32 cannot tell from 0 to one that shrinks the weights to nothing in a few updates. With
        // αλ = 1 they become 0 in every update; beyond 1 they change sign.
        for shrinkage in [0.0, 1e-9, 1e-3, 0.3, 0.999, 1.0, 1.5] {
            let m = 300;
            let data = data::<f64>(m, n);
            let matrix = Matrix::from_rows(Elements::F64(&data.x), m, n).unwrap();
            let labels = Vector::from_slice(&data.y);
            let points = Dataset::new(&matrix, &labels, None).unwrap().with(matrix);
            let isa = Isa::available().last().unwrap();
            let got = descended::<f64>(isa, Activation::Sigmoid, &points, &data.w, shrinkage, None);
            let want = oracle(&data, shrinkage, false);
            // The error of one update is a few ULP of |w| + |αx| < 1, plus α|x| times the error of its score, which is
            // at most (n + 4)·eps·|x|·|w|. Errors do not grow from update to update, as α·(‖x‖² + 1)/4 < 2 for n ≤ 40.
            let bound = m as f64 * (8.0 + RATE * 2.0 * 4.0 * (n + 4) as f64) * f64::EPSILON;
            for (got, want) in got.0.iter().zip(&want.0).chain([(&got.1, &want.1)]) {
                assert!((got - want).abs() <= bound, "{n} {shrinkage}: {got} {want}");
            }
            let got = descended::<f64>(isa, Activation::Step, &points, &data.w, shrinkage, None);
            let want = oracle(&data, shrinkage, true);
            for (got, want) in got.0.iter().zip(&want.0).chain([(&got.1, &want.1)]) {
                assert!((got - want).abs() <= bound, "{n} {shrinkage}: {got} {want}");
            }
        }
    }
}

/// A penalty below the precision of `f32`, over so many updates that it shows.
#[test]
fn a_small_penalty_adds_up() {
    let (m, shrinkage) = (1 << 20, 2e-8);
    let matrix = Matrix::new(Elements::F32(&[0.0]), 0, (m, 3), (0, 0)).unwrap();
    let labels = Vector::new("y", Elements::F32(&[0.5]), 0, m, 0).unwrap();
    let points = Dataset::new(&matrix, &labels, None).unwrap().with(matrix);
    let isa = Isa::available().last().unwrap();
    let (weights, _) = descended::<f32>(
        isa,
        Activation::Sigmoid,
        &points,
        &[1.0; 3],
        shrinkage,
        None,
    );
    let want = (m as f64 * f64::ln_1p(-shrinkage)).exp();
    assert!(want < 0.98);
    for w in weights {
        assert!(
            (f64::from(w) - want).abs() <= f64::from(f32::EPSILON),
            "{w} {want}"
        );
    }
}
