//! Dot products, norms and sums of vectors. Terms are added in an order that is the same on every instruction set.

/// Σ a_i b_i, by eight partial sums, to which the terms are added in turn.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// Euclidean norm of x.
pub(crate) fn norm(x: &[f64]) -> f64 {
    match x {
        [x] => x.abs(), // its square might overflow
        _ => dot(x, x).sqrt(),
    }
}

/// `y += a·x`
pub(crate) fn add_multiple(y: &mut [f64], a: f64, x: &[f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// Subtracts from each parameter its mean over the classes. The weights of every column, and the biases, then sum to
/// zero over the classes. `v` holds weights of shape (K, n), and then K biases.
pub(crate) fn centre(v: &mut [f64], classes: usize) {
    let (weights, biases) = v.split_at_mut(v.len() - classes);
    centre_values(weights, classes);
    centre_values(biases, classes);
}

/// Subtracts from each column of `values`, of shape (K, n), the mean of the column over the K classes.
pub(crate) fn centre_values(values: &mut [f64], classes: usize) {
    let n = values.len() / classes;
    for j in 0..n {
        let sum: f64 = values.iter().skip(j).step_by(n).sum();
        for x in values.iter_mut().skip(j).step_by(n) {
            *x -= sum / classes as f64;
        }
    }
}

/// Divides all components by the largest magnitude, so that the largest component becomes ±1.
pub(crate) fn normalise(direction: &mut [f64]) {
    let largest = direction.iter().fold(0.0, |most: f64, d| most.max(d.abs()));
    if largest > 0.0 {
        for d in direction {
            *d /= largest;
        }
    }
}
