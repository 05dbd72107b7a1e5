//! A sparse matrix of any three arrays: refused exactly where SciPy's rules, read plainly, refuse it; else every kernel gives
//! what it gives for the dense matrix of the same elements.
#![no_main]

use arbitrary::Arbitrary;
use gradstep_core::{
    Activation, Dataset, Elements, Error, Features, Indices, Job, Matrix, Options, Parameters,
    Penalty, Reduction, Sparse, Start, Threads, Transposed, Unmonitored, Vector, descend, hessian,
    loss_gradient, predict_proba,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    data: Vec<i8>,
    kind: Kind,
    indices: Positions,
    indptr: Positions,
    lines: Size,
    width: Size,
    /// By columns: CSC.
    by_columns: bool,
    threads: u8,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    F64,
    F32,
    I8,
    Bool,
}

#[derive(Arbitrary, Debug)]
enum Size {
    Small(u8),
    Any(usize),
}

#[derive(Arbitrary, Debug)]
enum Positions {
    I32(Vec<i32>),
    I64(Vec<i64>),
    /// Small ones, most of which are positions of something.
    Near(Vec<i8>),
    /// Differences of those that ascend from 0.
    Ascending(Vec<u8>),
}

enum Held {
    I32(Vec<i32>),
    I64(Vec<i64>),
}

impl Positions {
    fn held(self) -> Held {
        match self {
            Positions::I32(positions) => Held::I32(positions),
            Positions::I64(positions) => Held::I64(positions),
            Positions::Near(positions) => Held::I32(positions.into_iter().map(i32::from).collect()),
            Positions::Ascending(steps) => {
                let ascend = |sum: &mut i64, step: u8| {
                    *sum += i64::from(step % 8);
                    Some(*sum)
                };
                let after = steps.into_iter().scan(0, ascend);
                Held::I64(std::iter::once(0).chain(after).collect())
            }
        }
    }
}

impl Held {
    fn view(&self) -> Indices<'_> {
        match self {
            Held::I32(positions) => Indices::I32(positions),
            Held::I64(positions) => Indices::I64(positions),
        }
    }

    fn wide(&self) -> Vec<i64> {
        match self {
            Held::I32(positions) => positions.iter().copied().map(i64::from).collect(),
            Held::I64(positions) => positions.clone(),
        }
    }
}

impl Size {
    fn get(self) -> usize {
        match self {
            Size::Small(size) => usize::from(size % 40),
            Size::Any(size) => size,
        }
    }
}

/// What SciPy calls a compressed matrix, but for the indices' range.
fn is_compressed(indptr: &[i64], lines: usize, width: usize, indices: usize, data: usize) -> bool {
    lines > 0
        && width > 0
        && indptr.len().checked_sub(1) == Some(lines)
        && indices == data
        && indptr[0] == 0
        && indptr.windows(2).all(|pair| pair[0] <= pair[1])
        && usize::try_from(indptr[lines]).is_ok_and(|last| last <= data)
}

/// Everything that reads a matrix, one result after the other.
fn results(x: Features<'_>, threads: Threads) -> Result<Vec<f64>, Error> {
    let (m, n) = (x.rows(), x.columns());
    let weights: Vec<f64> = (0..n).map(|j| (j % 5) as f64 / 64.0 - 0.03).collect();
    let labels: Vec<f64> = (0..m).map(|i| (i % 2) as f64).collect();
    let y = Vector::from_slice(&labels);
    let mut none = Unmonitored;
    let job = &mut Job::new(threads, &mut none)?;
    let mut all = vec![0.0; m];
    let dataset = Dataset::new(x, &y, None)?;
    let at = Parameters::of_one_score(Activation::Sigmoid, &weights, &0.25);
    predict_proba(x, &at, &mut all, job)?;
    let binary = loss_gradient(&dataset, &at, job)?;
    all.push(binary.loss);
    all.extend(&binary.gradient.weights);
    all.extend(&binary.gradient.biases);
    let of_classes: Vec<f64> = (0..3 * n).map(|j| (j % 7) as f64 / 64.0 - 0.05).collect();
    let biases = [0.0, 0.5, -0.25];
    let classes = loss_gradient(&dataset, &Parameters::of_classes(&of_classes, &biases), job)?;
    all.push(classes.loss);
    all.extend(classes.gradient.weights);
    all.extend(hessian(&x, None, &[], &weights, 0.25, job)?);
    for batch in [1, 3] {
        let options = Options {
            learning_rate: 0.001,
            epochs: 2,
            batch_size: Some(batch),
            shuffle: None,
            reduction: Reduction::Mean,
            activation: Activation::Sigmoid,
            penalty: Penalty::new(0.01)?,
            fit_bias: true,
            tol: 0.0,
            threads,
            trace: false,
        };
        let start = Start {
            weights: Some(weights.clone()),
            rows: None,
            biases: Some(vec![0.25]),
        };
        let codes: Vec<f64> = (0..m).map(|i| (i % 3) as f64).collect();
        let codes = Vector::from_slice(&codes);
        let of_classes = Dataset::new(x, &codes, None)?;
        for (dataset, start) in [(&dataset, start), (&of_classes, Start::default())] {
            let descent = descend::<f64>(dataset, &start, &options, &mut Unmonitored)?;
            all.extend(descent.weights);
            all.extend(descent.biases);
        }
    }
    Ok(all)
}

fuzz_target!(|input: Input| {
    let (indices, indptr) = (input.indices.held(), input.indptr.held());
    let (lines, width) = (input.lines.get(), input.width.get());
    let doubles: Vec<f64> = input.data.iter().copied().map(f64::from).collect();
    let singles: Vec<f32> = input.data.iter().copied().map(f32::from).collect();
    let bytes: Vec<u8> = input.data.iter().map(|&x| x as u8).collect();
    let data = match input.kind {
        Kind::F64 => Elements::F64(&doubles),
        Kind::F32 => Elements::F32(&singles),
        Kind::I8 => Elements::I8(&input.data),
        Kind::Bool => Elements::Bool(&bytes),
    };
    let value = |at: usize| match input.kind {
        Kind::Bool => f64::from(u8::from(bytes[at] != 0)),
        _ => doubles[at],
    };
    let Ok(threads) = Threads::new(Some(usize::from(input.threads % 3) + 1)) else {
        return;
    };

    let (columns_of, starts) = (indices.wide(), indptr.wide());
    let compressed = is_compressed(&starts, lines, width, columns_of.len(), doubles.len());
    let stored = if compressed {
        starts[lines] as usize
    } else {
        0
    };
    let within = |&i: &i64| usize::try_from(i).is_ok_and(|i| i < width);
    let valid = compressed && columns_of[..stored].iter().all(within);

    let (got, shape) = if input.by_columns {
        // The shape alone may ask for more memory than there is; that is MemoryError's business.
        if width > 1 << 16 {
            return;
        }
        let shape = (width, lines);
        let x = Transposed::<f64>::new(
            data,
            indices.view(),
            indptr.view(),
            shape,
            &mut Job::new(threads, &mut Unmonitored).unwrap(),
        );
        assert_eq!(x.is_ok(), valid, "{x:?}");
        let Ok(x) = x else { return };
        if lines > 1 << 8 {
            return; // a Hessian of that many columns
        }
        let x = x.view().map(Features::Sparse);
        (x.and_then(|x| results(x, threads)), shape)
    } else {
        let shape = (lines, width);
        let x = Sparse::new(data, indices.view(), indptr.view(), shape);
        assert_eq!(x.is_ok(), compressed, "{x:?}");
        let Ok(x) = x else { return };
        if width > 1 << 8 {
            return; // a Hessian of that many columns
        }
        (results(Features::Sparse(x), threads), shape)
    };
    assert_eq!(got.is_ok(), valid, "{got:?}");
    let Ok(got) = got else { return };

    let (m, n) = shape;
    if m > 1 << 8 || n > 1 << 8 {
        return;
    }
    let mut dense = vec![0.0; m * n];
    for line in 0..lines {
        for at in starts[line] as usize..starts[line + 1] as usize {
            let other = columns_of[at] as usize;
            let (i, j) = if input.by_columns {
                (other, line)
            } else {
                (line, other)
            };
            dense[i * n + j] += value(at);
        }
    }
    let want = Matrix::from_rows(Elements::F64(&dense), m, n)
        .and_then(|x| results(Features::Dense(x), threads));
    let Ok(want) = want else {
        panic!("dense: {want:?}")
    };
    assert_eq!(got.len(), want.len());
    let largest = dense
        .iter()
        .fold(1.0_f64, |largest, x| x.abs().max(largest));
    // Elements are whole numbers and at most `largest`: z of a thousand terms, and what follows from it, errs by less.
    let bound = 1e-9 * largest * largest;
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        assert!((got - want).abs() <= bound, "result {i}: {got} {want}");
    }
});
