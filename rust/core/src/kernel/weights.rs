//! The weights of dense columns and the sums of their gradient, in vectors of lanes; and how many rows make a tile.

use crate::float::Float;
use crate::reduce::STRIPE;

/// Bytes of a group of rows, which are read twice, one group after another: few enough for the first-level cache, enough
/// that exponentials overlap.
const GROUP_BYTES: usize = 8 << 10;
/// How many bytes ahead of its first use memory is fetched.
const AHEAD_BYTES: usize = 16 << 10;
/// Rows of more bytes are streams long enough for the hardware to fetch ahead by itself.
const LONG_ROW_BYTES: usize = 4 << 10;
/// Bytes of a tile of columns: long runs of each are read at once, and it stays in the second-level cache or near it.
const TILE_BYTES: usize = 512 << 10;

/// Weights and bias of one score. The weights are read in whole vectors; the last one is padded with zeros.
pub(crate) struct PaddedWeights<'a, F: Float> {
    pub(super) weights: &'a [F],
    pub(super) bias: F,
    /// The last vector where the weights do not fill whole vectors: it ends with them, and is zero where it overlaps the
    /// vector before.
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

    /// Whether a row fills a vector: rows are then summed along their columns.
    pub(super) fn is_wide(&self) -> bool {
        self.columns() >= F::LANES
    }

    /// Rows of a group.
    pub(super) fn group_rows(&self) -> usize {
        (GROUP_BYTES / self.row_bytes())
            .next_multiple_of(F::LANES)
            .clamp(F::LANES, STRIPE)
    }

    /// How many rows ahead of a row's second use memory is fetched; the hardware fetches long rows by itself.
    pub(super) fn rows_ahead(&self) -> usize {
        let row = self.row_bytes();
        if row > LONG_ROW_BYTES {
            usize::MAX / 2
        } else {
            self.group_rows() + AHEAD_BYTES / row
        }
    }

    /// Rows of a tile that is read twice as a whole: one vector of them, or several cache lines of each column.
    pub(super) fn tile_rows(&self) -> usize {
        let lines = 4 * F::LANES;
        match TILE_BYTES / self.row_bytes() / lines * lines {
            0 => F::LANES,
            rows => rows.min(STRIPE),
        }
    }
}

/// Σ residual × row over a stripe, in vectors of lanes.
pub(crate) struct GradientLanes<F: Float> {
    /// One for each whole vector of columns.
    pub(super) whole: Vec<F::Array>,
    /// The last columns, in the lanes where [`PaddedWeights::rest`] is not zero.
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

    /// Adds the stripe's sums to those of its leaf.
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
