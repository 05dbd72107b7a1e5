//! For dense rows: the weights and the sums of the gradient in whole SIMD vectors, and how many rows are processed at a
//! time.

use crate::float::Float;
use crate::reduce::STRIPE;

/// Bytes of a group of rows. A group is read twice, for the scores and for the gradient, so that it must fit the
/// first-level cache. It must also have enough rows for the computations of several exponentials to overlap.
const GROUP_BYTES: usize = 8 << 10;
/// Bytes of a tile, a block of rows. If columns are contiguous in memory, a tile must be so large that long runs of
/// each column are read at once. It must also fit the second-level cache, or be little larger.
const TILE_BYTES: usize = 512 << 10;

/// Weights and bias of one score. The weights are read in whole SIMD vectors. The last vector has the last `LANES`
/// weights, with zeros in the lanes that overlap the vector before.
pub(crate) struct PaddedWeights<'a, F: Float> {
    pub(super) weights: &'a [F],
    pub(super) bias: F,
    last: F::Array,
}

impl<'a, F: Float> PaddedWeights<'a, F> {
    pub(crate) fn new(weights: &'a [F], bias: F) -> Self {
        let mut last = F::ZEROS;
        let fresh = (weights.len() - 1) % F::LANES + 1;
        last.as_mut()[F::LANES - fresh..].copy_from_slice(&weights[weights.len() - fresh..]);
        PaddedWeights {
            weights,
            bias,
            last,
        }
    }

    /// All vectors of weights but the last.
    #[inline(always)]
    pub(super) fn whole(&self) -> &'a [F::Array] {
        &F::arrays(self.weights)[..self.vectors() - 1]
    }

    /// The last vector of weights.
    #[inline(always)]
    pub(super) fn last(&self) -> &F::Array {
        &self.last
    }

    /// The number of SIMD vectors of a row.
    #[inline(always)]
    pub(super) fn vectors(&self) -> usize {
        self.columns().div_ceil(F::LANES)
    }

    pub(super) fn columns(&self) -> usize {
        self.weights.len()
    }

    fn row_bytes(&self) -> usize {
        self.columns() * size_of::<F>()
    }

    /// Whether a row has enough columns for a SIMD vector. If so, scores are summed along the row; otherwise a vector
    /// holds one column of several rows.
    pub(super) fn is_wide(&self) -> bool {
        self.columns() >= F::LANES
    }

    /// Number of rows in a group of [`GROUP_BYTES`].
    pub(super) fn group_rows(&self) -> usize {
        (GROUP_BYTES / self.row_bytes())
            .next_multiple_of(F::LANES)
            .clamp(F::LANES, STRIPE)
    }

    /// Number of rows in a tile of [`TILE_BYTES`]: a multiple of 4 `LANES`, or `LANES` if 4 `LANES` rows do not fit.
    /// With a multiple of 4 `LANES`, several cache lines of each column are read at once if columns are contiguous in
    /// memory.
    pub(super) fn tile_rows(&self) -> usize {
        let lines = 4 * F::LANES;
        match TILE_BYTES / self.row_bytes() / lines * lines {
            0 => F::LANES,
            rows => rows.min(STRIPE),
        }
    }
}

/// Adds `lanes` to `sums`. `lanes` is Σ residual × row over a stripe (up to 256 rows), cut into SIMD vectors as a row
/// is; `sums` has one number per column. The first lanes of the last vector may overlap the vector before. Such lanes
/// are not added.
#[inline(always)]
pub(super) fn add_lanes<F: Float>(lanes: &[F::Array], sums: &mut [f64]) {
    let fresh = (sums.len() - 1) % F::LANES + 1;
    let (whole, last) = sums.split_at_mut(sums.len() - fresh);
    let add = |sums: &mut [f64], lanes: &[F]| {
        for (sum, lane) in sums.iter_mut().zip(lanes) {
            *sum += lane.to_f64();
        }
    };
    for (sums, lanes) in whole.chunks_exact_mut(F::LANES).zip(lanes) {
        add(sums, lanes.as_ref());
    }
    if let Some(lanes) = lanes.last() {
        add(last, &lanes.as_ref()[F::LANES - fresh..]);
    }
}
