//! Sums over rows, added in a binary tree. A leaf of the tree is the sum over some consecutive rows.
//!
//! All leaves have the same number of rows, except the last. Node (level, i) is the sum of the nodes (level − 1, 2i)
//! and (level − 1, 2i + 1); where a node has no right sibling, the node itself is also the parent. A thread sums a
//! stretch (consecutive leaves) by itself, up to the largest nodes that contain only leaves of the stretch. These nodes
//! are then added to nodes of other stretches, as the tree prescribes. So a sum has the same bits however the leaves
//! are distributed over threads.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::STRIPE;
use super::job::{Job, map};
use crate::error::Error;

/// A sum over rows, to which the sum over other rows can be added.
pub(crate) trait Sum: Send {
    /// Adds the sum over the rows that follow.
    fn add(&mut self, right: &Self);

    /// Makes this the sum over no rows.
    fn clear(&mut self);
}

impl Sum for f64 {
    fn add(&mut self, right: &Self) {
        *self += right;
    }

    fn clear(&mut self) {
        *self = 0.0;
    }
}

impl Sum for Vec<f64> {
    fn add(&mut self, right: &Self) {
        for (sum, x) in self.iter_mut().zip(right) {
            *sum += x;
        }
    }

    fn clear(&mut self) {
        self.fill(0.0);
    }
}

impl<A: Sum, B: Sum> Sum for (A, B) {
    fn add(&mut self, right: &Self) {
        self.0.add(&right.0);
        self.1.add(&right.1);
    }

    fn clear(&mut self) {
        self.0.clear();
        self.1.clear();
    }
}

/// The maximum of non-negative numbers, 0 if there are none.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Largest(pub f64);

impl Sum for Largest {
    fn add(&mut self, right: &Self) {
        self.0 = self.0.max(right.0);
    }

    fn clear(&mut self) {
        self.0 = 0.0;
    }
}

/// How rows are cut into leaves: the number of rows, and the number of rows per leaf.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaves {
    rows: usize,
    /// Rows of a leaf: a power of two, and a multiple of [`STRIPE`].
    size: usize,
    /// The work per row, in units of the time of reading one element from the cache. `cost` and `width` decide only how
    /// leaves are distributed over threads; they never change a result.
    cost: usize,
    /// The length of a sum: how many `f64` numbers it has.
    width: usize,
}

impl Leaves {
    /// Leaves for `rows` rows of `width` numbers each, where a sum over rows has about `width` numbers, too.
    pub(crate) fn new(rows: usize, width: usize) -> Self {
        /// Numbers per leaf: so many that adding the sums of leaves costs little compared with computing them.
        const NUMBERS: usize = 1 << 14;
        /// The largest number of rows of a leaf.
        const MOST: usize = 8 * STRIPE;
        let size = NUMBERS / width.saturating_add(1).min(NUMBERS);
        let size = size.next_power_of_two().clamp(STRIPE, MOST);
        Leaves::of(rows, size, width, width)
    }

    /// Leaves of `size` rows, rounded up to a power of two and to at least [`STRIPE`] rows. `cost` and `width` are the
    /// fields of [`Leaves`]: the work per row, and the length of a sum.
    pub(crate) fn of(rows: usize, size: usize, cost: usize, width: usize) -> Self {
        let size = size.clamp(STRIPE, 1 << 40).next_power_of_two();
        Leaves {
            rows,
            size,
            cost,
            width,
        }
    }

    /// The number of rows of a leaf.
    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// Upper bound on the number of successive additions that lead from the sum of [`STRIPE`] rows to the sum of all
    /// rows.
    pub(crate) fn additions(self) -> f64 {
        let leaves = self.rows.div_ceil(self.size).max(1);
        (self.size / STRIPE) as f64 + f64::from(leaves.next_power_of_two().ilog2())
    }

    /// Cuts the rows into stretches of whole leaves. Each stretch is an item of work for a thread. There are enough
    /// stretches to share the work evenly among threads. But each stretch has enough work to be worth an item, and the
    /// sums of all stretches together take little memory.
    pub(crate) fn stretches(self) -> Vec<Range<usize>> {
        // The least work of a stretch: the time of reading this many elements from the cache, about 30 µs at 0.25 ns
        // per element. Starting a thread takes about 20 µs, so that two such stretches just gain from a second thread.
        const SMALLEST: usize = 1 << 17;
        /// How many elements are read from the cache in the time that the exponential of a row's score takes.
        const EXPONENTIAL: usize = 8;
        let most = ((16 << 20) / self.width.saturating_mul(8).max(1)).clamp(8, 64);
        let size = (self.rows.div_ceil(most))
            .max(SMALLEST / self.cost.saturating_add(EXPONENTIAL))
            .max(1);
        let leaves = self.rows.div_ceil(self.size);
        let count = self.rows.div_ceil(size).min(leaves);
        // The stretches are as equal in length as whole leaves allow.
        let start = |k: usize| (k * leaves / count * self.size).min(self.rows);
        (0..count).map(|k| start(k)..start(k + 1)).collect()
    }

    /// The leaves in a stretch of rows: the number of each leaf, and its rows.
    fn leaves(self, stretch: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> {
        let starts = stretch.clone().step_by(self.size);
        starts.map(move |at| (at / self.size, at..(at + self.size).min(stretch.end)))
    }
}

/// The partial sums of consecutive leaves, as the largest nodes of the tree that contain only these leaves.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Forest<T> {
    /// The nodes, from left to right.
    nodes: Vec<Node<T>>,
    /// Sums that have been added to other sums. They are kept so that their memory is used again.
    #[serde(skip, default = "Vec::new")]
    spare: Vec<T>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Node<T> {
    level: u32,
    index: usize,
    sum: T,
}

impl<T: Sum> Forest<T> {
    pub(crate) fn new() -> Self {
        Forest {
            nodes: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Appends a node on the right. As long as the last two nodes are siblings, they are replaced by their parent.
    fn push(&mut self, mut node: Node<T>) {
        while let Some(left) = self.nodes.pop_if(|left| {
            left.level == node.level && left.index + 1 == node.index && node.index % 2 == 1
        }) {
            let mut sum = left.sum;
            sum.add(&node.sum);
            self.spare.push(std::mem::replace(&mut node.sum, sum));
            node.level += 1;
            node.index /= 2;
        }
        self.nodes.push(node);
    }

    /// Appends the sum of the next leaf. `index` is the number of this leaf.
    fn append_leaf(&mut self, index: usize, sum: T) {
        self.append_node(0, index, sum);
    }

    /// Appends a node, given by its level and index. The leaves of the node must come right after the leaves of this
    /// forest.
    pub(crate) fn append_node(&mut self, level: u32, index: usize, sum: T) {
        self.push(Node { level, index, sum });
    }

    /// Appends the forest `right`. Its leaves must come right after the leaves of this forest.
    pub(crate) fn append(&mut self, right: Forest<T>) {
        for node in right.nodes {
            self.push(node);
        }
    }

    /// The sum over all rows, if the forest contains all leaves. `None` if it contains no leaf.
    pub(crate) fn total(mut self) -> Option<T> {
        let mut sum = self.nodes.pop()?.sum;
        while let Some(left) = self.nodes.pop() {
            let right = std::mem::replace(&mut sum, left.sum);
            sum.add(&right);
        }
        Some(sum)
    }
}

/// A forest to which several threads add the sums of stretches, in any order. Its nodes are not sorted.
#[derive(Debug)]
pub(crate) struct Shared<T>(Mutex<Forest<T>>);

impl<T: Sum> Shared<T> {
    pub(crate) fn new() -> Self {
        Shared(Mutex::new(Forest::new()))
    }

    fn lock(&self) -> MutexGuard<'_, Forest<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the leaves in a stretch of rows. `zero` makes the sum over no rows, and `work` adds the rows of one leaf to
    /// such a sum.
    pub(crate) fn add(
        &self,
        leaves: Leaves,
        stretch: Range<usize>,
        zero: impl Fn() -> T,
        mut work: impl FnMut(&mut T, Range<usize>),
    ) {
        let mut forest = Forest::new();
        for (index, rows) in leaves.leaves(stretch) {
            let spare = forest.spare.pop().or_else(|| self.lock().spare.pop());
            let mut sum = match spare {
                Some(mut sum) => {
                    sum.clear();
                    sum
                }
                None => zero(),
            };
            work(&mut sum, rows);
            forest.append_leaf(index, sum);
        }
        self.lock().spare.append(&mut forest.spare);
        forest.nodes.into_iter().for_each(|node| self.join(node));
    }

    /// Adds a node. If its sibling is in the forest, takes the sibling out and adds the two sums to get their parent.
    /// It does so without the lock, so that other threads can use the forest meanwhile. Then adds the parent in the
    /// same way.
    fn join(&self, mut node: Node<T>) {
        let mut all = self.lock();
        loop {
            let is_sibling =
                |other: &Node<T>| other.level == node.level && other.index == node.index ^ 1;
            let Some(at) = all.nodes.iter().position(is_sibling) else {
                return all.nodes.push(node);
            };
            let sibling = all.nodes.swap_remove(at);
            drop(all);
            let (mut left, right) = match node.index % 2 {
                0 => (node, sibling),
                _ => (sibling, node),
            };
            left.sum.add(&right.sum);
            node = Node {
                level: left.level + 1,
                index: left.index / 2,
                sum: left.sum,
            };
            all = self.lock();
            all.spare.push(right.sum);
        }
    }

    /// The sum over all rows, if all leaves have been added. `None` if none has been added.
    pub(crate) fn total(self) -> Option<T> {
        let mut all = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        all.nodes.sort_by_key(|node| node.index << node.level);
        all.total()
    }
}

/// Calls `work` with every stretch of rows, and with the part of `out` that belongs to these rows. `out` has `per_row`
/// numbers per row. Returns the results in the order of the stretches.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn map_into<W, E: Send, R: Send>(
    job: &mut Job<'_>,
    leaves: Leaves,
    (mut out, per_row): (&mut [E], usize),
    scratch: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, Range<usize>, &mut [E]) -> R + Sync,
) -> Result<Vec<R>, Error> {
    let mut items = Vec::new();
    for stretch in leaves.stretches() {
        let part = out.split_off_mut(..stretch.len() * per_row);
        items.push((stretch, part.unwrap_or_default()));
    }
    map(job, items, scratch, |scratch, (stretch, out)| {
        work(scratch, stretch, out)
    })
}

/// The sum over all rows. `zero` makes the sum over no rows, and `work` adds the rows of one leaf to such a sum.
///
/// # Errors
///
/// [`Error::Interrupted`] by the monitor.
pub(crate) fn map_reduce<T: Sum, W>(
    job: &mut Job<'_>,
    leaves: Leaves,
    scratch: impl Fn() -> W + Sync,
    zero: impl Fn() -> T + Sync,
    work: impl Fn(&mut W, &mut T, Range<usize>) + Sync,
) -> Result<T, Error> {
    let work = |scratch: &mut W, sum: &mut T, rows, _: &mut [()]| work(scratch, sum, rows);
    map_reduce_into(job, leaves, (&mut [], 0), scratch, zero, work)
}

/// The sum over all rows, as [`map_reduce`] computes it. `work` also writes `per_row` numbers for each row of a leaf,
/// to the part of `out` that belongs to the rows of this leaf.
///
/// # Errors
///
/// As [`map_reduce`].
pub(crate) fn map_reduce_into<T: Sum, W, E: Send>(
    job: &mut Job<'_>,
    leaves: Leaves,
    (out, per_row): (&mut [E], usize),
    scratch: impl Fn() -> W + Sync,
    zero: impl Fn() -> T + Sync,
    work: impl Fn(&mut W, &mut T, Range<usize>, &mut [E]) + Sync,
) -> Result<T, Error> {
    if leaves.rows <= leaves.size {
        let mut sum = zero();
        if leaves.rows > 0 {
            work(&mut scratch(), &mut sum, 0..leaves.rows, out);
        }
        job.poll()?;
        return Ok(sum);
    }
    let all = Shared::new();
    map_into(
        job,
        leaves,
        (out, per_row),
        scratch,
        |scratch, stretch, mut out| {
            all.add(leaves, stretch, &zero, |sum, rows| {
                let part = out.split_off_mut(..rows.len() * per_row);
                work(scratch, sum, rows, part.unwrap_or_default());
            });
        },
    )?;
    Ok(all.total().unwrap_or_else(zero))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reduce::{Threads, Unmonitored};

    /// A sum that records the order in which leaves were added.
    #[derive(Debug, PartialEq)]
    struct Order(String);

    impl Sum for Order {
        fn add(&mut self, right: &Self) {
            self.0 = format!("({} {})", self.0, right.0);
        }

        fn clear(&mut self) {
            self.0.clear();
        }
    }

    /// Adds stretches of leaves, and returns the sum over all of them.
    fn order(leaves: Leaves, stretches: impl IntoIterator<Item = Range<usize>>) -> Option<String> {
        let all = Shared::new();
        for stretch in stretches {
            let zero = || Order(String::new());
            all.add(leaves, stretch, zero, |sum, rows| {
                sum.0 = (rows.start / leaves.size).to_string();
            });
        }
        all.total().map(|sum| sum.0)
    }

    #[test]
    fn the_tree_is_that_of_the_leaves() {
        let tree = |count: usize| {
            let leaves = Leaves::of(count * STRIPE - 3, STRIPE, 1, 1);
            order(leaves, std::iter::once(0..leaves.rows))
        };
        assert_eq!(tree(1).as_deref(), Some("0"));
        assert_eq!(tree(3).as_deref(), Some("((0 1) 2)"));
        assert_eq!(tree(5).as_deref(), Some("(((0 1) (2 3)) 4)"));
        assert_eq!(tree(7).as_deref(), Some("(((0 1) (2 3)) ((4 5) 6))"));
    }

    #[test]
    fn any_stretches_in_any_order_give_the_same_tree() {
        for count in 1..40 {
            let leaves = Leaves::of(count * STRIPE, STRIPE, 1, 1);
            let whole = order(leaves, std::iter::once(0..leaves.rows));
            for first in 0..count {
                for second in first..count {
                    let cuts = [0, first, second, count].map(|leaf| leaf * STRIPE);
                    for parts in [
                        [0, 1, 2],
                        [0, 2, 1],
                        [1, 0, 2],
                        [1, 2, 0],
                        [2, 0, 1],
                        [2, 1, 0],
                    ] {
                        let stretches = parts.map(|part| cuts[part]..cuts[part + 1]);
                        let got = order(leaves, stretches);
                        assert_eq!(got, whole, "{count} leaves at {first}, {second}: {parts:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn stretches_are_whole_leaves_and_cover_all_rows() {
        for width in [0, 1, 2, 28, 1000, 1 << 20, usize::MAX] {
            for rows in [0, 1, 255, 256, 257, 12_345, 5_000_000] {
                let leaves = Leaves::new(rows, width);
                assert!(leaves.size.is_power_of_two() && leaves.size.is_multiple_of(STRIPE));
                let mut next = 0;
                for stretch in leaves.stretches() {
                    assert_eq!(stretch.start, next, "{rows}x{width}");
                    assert!(stretch.start % leaves.size == 0 && stretch.end > stretch.start);
                    next = stretch.end;
                }
                assert_eq!(next, rows, "{rows}x{width}");
            }
        }
    }

    #[test]
    fn threads_change_no_bit() -> Result<(), Error> {
        let leaves = Leaves::new(100_000, 3);
        let mut sums = Vec::new();
        for threads in [1, 2, 5] {
            let mut monitor = Unmonitored;
            let job = &mut Job::new(Threads::new(Some(threads))?, &mut monitor)?;
            let mut squares = vec![0.0; 100_000];
            let out = (squares.as_mut_slice(), 1);
            let zero = || vec![0.0];
            let sum = map_reduce_into(
                job,
                leaves,
                out,
                || (),
                zero,
                |(), sum, rows, out| {
                    for (i, out) in rows.zip(out) {
                        *out = (i as f64).sqrt();
                        sum[0] += *out;
                    }
                },
            )?;
            sums.push((sum[0].to_bits(), squares[99_999]));
        }
        assert_eq!(sums[0], sums[1]);
        assert_eq!(sums[0], sums[2]);
        Ok(())
    }
}
