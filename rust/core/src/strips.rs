//! `Strips`: equally spaced pieces of a slice, whose bounds are checked once for many reads. Also prefetching. This
//! file has the only unsafe code of the core.

use std::ops::Range;

/// `count` pieces of a slice ("strips"), each of `length` contiguous elements. Their starts are `stride` elements
/// apart. Kernels use strips for the rows or columns of a block of a matrix.
#[derive(Clone, Copy)]
pub(crate) struct Strips<'t, F> {
    data: &'t [F],
    start: usize,
    stride: isize,
    count: usize,
    length: usize,
}

impl<'t, F> Strips<'t, F> {
    /// The strips that start at `start`, `start + stride`, …. If any of them would reach outside of `data`, `count`
    /// becomes 0.
    #[inline(always)]
    pub(crate) fn new(
        data: &'t [F],
        start: usize,
        stride: isize,
        count: usize,
        length: usize,
    ) -> Self {
        let reach = (count as i128 - 1) * stride as i128;
        let (first, last) = (start as i128, start as i128 + reach);
        let inside = first.min(last) >= 0 && first.max(last) + length as i128 <= data.len() as i128;
        Strips {
            data,
            start,
            stride,
            count: if inside { count } else { 0 },
            length,
        }
    }

    /// The number of strips.
    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The number of elements of each strip.
    #[inline(always)]
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The same strips, each cut to its elements `first .. first + length`.
    #[inline(always)]
    pub(crate) fn within(&self, first: usize, length: usize) -> Self {
        assert!(first <= self.length && length <= self.length - first);
        Strips {
            start: self.start + first,
            length,
            ..*self
        }
    }

    /// Strip `i`.
    #[inline(always)]
    pub(crate) fn strip(&self, i: usize) -> &'t [F] {
        self.strips::<1>(i)[0]
    }

    /// The strips whose numbers are in the range `strips`, one after the other.
    #[inline(always)]
    pub(crate) fn run(&self, strips: Range<usize>) -> impl Iterator<Item = &'t [F]> + use<'t, F> {
        assert!(strips.start <= strips.end && strips.end <= self.count);
        let Strips {
            data,
            start,
            stride,
            length,
            ..
        } = *self;
        let mut start = start.wrapping_add_signed((strips.start as isize).wrapping_mul(stride));
        strips.map(move |_| {
            // SAFETY: as in `strips`; the assertion makes each strip read here one of those that `new` has checked.
            let strip = unsafe { data.get_unchecked(start..start + length) };
            start = start.wrapping_add_signed(stride);
            strip
        })
    }

    /// `N` consecutive strips, from strip `first` on. Beyond the last strip, the last strip is repeated.
    #[inline(always)]
    pub(crate) fn strips_or_last<const N: usize>(&self, first: usize) -> [&'t [F]; N] {
        if first + N <= self.count {
            return self.strips(first);
        }
        let mut strips: [&[F]; N] = [&[]; N];
        for i in 0..N {
            strips[i] = self.strip((first + i).min(self.count - 1));
        }
        strips
    }

    /// `N` consecutive strips, from strip `first` on.
    #[inline(always)]
    pub(crate) fn strips<const N: usize>(&self, first: usize) -> [&'t [F]; N] {
        assert!(N <= self.count && first <= self.count - N);
        let mut start = self
            .start
            .wrapping_add_signed((first as isize).wrapping_mul(self.stride));
        let mut strips: [&[F]; N] = [&[]; N];
        for strip in &mut strips {
            // SAFETY: `new` has checked that strips 0 and `count − 1`, hence all between, lie within `data`; `within`
            // only shortens them. The assertion makes each strip read here one of them, so that its `start` does not
            // wrap around. Only the `start` after the last strip may wrap, and it is not used.
            *strip = unsafe { self.data.get_unchecked(start..start + self.length) };
            start = start.wrapping_add_signed(self.stride);
        }
        strips
    }
}

/// Prefetches the cache line of the element that is `distance` elements after the first of the slice. The element may
/// lie outside of the slice.
#[inline(always)]
pub(crate) fn prefetch<T>(slice: &[T], distance: isize) {
    let element = slice.as_ptr().wrapping_offset(distance);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint. It reads nothing that the program could see, and faults at no address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(element.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = element;
}

#[cfg(test)]
mod tests {
    use super::Strips;

    #[test]
    fn strips_lie_at_their_distance_either_way() {
        let data: Vec<usize> = (0..12).collect();
        let [second, third] = Strips::new(&data, 0, 5, 3, 2).strips(1);
        assert_eq!((second, third), (&data[5..7], &data[10..12]));
        let [last, first] = Strips::new(&data, 10, -10, 2, 2).strips(0);
        assert_eq!((last, first), (&data[10..12], &data[0..2]));
    }

    #[test]
    fn parts_of_strips_lie_within_them() {
        let data: Vec<usize> = (0..12).collect();
        let strips = Strips::new(&data, 0, 5, 3, 2).within(1, 1);
        assert_eq!(
            strips.strips::<3>(0),
            [&data[1..2], &data[6..7], &data[11..12]]
        );
    }

    #[test]
    #[should_panic]
    fn no_part_beyond_their_ends() {
        Strips::new(&[0; 12], 0, 5, 3, 2).within(1, 2);
    }

    #[test]
    #[should_panic]
    fn none_beyond_the_last() {
        Strips::new(&[0; 12], 0, 5, 3, 2).strips::<2>(2);
    }

    #[test]
    fn none_at_all_if_one_would_leave_the_data() {
        for (start, stride, count) in [
            (1, 5, 3),
            (0, -1, 2),
            (4, -5, 2),
            (11, 0, 1),
            (0, isize::MAX, 3),
        ] {
            let strips = Strips::new(&[0; 12], start, stride, count, 2);
            assert_eq!(strips.count, 0, "{start} {stride} {count}");
        }
    }
}
