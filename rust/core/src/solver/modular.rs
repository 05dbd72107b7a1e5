//! The exact rank of floating-point vectors, by Gaussian elimination over the integers modulo the prime 2⁶¹ − 1.
//!
//! A floating-point number is an integer times a power of two, so it has an exact counterpart among the integers modulo
//! the prime, which form a field. Vectors that are linearly dependent are also dependent modulo the prime. Vectors that
//! are independent appear dependent only with a probability of about 2⁻⁶¹.

use crate::shuffle::Random;

const PRIME: u64 = (1 << 61) - 1;

/// x modulo the prime.
fn reduce(x: u128) -> u64 {
    let folded = (x & u128::from(PRIME)) as u64 + (x >> 61) as u64;
    let folded = (folded & PRIME) + (folded >> 61);
    if folded == PRIME { 0 } else { folded }
}

fn product(a: u64, b: u64) -> u64 {
    reduce(u128::from(a) * u128::from(b))
}

fn difference(a: u64, b: u64) -> u64 {
    if a >= b { a - b } else { a + PRIME - b }
}

fn inverse(a: u64) -> u64 {
    // The inverse of a modulo the prime p is a^(p − 2), by Fermat's little theorem.
    let (mut result, mut power, mut exponent) = (1, a, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = product(result, power);
        }
        power = product(power, power);
        exponent >>= 1;
    }
    result
}

/// The counterpart of a finite number among the integers modulo the prime.
pub(crate) fn residue(x: f64) -> u64 {
    let bits = x.to_bits();
    let field = ((bits >> 52) & 0x7FF) as i64;
    let fraction = bits & ((1 << 52) - 1);
    let (significand, exponent) = match field {
        0 => (fraction, -1074),
        _ => (fraction | 1 << 52, field - 1075),
    };
    // 2⁶¹ is 1 modulo the prime, so only the exponent modulo 61 matters.
    let value = reduce(u128::from(significand) << exponent.rem_euclid(61));
    if x < 0.0 { difference(0, value) } else { value }
}

/// Linearly independent rows of integers modulo the prime, in reduced echelon form.
pub(crate) struct Echelon {
    columns: usize,
    rows: Vec<Vec<u64>>,
    pivots: Vec<usize>,
    /// A random vector perpendicular to all rows. A new row that depends on the rows is perpendicular to this vector,
    /// too; an independent row almost never is. So most dependent and independent rows are told apart by one dot
    /// product.
    witness: Vec<u64>,
    random: Random,
}

impl Echelon {
    pub(crate) fn new(columns: usize) -> Self {
        let mut echelon = Echelon {
            columns,
            rows: Vec::new(),
            pivots: Vec::new(),
            witness: Vec::new(),
            random: Random::new(0x0EC8),
        };
        echelon.draw_witness();
        echelon
    }

    pub(crate) fn rank(&self) -> usize {
        self.rows.len()
    }

    /// Adds a row, unless it depends linearly on the rows before it; returns whether it was added.
    pub(crate) fn add(&mut self, row: &[u64]) -> bool {
        let pairs = row.iter().zip(&self.witness);
        if pairs.fold(0, |sum, (&a, &b)| {
            reduce(u128::from(a) * u128::from(b) + u128::from(sum))
        }) == 0
        {
            return false;
        }
        let mut row = row.to_vec();
        for (other, &pivot) in self.rows.iter().zip(&self.pivots) {
            let factor = row[pivot];
            subtract(&mut row, factor, other);
        }
        let Some(pivot) = row.iter().position(|&x| x != 0) else {
            return false;
        };
        let factor = inverse(row[pivot]);
        row.iter_mut().for_each(|x| *x = product(*x, factor));
        for other in &mut self.rows {
            let factor = other[pivot];
            subtract(other, factor, &row);
        }
        self.rows.push(row);
        self.pivots.push(pivot);
        self.draw_witness();
        true
    }

    /// Draws a random vector perpendicular to all rows.
    fn draw_witness(&mut self) {
        let mut witness: Vec<u64> = (0..self.columns)
            .map(|_| self.random.below(PRIME))
            .collect();
        for &pivot in &self.pivots {
            witness[pivot] = 0;
        }
        let at_pivots: Vec<u64> = self
            .rows
            .iter()
            .map(|row| {
                let pairs = row.iter().zip(&witness);
                let sum = pairs.fold(0, |sum, (&a, &b)| {
                    reduce(u128::from(a) * u128::from(b) + u128::from(sum))
                });
                difference(0, sum)
            })
            .collect();
        for (&pivot, value) in self.pivots.iter().zip(at_pivots) {
            witness[pivot] = value;
        }
        self.witness = witness;
    }
}

/// `row −= factor · other`
fn subtract(row: &mut [u64], factor: u64, other: &[u64]) {
    if factor != 0 {
        for (x, &y) in row.iter_mut().zip(other) {
            *x = difference(*x, product(factor, y));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_numbers_are_sums_of_residues() {
        // All of these sums and products are exact.
        for (a, b) in [
            (1.0, 2.0),
            (0.1, 0.3),
            (-1e-300, 3e-300),
            (5e-324, 1e-323),
            (-7.25, 1e9),
        ] {
            let [x, y] = [a, b].map(residue);
            assert_eq!(product(residue(2.0), x), residue(2.0 * a));
            assert_eq!(difference(y, difference(0, y)), residue(2.0 * b));
            assert_eq!(difference(difference(x, y), difference(x, y)), 0);
        }
        assert_eq!(difference(residue(3.5), residue(1.25)), residue(2.25));
        assert_eq!(residue(-0.0), 0);
        assert_eq!(product(inverse(12345), 12345), 1);
    }

    #[test]
    fn the_rank_is_that_of_the_numbers_as_they_are() {
        let (small, tiny) = (f64::powi(2.0, -1000), f64::powi(2.0, -1040));
        let row = |a: f64, b: f64, c: f64| [a, b, c].map(residue);
        let mut echelon = Echelon::new(3);
        assert!(echelon.add(&row(1e300, small, 3.0)));
        assert!(echelon.add(&row(0.0, tiny, 1.0)));
        assert!(!echelon.add(&row(1e300, small + tiny, 4.0)));
        assert!(!echelon.add(&row(0.0, 0.0, 0.0)));
        assert_eq!(echelon.rank(), 2);
        // 0.1 is rounded in binary, so that 0.1 + 0.2 is not three times 0.1, and the rows are independent.
        assert!(echelon.add(&row(1e300, small, 3.0 + 1e-15)));
        assert!(!echelon.add(&row(1.0, 2.0, 3.0)));
        let mut echelon = Echelon::new(2);
        assert!(echelon.add(&[0.1, 1.0].map(residue)));
        assert!(echelon.add(&[0.1 + 0.2, 3.0].map(residue)));
    }
}
