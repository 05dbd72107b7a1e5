//! For dense rows: the weights and the gradient sums in whole SIMD vectors, and how many rows are processed at a time.

use crate::float::Float;
use crate::reduce::STRIPE;

/// Bytes of a group of rows. A group is read twice, for scores and for the gradient, so it must fit the first-level
/// cache; but it must have enough rows to overlap the computation of several exponentials.
const GROUP_BYTES: usize = 8 << 10;
/// Prefetch distance: how many bytes ahead of its first use memory is fetched.
const AHEAD_BYTES: usize = 16 << 10;
/// Rows of more bytes than this are not prefetched by instructions: the hardware does so by itself.
const LONG_ROW_BYTES: usize = 4 << 10;
/// Bytes of a tile, a block of rows whose columns are contiguous. Large, so that long runs of each column are read at
/// once; small enough for the second-level cache or little more.
const TILE_BYTES: usize = 512 << 10;

/// Weights and bias of one score. The weights are read in whole SIMD vectors; the last one is padded with zeros.
pub(crate) struct PaddedWeights<'a, F: Float> {
    pub(super) weights: &'a [F],
    pub(super) bias: F,
    /// Present if the weights do not fill whole vectors: a vector of the last `LANES` weights, with zeros where it
    /// overlaps the vector before.
    pub(super) rest: Option<F::Array>,
}

impl<'a, F: Float> PaddedWeights<'a, F> {
    pub(crate) fn new(weights: &'a [F], bias: F) -> Self {
        let fresh = weights.len() % F::LANES;
        let rest = (fresh > 0 && weights.len() > F::LANES).then(|| {
            let mut rest = F::ZEROS;
            rest.as_mut()[F::LANES - fresh..].copy_from_slice(&weights[weights.len() - fresh..]);
            rest
        });
        PaddedWeights {
            weights,
            bias,
            rest,
        }
    }

    pub(super) fn columns(&self) -> usize {
        self.weights.len()
    }

    pub(super) fn row_bytes(&self) -> usize {
        self.columns() * size_of::<F>()
    }

    /// Whether a row has enough columns for a SIMD vector. Scores are then summed along the row; otherwise a vector
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

    /// Prefetch distance in rows, counted from a row's second use; so large that nothing is prefetched if rows are
    /// long, which the hardware fetches by itself.
    pub(super) fn rows_ahead(&self) -> usize {
        let row = self.row_bytes();
        if row > LONG_ROW_BYTES {
            usize::MAX / 2
        } else {
            self.group_rows() + AHEAD_BYTES / row
        }
    }

    /// Number of rows in a tile of [`TILE_BYTES`]: a multiple of four vectors, which are several cache lines of each
    /// column, or a single vector if four do not fit.
    pub(super) fn tile_rows(&self) -> usize {
        let lines = 4 * F::LANES;
        match TILE_BYTES / self.row_bytes() / lines * lines {
            0 => F::LANES,
            rows => rows.min(STRIPE),
        }
    }
}

/// Σ residual × row over a stripe (up to 256 rows), as SIMD vectors along the columns.
pub(crate) struct GradientLanes<F: Float> {
    /// One vector of sums for each whole vector of columns.
    pub(super) whole: Vec<F::Array>,
    /// The sums of the last columns, if columns do not fill whole vectors: in the last lanes, as
    /// [`PaddedWeights::rest`] has their weights.
    pub(super) rest: F::Array,
}

impl<F: Float> GradientLanes<F> {
    #[inline(always)]
    pub(super) fn none() -> Self {
        GradientLanes {
            whole: Vec::new(),
            rest: F::ZEROS,
        }
    }

    #[inline(always)]
    pub(super) fn clear(&mut self, columns: usize) {
        self.whole.clear();
        self.whole.resize(columns / F::LANES, F::ZEROS);
        self.rest = F::ZEROS;
    }

    /// Adds these sums over a stripe to `sums`, one number per column.
    #[inline(always)]
    pub(super) fn add_to(&self, sums: &mut [f64]) {
        let fresh = sums.len() % F::LANES;
        let (whole, rest) = sums.split_at_mut(sums.len() - fresh);
        for (sums, lanes) in whole.chunks_exact_mut(F::LANES).zip(&self.whole) {
            for (sum, lane) in sums.iter_mut().zip(lanes.as_ref()) {
                *sum += lane.to_f64();
            }
        }
        for (sum, lane) in rest.iter_mut().zip(&self.rest.as_ref()[F::LANES - fresh..]) {
            *sum += lane.to_f64();
        }
    }
}
