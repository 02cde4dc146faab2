//! Median, percentiles, and the ratio of two candidates that were measured in turns. Pure functions.

/// A median with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    /// The lower end of the interval.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// Returns the middle value, or the mean of the two in the middle; NaN for an empty sample.
pub(crate) fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
    }
}

/// Returns the value that `percent` of the values do not exceed; NaN for an empty sample.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let sorted = sorted(values);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Returns the median of the rounds' ratios: a disturbance that slows down a whole round cancels out.
pub(crate) fn paired_ratio(values: &[f64], baseline: &[f64]) -> Interval {
    let ratios: Vec<f64> = values.iter().zip(baseline).map(|(a, b)| a / b).collect();
    let sorted = sorted(&ratios);
    let cut = ends_to_cut(sorted.len());
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    Interval {
        low: at(cut),
        median: median(&ratios),
        high: at(sorted.len().wrapping_sub(1 + cut)),
    }
}

/// Returns how many values may be cut at each end of a sorted sample so that the true median lies within
/// the rest with 95 % confidence, for any distribution: a value is as likely to be above the median as
/// below it, so that the number of values below the median is binomial.
fn ends_to_cut(count: usize) -> usize {
    let mut outside = 0.0;
    let mut term = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    for cut in 0..count {
        outside += 2.0 * term;
        if outside > 0.05 {
            return cut.saturating_sub(1);
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of rounds is small")]
        let (left, done) = ((count - cut) as f64, (cut + 1) as f64);
        term *= left / done;
    }
    0
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_and_a_percentile_a_value_of_the_sample() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 90), 90.0);
        assert_eq!(percentile(&[7.0], 99), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios() {
        let ratio = paired_ratio(&[2.0, 40.0, 6.0], &[1.0, 10.0, 2.0]);
        assert_eq!(ratio.median, 3.0);
        assert_eq!(
            (ratio.low, ratio.high),
            (2.0, 4.0),
            "three rounds prove nothing"
        );
    }

    /// The expected values are those in tables of the sign test.
    #[test]
    fn the_interval_comes_from_order_statistics() {
        assert_eq!(ends_to_cut(5), 0);
        assert_eq!(ends_to_cut(9), 1);
        assert_eq!(ends_to_cut(20), 5);
        assert_eq!(ends_to_cut(40), 13);
    }
}
