//! What a sample says: median, percentiles, and the ratio of two candidates that took turns. Pure.

/// A median and where it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The upper end.
    pub high: f64,
}

/// The middle value, or the mean of the two in the middle; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => (sorted[even / 2 - 1] + sorted[even / 2]) / 2.0,
    }
}

/// The value that `percent` of all do not exceed; NaN of nothing.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let sorted = sorted(values);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// The median of the rounds' own ratios: what made a whole round slow does not count.
pub fn paired_ratio(values: &[f64], baseline: &[f64]) -> Interval {
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

/// How many values may be cut at either end of a sorted sample so that the true median lies within
/// the rest with 95 % confidence, whatever the distribution: the median is as likely to be above a
/// value as below it, so that the count is binomial.
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
    fn a_ratio_is_taken_round_by_round() {
        let ratio = paired_ratio(&[2.0, 40.0, 6.0], &[1.0, 10.0, 2.0]);
        assert_eq!(ratio.median, 3.0);
        assert_eq!(
            (ratio.low, ratio.high),
            (2.0, 4.0),
            "three rounds prove nothing"
        );
    }

    /// As tables of the sign test have it.
    #[test]
    fn the_interval_is_that_of_order_statistics() {
        assert_eq!(ends_to_cut(5), 0);
        assert_eq!(ends_to_cut(9), 1);
        assert_eq!(ends_to_cut(20), 5);
        assert_eq!(ends_to_cut(40), 13);
    }
}
