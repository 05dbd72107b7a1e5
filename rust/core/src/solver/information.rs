//! The Fisher information of the weights and bias. Its inverse is the covariance of their estimates.

use std::sync::Arc;

use super::cholesky::Cholesky;
use super::dependence;
use super::objective::Objective;
use super::run::Run;
use super::view::{Alias, View};
use crate::error::Error;
use crate::kernel::Basis;
use crate::linalg::{add_multiple, dot};
use crate::reduce::Job;

/// The Fisher information of a model with one score, in factored form.
pub(crate) struct Information {
    view: View,
    aliased: Vec<Alias>,
}

impl Information {
    /// The information at the parameters `v`. `None` if it is singular for another reason than columns that are linear
    /// combinations of others.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`] if the scores of all rows do not fit into memory; [`Error::Interrupted`] by the observer.
    pub(crate) fn new(
        objective: &Objective<'_>,
        v: &[f64],
        run: &mut Run<'_>,
    ) -> Result<Option<Self>, Error> {
        let scores = run.scores(objective, v)?;
        let basis = Arc::clone(&run.basis);
        let gram = |basis: &Basis, job: &mut Job<'_>| scores.gram_of_trace(basis, job);
        let Some(view) = dependence::view(objective, gram, basis, run)? else {
            return Ok(None);
        };
        // A row whose prediction is certain has no weight in the information at `v`. Therefore columns may look
        // dependent here although they are not. Columns count as linear combinations of others only if they are so in
        // all rows.
        if !view.dependent.is_empty() && view.dependent != dependence::dependent(objective, run)? {
            return Ok(None);
        }
        let aliased = view.dependent.iter().map(|&j| view.alias(j)).collect();
        Ok(Some(Information { view, aliased }))
    }

    /// Columns that are linear combinations of others.
    pub(crate) fn aliased(&self) -> &[Alias] {
        &self.aliased
    }

    /// The inverse of the information, row by row, for the weights of the original columns and, last, the bias. There
    /// must be no aliased columns.
    pub(crate) fn inverse(&self, objective: &Objective<'_>) -> Vec<f64> {
        let view = &self.view;
        let n = view.scale.len();
        let order = n + usize::from(objective.fit_bias);
        let root = view.gram.weight.sqrt();
        let mut covariance = vec![0.0; order * order];
        let mut add = |x: &[f64]| {
            for (row, &a) in covariance.chunks_exact_mut(order).zip(x) {
                add_multiple(row, a, x);
            }
        };
        // The information of the weights is S⁻¹ L Lᵀ S⁻¹ Σ s_i, with the diagonal matrix S (`scale`) and the Cholesky
        // factor L. So its inverse is the sum of the outer products r rᵀ of the rows r of L⁻¹ S / √Σ s_i. Each row is
        // first transformed from the basis to the original columns.
        let inverse = view.factor.as_ref().map_or(Vec::new(), Cholesky::inverse);
        for row in inverse.chunks_exact(n) {
            let mut w: Vec<f64> = row
                .iter()
                .zip(&view.scale)
                .map(|(x, s)| x * s / root)
                .collect();
            let at_origin = -dot(&view.columns.mean, &w);
            let bias = at_origin + view.basis.to_natural(&mut w);
            w.extend(objective.fit_bias.then_some(bias));
            add(&w);
        }
        if objective.fit_bias {
            let mut along_bias = vec![0.0; order];
            along_bias[n] = 1.0 / view.gram.lower[n * (n + 2)].sqrt();
            add(&along_bias);
        }
        covariance
    }
}
