//! Few rows of many columns, in memory: products of all pairs of rows, and linear combinations of the rows.

use super::{Derivatives, FewRows};
use crate::error::Error;
use crate::features::Features;
use crate::kernel::{self, Dataset, Parameters, Selected, rows_of};
use crate::linalg::dot;
use crate::loss::Activation;
use crate::reduce::Job;
use crate::vector::Vector;

/// Rows in memory: the rows of a dataset, or a copy of rows that are on disk or on other machines.
pub(super) enum RowsInMemory<'a> {
    Given(Dataset<'a>),
    Copied(Selected<'a>),
}

impl RowsInMemory<'_> {
    /// # Errors
    ///
    /// As [`Selected::dataset`].
    fn dataset(&self) -> Result<Dataset<'_>, Error> {
        match self {
            RowsInMemory::Given(dataset) => Ok(*dataset),
            RowsInMemory::Copied(copy) => copy.dataset(),
        }
    }
}

impl FewRows for RowsInMemory<'_> {
    fn products(
        &self,
        origin: &[f64],
        factors: &[f64],
        job: &mut Job<'_>,
    ) -> Result<Vec<f64>, Error> {
        let dataset = self.dataset()?;
        let x = match dataset.x {
            Features::Dense(x) => return kernel::products_of_rows(&x, origin, factors, job),
            Features::Sparse(x) => x,
        };
        let mut products = kernel::products_of_sparse_rows(&x, factors, job)?;
        if origin.iter().any(|o| *o != 0.0) {
            // (x_i − o)ᵀ F (x_k − o) = x_iᵀ F x_k − o' · x_i − o' · x_k + o' · o with o' = F o
            let scaled: Vec<f64> = origin.iter().zip(factors).map(|(o, f)| o * f).collect();
            let (square, mut along) = (dot(&scaled, origin), vec![0.0; x.rows()]);
            let at = Parameters::of_one_score(Activation::Sigmoid, &scaled, &0.0);
            kernel::scores(&dataset, &at, &mut along, job)?;
            for (i, row) in products.chunks_exact_mut(x.rows()).enumerate() {
                let places = row.iter_mut().zip(&along).take(i + 1);
                places.for_each(|(product, other)| *product += square - along[i] - other);
            }
        }
        Ok(products)
    }

    fn combination(&self, c: &[f64], job: &mut Job<'_>) -> Result<Vec<f64>, Error> {
        match self.dataset()?.x {
            Features::Dense(x) => {
                // The combination is the scores of the rows of the transposed matrix (the columns of X) under the
                // weights c.
                let columns = x.transposed();
                let mut out = vec![0.0; columns.rows()];
                let at = Parameters::of_one_score(Activation::Sigmoid, c, &0.0);
                let labels = vec![0.0; out.len()];
                let labels = Vector::from_slice(&labels);
                kernel::scores(&Dataset::new(&columns, &labels, None)?, &at, &mut out, job)?;
                Ok(out)
            }
            Features::Sparse(x) => Ok(kernel::sparse::combination(&x, c)),
        }
    }

    fn scores(&self, weights: &[f64], job: &mut Job<'_>) -> Result<Vec<f64>, Error> {
        let dataset = self.dataset()?;
        let mut z = vec![0.0; rows_of(&dataset)];
        if weights.iter().any(|w| *w != 0.0) {
            let at = Parameters::of_one_score(Activation::Sigmoid, weights, &0.0);
            kernel::scores(&dataset, &at, &mut z, job)?;
        }
        dataset.add_offsets(0, &mut z);
        Ok(z)
    }

    fn derivatives(&self, scores: &[f64], job: &mut Job<'_>) -> Result<Derivatives, Error> {
        let dataset = self.dataset()?;
        let residuals = kernel::residuals(&dataset, scores, job)?;
        let (error, weight) = residuals.errors.error_and_weight();
        Ok(Derivatives {
            error,
            weight,
            first: residuals.values,
            second: kernel::curvatures(&dataset, scores, job)?.of_pair(0, 0),
        })
    }
}
